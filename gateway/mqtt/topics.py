"""The names of topics: the one place where an id, an event's type or a sender's `reply_to` becomes a topic or is refused.

Everything lies under one prefix (`gateway/v1`):

    status                  retained; `online`, or `offline` by the last will (MQTT 3.1.1, 3.1.2.5)
    devices/{id}/state      retained; where a device stands
    events/{type}           what happened, in the order of commits; not retained
    commands/broadcasts     to us: the body of POST /v1/broadcasts with `id`, `not_after` and `reply_to`
    commands/stop-all       to us: silence everything
    replies/…               our answers, where the sender asked for them
"""

from dataclasses import dataclass

LONGEST = 1_024  # bytes of a topic; the standard allows 65,535


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics under one prefix."""

    prefix: str

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    @property
    def broadcasts(self) -> str:
        return f"{self.prefix}/commands/broadcasts"

    @property
    def stop_all(self) -> str:
        return f"{self.prefix}/commands/stop-all"

    def state(self, device: str) -> str:
        return f"{self.prefix}/devices/{level(device)}/state"

    def event(self, type_: str) -> str:
        return f"{self.prefix}/events/{level(type_)}"

    def takes_replies(self, topic: str) -> bool:
        """Whether `topic`, which a sender gave us, is one that we answer on: under `replies/`, and a name that no filter hides in."""
        root = f"{self.prefix}/replies/"
        return topic.startswith(root) and len(topic) > len(root) and _is_name(topic)


def level(text: str) -> str:
    """`text` as one level of a topic: what the standard gives a meaning (`/ + # $`, controls, 4.7) is percent-encoded, and `%` with it."""
    safe = "".join(char if _harmless(char) else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass")) for char in text)
    return safe or "%00"


def _harmless(char: str) -> bool:
    return char not in "/+#$%" and char.isprintable() and not "\ud800" <= char <= "\udfff"


def _is_name(topic: str) -> bool:
    return all(char.isprintable() and char not in "+#" for char in topic) and len(topic.encode("utf-8", "surrogatepass")) <= LONGEST
