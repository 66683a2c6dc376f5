"""How the control API reads JSON and answers with it."""

import json
from collections.abc import Mapping
from typing import Any

from simulators.http import Request, Response


def answered(value: Mapping[str, Any]) -> Response:
    return Response(200, json.dumps(value, ensure_ascii=False).encode(), b"application/json")


def problem(status: int, detail: str) -> Response:
    return Response(status, json.dumps({"error": detail}).encode(), b"application/json")


def told(request: Request, **known: type) -> dict[str, Any]:
    """The object in a request's body. Raises ValueError for one that is none, has unknown keys, or values of another type."""
    found = json.loads(request.body or b"{}")
    if not isinstance(found, dict):
        raise ValueError("the body is a JSON object")  # a wrong request, not a wrong call
    for key, value in found.items():
        if key not in known:
            raise ValueError(f"no such key: {key[:40]!r}; there are {', '.join(known)}")
        wanted = (int, float) if known[key] is float else known[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and known[key] is not bool):
            raise ValueError(f"{key} is a JSON {known[key].__name__}")
    return found
