"""Our own SNMP engine, as senders of v3 informs know it: one id for ever, and a count of starts that never goes back (RFC 3414, 2.2.2)."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import InvalidInput
from gateway.storage.shelf import replace_file

FILE: Final = "trap-engine.json"
_ENTERPRISE: Final = (0x8000_0000 | 99_999).to_bytes(4, "big")  # RFC 3411, 5; a number that nobody has been given
_OCTETS: Final = b"\x05"
_LAST_BOOT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class EngineStart:
    """One start of the engine."""

    engine_id: bytes
    boots: int


def started(folder: Path, *, random: Callable[[int], bytes] = secrets.token_bytes) -> EngineStart:
    """Count one more start, durably. InvalidInput when the file holds something else, or cannot be written: a count that goes back would
    let old informs be sent again."""
    path = folder / FILE
    try:
        start = _next(json.loads(path.read_text())) if path.exists() else EngineStart(_ENTERPRISE + _OCTETS + random(8), 1)
        replace_file(path, json.dumps({"engine_id": start.engine_id.hex(), "boots": start.boots}).encode() + b"\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "remove the file: all senders of v3 informs then learn a new engine id"
        raise InvalidInput(f"{path} cannot be used: {error}", code="trap-engine", hint=hint) from error
    return start


def _next(known: Mapping[str, Any]) -> EngineStart:
    start = EngineStart(bytes.fromhex(known["engine_id"]), int(known["boots"]) + 1)
    if not 5 <= len(start.engine_id) <= 32 or not 0 < start.boots < _LAST_BOOT:
        raise ValueError("no engine id, or no more starts")
    return start
