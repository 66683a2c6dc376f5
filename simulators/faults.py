"""What can be wrong with a simulated device, as data; each protocol server does what it can of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from math import inf
from typing import Any, Final, Self, get_type_hints

from simulators.views import View

PROTOCOLS: Final = ("http", "rtsp", "snmp", "sip")


class Answer(StrEnum):
    """How a faulty device answers on the wire. Of two at once the worse one is seen: whichever stands further down."""

    NORMAL = "normal"
    FOREIGN_XADDR = "foreign-xaddr"  # every URL in it points to somebody else
    BUSY = "busy"  # 401 without a challenge: too many connections (seen with Dahua)
    REDIRECT = "redirect"  # 302 to another host
    DTD = "dtd"  # an XML document type with entities
    NOT_XML = "not-xml"  # HTTP that carries something else than XML
    WRONG_OPERATION = "wrong-operation"  # the answer to another request
    GZIP_BOMB = "gzip-bomb"  # few bytes that unpack to very many
    ENDLESS = "endless"  # a body that never ends
    GARBAGE = "garbage"  # bytes that are no answer of the protocol
    DRIP = "drip"  # one byte at a time, `delay_s` between them
    TRUNCATED = "truncated"  # half of the answer, then closed
    HALF_OPEN = "half-open"  # the first bytes of the answer, then silence without an end
    RESET = "reset"  # the request is read, then RST
    REFUSE = "refuse"  # closed at once
    SILENT = "silent"  # the connection is taken, nothing ever comes back


SEVERITY: Final = {answer: rank for rank, answer in enumerate(Answer)}


@dataclass(frozen=True, slots=True)
class Fault:
    """One device's fault. `protocols`: where `answer`, `delay_s`, `jitter_s` and `loss` hold; the other fields hold everywhere.

    `delay_s`: waits before each answer, up to `jitter_s` longer. `loss`: the share of requests and datagrams that vanish, 0 to 1.
    `clock_offset_s`: added to the device's own. `password`, `serial`, `mac`, `model`, `firmware`, `address`: replace the device's own: a
    changed password, a swapped device, new firmware, a device that answers elsewhere. `disk_full`: recording has stopped, at the moment
    when it was given. `view`: what its lens gives. `parts`: the faults of which this one was merged, when they differ by protocol.
    """

    answer: Answer = Answer.NORMAL
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    clock_offset_s: float = 0.0
    password: str = ""
    serial: str = ""
    mac: str = ""
    model: str = ""
    firmware: str = ""
    address: str = ""
    disk_full: bool = False
    view: str = ""
    protocols: tuple[str, ...] = PROTOCOLS
    parts: tuple["Fault", ...] = ()

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """A fault from JSON. Raises ValueError naming what is wrong with it."""
        known = {name: kind for name, kind in get_type_hints(cls).items() if name != "parts"}
        if unknown := set(raw) - set(known):
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        own = {name: read(raw[name]) for name, read in _OWN_READERS.items() if name in raw}
        return cls(**{name: _READERS[known[name]](name, value) for name, value in raw.items() if name not in own}, **own)

    def on(self, protocol: str) -> tuple[Answer, float]:
        """How to answer on `protocol`, and how many seconds later at least."""
        if self.parts:
            told = [part.on(protocol) for part in self.parts]
            return max((answer for answer, _ in told), key=SEVERITY.__getitem__), sum(delay for _, delay in told)
        return (self.answer, self.delay_s) if protocol in self.protocols else (Answer.NORMAL, 0.0)

    def chances(self, protocol: str) -> tuple[float, float]:
        """The share that is lost on `protocol`, and the longest jitter there in seconds."""
        if self.parts:
            kept, jitter_s = 1.0, 0.0
            for loss, jitter in (part.chances(protocol) for part in self.parts):
                kept, jitter_s = kept * (1 - loss), jitter_s + jitter
            return 1 - kept, jitter_s
        return (self.loss, self.jitter_s) if protocol in self.protocols else (0.0, 0.0)

    def told(self) -> dict[str, Any]:
        """What is wrong, in plain JSON values: nothing that is as usual, and a changed password named, not shown."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "parts"}
        parts = {"parts": [part.told() for part in self.parts]} if self.parts else {}
        return {name: value for name, value in said.items() if value != getattr(HEALTHY, name)} | self._secret() | parts

    def _secret(self) -> dict[str, str]:
        return {"password": "changed"} if self.password else {}

    @property
    def body(self) -> dict[str, str]:
        """What it puts in the place of the device's own data, by the name of the field."""
        return {name: value for name in _BODY if (value := getattr(self, name))}


_BODY: Final = ("serial", "mac", "model", "firmware", "address")
HEALTHY: Final = Fault()


def merged(faults: Iterable[Fault]) -> Fault:
    """Several faults of one device at once: the worst answer by protocol, delays, jitters and clocks added, losses one after the other.

    Of two that replace the same thing the later one is seen.
    """
    parts = tuple(faults)
    if len(parts) < 2:
        return parts[0] if parts else HEALTHY
    last: dict[str, Any] = {}
    for part in parts:
        last |= part.body | {name: value for name in ("password", "view") if (value := getattr(part, name))}
    return Fault(
        answer=max((part.answer for part in parts), key=SEVERITY.__getitem__),
        clock_offset_s=sum(part.clock_offset_s for part in parts),
        disk_full=any(part.disk_full for part in parts),
        parts=parts,
        **last,
    )


# -- reading JSON: every one of these raises ValueError ------------------------------------------------------------------


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < inf:
        raise ValueError(f"{name} is a number of seconds")
    if value < 0 and name != "clock_offset_s":
        raise ValueError(f"{name} is not negative")
    return float(value)


def _share(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError("loss is a share from 0 to 1")
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"{name} is a text")
    return value


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false")  # a wrong request, not a wrong call
    return value


def _answer(value: object) -> Answer:
    if not isinstance(value, str) or value not in list(Answer):
        raise ValueError(f"no answer is called {value!r}; there are {', '.join(Answer)}")
    return Answer(value)


def _view(value: object) -> str:
    if not isinstance(value, str) or value not in list(View):
        raise ValueError(f"no view is called {value!r}; there are {', '.join(View)}")
    return View(value).value


def _protocols(value: object) -> tuple[str, ...]:
    chosen = tuple(value) if isinstance(value, list | tuple) else ()
    if not chosen or set(chosen) - set(PROTOCOLS):
        raise ValueError(f"protocols are some of {', '.join(PROTOCOLS)}")
    return chosen


def _address(value: object) -> str:
    try:
        if (address := IPv4Address(str(value))).is_loopback:
            return str(address)
    except AddressValueError:
        pass
    raise ValueError("address is one of 127.0.0.0/8")


_READERS: Final[Mapping[Any, Any]] = {float: _number, str: _text, bool: _truth}
_OWN_READERS: Final[Mapping[str, Any]] = {
    "answer": _answer,
    "loss": _share,
    "view": _view,
    "protocols": _protocols,
    "address": _address,
}
