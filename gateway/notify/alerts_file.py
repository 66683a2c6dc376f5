"""The alerts file: channels and routes, every fault named with its line before anything of it is used."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from gateway.config import Seconds, Section
from gateway.domain.alert_routes import NO_ROUTES, Match, Quiet, Route, Routes
from gateway.domain.devices import DeviceKind
from gateway.domain.hours import ALL_DAYS, Hours
from gateway.domain.severity import Severity
from gateway.errors import Fault, InvalidInput
from gateway.notify.handing_over import Handover

BYTES_MAX = 1 << 20
NODES_MAX, DEPTH_MAX = 50_000, 12
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must not hold a password, a query or a fragment; secrets go into a file")
    return url.rstrip("/") if parts.path in {"", "/"} else url


def _clock_time(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):  # YAML 1.1 reads 22:00 as a number of base 60
        value = f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str) or not (match := re.fullmatch(r"([01]?\d|2[0-4]):([0-5]\d)", value)):
        raise ValueError("must be a time of day such as 07:30")
    hour, minute = int(match[1]), int(match[2])
    if hour == 24 and minute:
        raise ValueError("must be a time of day such as 07:30")
    return time(hour % 24, minute)


def _days(value: object) -> object:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list):
        raise ValueError("must be days such as mon or mon-fri")  # noqa: TRY004 -- pydantic asks for ValueError
    found: set[int] = set()
    for name in names:
        first, _, last = str(name).lower().partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(f"{name} is no day; days are {', '.join(_DAYS)}, and mon-fri")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone; they are named as Asia/Shanghai") from None
    return name


Url = Annotated[str, AfterValidator(_http)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Days = Annotated[frozenset[int], BeforeValidator(_days)]
Mailbox = Annotated[str, Field(pattern=r"^[^@\s<>,;]{1,64}@[A-Za-z0-9.-]{1,190}$")]
Names = frozenset[Annotated[str, Field(min_length=1, max_length=200)]]


class Sending(Section):
    """What all channels share. `per_minute`: at most so many messages; what is over waits."""

    language: Literal["zh", "en", "both"] | None = None
    timeout_s: Seconds = 10.0
    per_minute: Annotated[int, Field(ge=1, le=600)] = 20


class Web(Sending):
    """A channel over HTTP. `proxy`: the one relay that it may go through; `ca_file`: who signed the other side's certificate."""

    proxy: Url | None = None
    ca_file: Path | None = None


class WebhookSettings(Web):
    """JSON to an address of one's own; signed with HMAC-SHA256 where a secret is named."""

    kind: Literal["webhook"]
    url: Url
    secret_file: Path | None = None
    per_minute: Annotated[int, Field(ge=1, le=600)] = 60


class DingTalkSettings(Web):
    """A group's custom robot: its access token, and its secret where it is set to signing."""

    kind: Literal["dingtalk"]
    token_file: Path
    secret_file: Path | None = None
    base_url: Url = "https://oapi.dingtalk.com"


class WeComSettings(Web):
    """A group's robot: the key of its webhook."""

    kind: Literal["wecom"]
    key_file: Path
    base_url: Url = "https://qyapi.weixin.qq.com"


class FeishuSettings(Web):
    """A group's custom robot: the last part of its webhook, and its secret where it is set to signing."""

    kind: Literal["feishu"]
    token_file: Path
    secret_file: Path | None = None
    base_url: Url = "https://open.feishu.cn"


class EmailSettings(Sending):
    """A mail server, and who gets what is not for the person on duty."""

    kind: Literal["email"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None
    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    ca_file: Path | None = None


class MqttSettings(Sending):
    """The broker of the gateway's own configuration: `alerts/NAME` under its prefix."""

    kind: Literal["mqtt"]
    per_minute: Annotated[int, Field(ge=1, le=600)] = 600


ChannelSettings = WebhookSettings | EmailSettings | DingTalkSettings | WeComSettings | FeishuSettings | MqttSettings


class _Hours(Section):
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    days: Days = ALL_DAYS

    def value(self) -> Hours:
        return Hours(self.from_, self.to, self.days)


class _Quiet(_Hours):
    below: Severity = Severity.CRITICAL


class _Match(Section):
    severity: Severity = Severity.WARNING
    kinds: frozenset[DeviceKind] = frozenset()
    districts: Names = frozenset()
    cells: Names = frozenset()
    groups: Names = frozenset()
    vendors: Names = frozenset()
    times: tuple[_Hours, ...] = ()

    def value(self) -> Match:
        return Match(
            self.severity,
            frozenset(kind.value for kind in self.kinds),
            self.districts,
            self.cells,
            self.groups,
            self.vendors,
            tuple(one.value() for one in self.times),
        )


class _Route(Section):
    name: Name
    match: _Match = _Match()
    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    to: Literal["on-duty"] | None = None
    continue_: Annotated[bool, Field(alias="continue")] = False
    recovery: bool = True
    group_wait_s: Annotated[float, Field(ge=0, le=3_600)] = 30.0
    group_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    remind_s: Annotated[float, Field(ge=60, le=2_592_000)] | None = None
    quiet: tuple[_Quiet, ...] = ()

    def value(self) -> Route:
        return Route(
            self.name,
            tuple(dict.fromkeys(self.channels)),
            match=self.match.value(),
            on_duty=self.to == "on-duty",
            goes_on=self.continue_,
            recovery=self.recovery,
            group_wait=timedelta(seconds=self.group_wait_s),
            group_interval=timedelta(seconds=self.group_interval_s),
            remind=timedelta(seconds=self.remind_s or 0),
            quiet=tuple(Quiet(one.value(), one.below) for one in self.quiet),
        )


class _Handover(Section):
    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    maintainers: Names = frozenset()
    severity: Severity = Severity.WARNING


class _File(Section):
    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    language: Literal["zh", "en", "both"] = "zh"
    channels: dict[Name, Annotated[ChannelSettings, Field(discriminator="kind")]] = Field(default_factory=dict)
    routes: tuple[_Route, ...] = ()
    work_orders: tuple[_Handover, ...] = ()


@dataclass(frozen=True, slots=True)
class Alerts:
    """All of it, checked: channels by name, routes in order, and in which language and time zone people are spoken to."""

    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    routes: Routes = NO_ROUTES
    language: str = "zh"
    zone: tzinfo = UTC
    handovers: tuple[Handover, ...] = ()


def load_alerts(path: Path) -> Alerts:
    """What the file at `path` says. InvalidInput (`bad-alerts`) with one fault for everything that is wrong, each with its line."""
    reading = _Reading()
    values = reading.values(_text(path))
    found = reading.validated(values) if not reading.faults else None
    if found is not None:
        reading.judge(found)
    if reading.faults or found is None:
        faults = sorted(reading.faults, key=lambda fault: int(fault.where.removeprefix("line ")))
        raise InvalidInput(f"{path}: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}", faults=faults, code="bad-alerts")
    zone = ZoneInfo(found.timezone)
    handovers = tuple(Handover(tuple(dict.fromkeys(one.channels)), one.maintainers, one.severity) for one in found.work_orders)
    return Alerts(found.channels, Routes(tuple(route.value() for route in found.routes), zone), found.language, zone, handovers)


Place = tuple[str | int, ...]


class _Reading:
    """One reading of a file: where each key stands, and what is wrong."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._nodes = 0
        self._lines: dict[Place, int] = {}

    def values(self, text: str) -> dict[str, Any]:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._fault(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
            return {}
        except yaml.YAMLError as error:
            self._fault(1, f"not YAML: {error}")
            return {}
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            self._fault(root.start_mark.line + 1, "the file must be a mapping of keys to values")
            return {}
        found: dict[str, Any] = self._value(root, ())
        return {key: value for key, value in found.items() if value is not None}

    def validated(self, values: dict[str, Any]) -> _File | None:
        try:
            return _File.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                place = _without_tag(detail["loc"])
                self._fault(self._line(place), _plain(place, detail["type"], detail["msg"]))
            return None

    def judge(self, found: _File) -> None:
        """What no single key shows: channels that routes name, files that channels name, names that stand twice."""
        for name, channel in found.channels.items():
            for what in type(channel).model_fields:
                file = getattr(channel, what)
                if isinstance(file, Path) and not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises where a folder is closed)
                    self._fault(self._line(("channels", name, what)), f"channels.{name}.{what}: there is no file {file}")
            if isinstance(channel, EmailSettings) and (channel.password_file is None) != (channel.username is None):
                self._fault(self._line(("channels", name)), f"channels.{name}: username and password_file go together")
        names: set[str] = set()
        for number, route in enumerate(found.routes):
            if route.name in names:
                self._fault(self._line(("routes", number, "name")), f"there are two routes {route.name}")
            names.add(route.name)
            self._judge_channels(found, route.channels, ("routes", number, "channels"), f"routes.{route.name}")
        for number, handover in enumerate(found.work_orders):
            self._judge_channels(found, handover.channels, ("work_orders", number, "channels"), "work_orders")

    def _judge_channels(self, found: _File, channels: Sequence[str], place: Place, who: str) -> None:
        for name in channels:
            if name not in found.channels:
                self._fault(self._line(place), f"{who}: no channel {name}{_nearest(name, list(found.channels))}")

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX or len(place) > DEPTH_MAX:  # by aliases, a small file can be endless
            raise InvalidInput(
                "the alerts file is too large or too deep",
                faults=[Fault(f"line {node.start_mark.line + 1}", "too many values, or too deep")],
                code="bad-alerts",
            )
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(one, (*place, number)) for number, one in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in values:
                self._fault(line, f"{_dotted((*place, key))} stands twice, first on line {self._lines[*place, key]}")
                continue
            self._lines[*place, key] = line
            values[key] = self._value(value_node, (*place, key))
        return values

    def _line(self, place: Place) -> int:
        return next((self._lines[place[:size]] for size in range(len(place), 0, -1) if place[:size] in self._lines), 1)

    def _fault(self, line: int, why: str) -> None:
        self.faults.append(Fault(f"line {line}", why))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise InvalidInput(f"{path} is larger than {BYTES_MAX} bytes", faults=[Fault("line 1", "too large")], code="bad-alerts")
        return content.decode("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", code="no-config", hint="copy configs/alerts.yaml and edit it") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidInput(f"{path}: 1 fault", faults=[Fault(f"line {line}", "not UTF-8")], code="bad-alerts") from error


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        return str(node.value)
    finally:
        loader.dispose()


def _without_tag(place: Sequence[str | int]) -> Place:
    """pydantic names the kind of a channel among the keys."""
    return (*place[:2], *place[3:]) if place[0] == "channels" and len(place) > 2 else tuple(place)


def _dotted(place: Place) -> str:
    return ".".join(str(part) if isinstance(part, str) else f"{part + 1}" for part in place if part != "[key]")


_WORDS = {
    "missing": "is missing",
    "union_tag_not_found": "kind is missing",
    "model_type": "must be a section of keys",
    "dict_type": "must be a section of keys",
    "tuple_type": "must be a list",
    "frozen_set_type": "must be a list",
    "path_type": "must be a path",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
}


def _plain(place: Place, kind: str, message: str) -> str:
    """pydantic's words, as we would say them."""
    if kind == "extra_forbidden":
        return f"no key {_dotted(place)!r}{_nearest(str(place[-1]), _keys_beside(place))}"
    if kind == "union_tag_invalid":
        return f"{_dotted(place)}.kind must be one of webhook, email, dingtalk, wecom, feishu, mqtt"
    words = _WORDS.get(kind) or re.sub(r"^Value error, ", "", message).replace("Input should be", "must be")
    return f"{_dotted(place)}: {words.replace('String should match', 'must match')}"


_LEVELS: Mapping[str, type[Section]] = {"match": _Match, "times": _Hours, "quiet": _Quiet, "routes": _Route}


def _keys_beside(place: Place) -> list[str]:
    """The keys that are known where an unknown one stands."""
    above = next((str(part) for part in reversed(place[:-1]) if isinstance(part, str) and part in _LEVELS), "")
    if place[0] == "channels":
        return sorted({key for model in ChannelSettings.__args__ for key in _aliases(model)})
    return list(_aliases(_LEVELS.get(above, _File)))


def _aliases(model: type[Section]) -> Iterator[str]:
    yield from (one.alias or name for name, one in model.model_fields.items())


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if known and len(known) <= 20 else ""
