"""What can be wrong with a simulated device, as data; each protocol server does what it can of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

PROTOCOLS: Final = ("http", "rtsp", "snmp")


class Answer(StrEnum):
    """How a faulty device answers on the wire."""

    NORMAL = "normal"
    SILENT = "silent"  # the connection is taken, nothing ever comes back
    REFUSE = "refuse"  # closed at once
    RESET = "reset"  # the request is read, then RST
    TRUNCATED = "truncated"  # half of the answer, then closed
    DRIP = "drip"  # one byte at a time, `delay_s` between them
    GARBAGE = "garbage"  # bytes that are no answer of the protocol
    NOT_XML = "not-xml"  # HTTP that carries something else than XML
    WRONG_OPERATION = "wrong-operation"  # the answer to another request
    REDIRECT = "redirect"  # 302 to another host
    ENDLESS = "endless"  # a body that never ends
    GZIP_BOMB = "gzip-bomb"  # few bytes that unpack to very many
    DTD = "dtd"  # an XML document type with entities
    FOREIGN_XADDR = "foreign-xaddr"  # every URL in it points to somebody else
    BUSY = "busy"  # 401 without a challenge: too many connections (seen with Dahua)


@dataclass(frozen=True, slots=True)
class Fault:
    """One device's fault. `protocols`: where `answer` and `delay_s` hold; the other fields hold everywhere.

    `delay_s`: waits before each answer. `clock_offset_s`: added to the device's own. `password`, `serial`: replace the device's own.
    """

    answer: Answer = Answer.NORMAL
    delay_s: float = 0.0
    clock_offset_s: float = 0.0
    password: str = ""
    serial: str = ""
    protocols: tuple[str, ...] = PROTOCOLS

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """A fault from JSON. Raises ValueError naming what is wrong with it."""
        unknown = set(raw) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(field.name for field in fields(cls))}")
        answer = str(raw.get("answer", Answer.NORMAL))
        if answer not in list(Answer):
            raise ValueError(f"no answer is called {answer!r}; there are {', '.join(Answer)}")
        protocols = tuple(raw.get("protocols", PROTOCOLS))
        if not protocols or set(protocols) - set(PROTOCOLS):
            raise ValueError(f"protocols are some of {', '.join(PROTOCOLS)}")
        return cls(
            answer=Answer(answer),
            delay_s=_seconds(raw, "delay_s"),
            clock_offset_s=_seconds(raw, "clock_offset_s"),
            password=str(raw.get("password", "")),
            serial=str(raw.get("serial", "")),
            protocols=protocols,
        )

    def on(self, protocol: str) -> tuple[Answer, float]:
        """How to answer on `protocol`, and how many seconds later."""
        return (self.answer, self.delay_s) if protocol in self.protocols else (Answer.NORMAL, 0.0)


HEALTHY: Final = Fault()


def _seconds(raw: Mapping[str, Any], name: str) -> float:
    value = raw.get(name, 0.0)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name} is a number of seconds")  # noqa: TRY004 -- what is wrong with a fault is one type
    return float(value)
