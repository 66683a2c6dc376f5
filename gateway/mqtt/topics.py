"""The names under the prefix: the one place where an id becomes a level of a topic, and where a sender's `reply_to` is judged."""

import json
import re
from collections.abc import Mapping
from typing import Any

REPLY_LIMIT = 200  # characters of a `reply_to`
# What has a meaning in a topic (MQTT 3.1.1, 4.7), what no string of MQTT may hold (1.5.3), and the sign that we escape with.
_ESCAPED = re.compile(r"[%/+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NO_NAME = re.compile(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Topics:
    """The names under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.status = f"{prefix}/status"
        self.broadcasts = f"{prefix}/commands/broadcasts"
        self.stop_all = f"{prefix}/commands/stop-all"
        self.marker = f"{prefix}/commands/marker"
        """What the gateway sends to itself; under `commands/`, where nobody may write whom the broker's ACL does not name."""
        self.unaddressed = f"{prefix}/replies/unaddressed"
        """Where a refusal goes whose sender named no place for it, or none that will do."""

    def state(self, device: str) -> str:
        return f"{self._prefix}/devices/{level(device)}/state"

    def events(self, event_type: str) -> str:
        return f"{self._prefix}/events/{level(event_type)}"

    def under(self, path: str) -> str:
        """A topic under the prefix, its levels parted by `/`."""
        return "/".join((self._prefix, *map(level, path.split("/"))))

    def may_answer_on(self, topic: str) -> bool:
        """Whether a sender may have its answer there: one topic under `replies/`, and nowhere else."""
        root = f"{self._prefix}/replies/"
        return len(root) < len(topic) <= REPLY_LIMIT and topic.startswith(root) and not _NO_NAME.search(topic)


def level(name: str) -> str:
    """`name` as one level of a topic: what cannot stand there is percent-encoded, and so is `%`; an empty one becomes `%`."""
    return _ESCAPED.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), name) or "%"


def to_json(value: Mapping[str, Any]) -> bytes:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
