"""The names under the prefix, and the JSON that goes out under them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.domain.devices import DeviceId

_REPLY_LIMIT = 200


class Topics:
    """The names under the prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.broadcasts = f"{prefix}/commands/broadcasts"
        self._ours = tuple(f"{prefix}/{part}/" for part in ("commands", "devices", "events"))

    def state(self, device: DeviceId) -> str:
        return f"{self._prefix}/devices/{_level(device)}/state"

    def events(self, event_type: str) -> str:
        return f"{self._prefix}/events/{_level(event_type)}"

    def may_answer_on(self, topic: str) -> bool:
        """Whether a sender may have its answer there: under the prefix, one topic, and none that has a meaning of its own."""
        plain = 0 < len(topic) <= _REPLY_LIMIT and not re.search(r"[+#\0\x01-\x1f\x7f]", topic)
        return plain and topic.startswith(f"{self._prefix}/") and not f"{topic}/".startswith(self._ours)


def to_json(value: Mapping[str, Any]) -> bytes:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def _level(name: str) -> str:
    """`name` as one level of a topic: what has a meaning there is percent-encoded."""
    return re.sub(r"[%/+#\0-\x1f\x7f]", lambda match: f"%{ord(match[0]):02X}", name)
