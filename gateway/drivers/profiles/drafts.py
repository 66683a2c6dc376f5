"""What a profile's file may hold."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.domain.alarms import TrapRule
from gateway.domain.health import Outcome
from gateway.domain.speaking import AutoAnswer, Carrier, KeepAlive, SpeakerPath, SpeakerWays
from gateway.drivers.profiles.model import Condition, Decoding, Sensor
from gateway.drivers.profiles.patterns import Pattern

T = TypeVar("T")
_OID = re.compile(r"[0-2](\.(0|[1-9]\d{0,9})){1,127}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")


def _oid(text: str) -> str:
    if not _OID.fullmatch(text):
        raise ValueError("an OID is numbers with dots between, without a leading dot")
    return text


def _prefix(text: str) -> str:
    return _oid(text.removesuffix("."))


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a name is lower-case letters, digits, '_' and '-', at most 48")
    return text


Oid = Annotated[str, AfterValidator(_oid)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Name = Annotated[str, AfterValidator(_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DecodingDraft(_Strict):
    regex: Pattern | None = None
    scale: float = 1.0
    strip_nul: bool = False
    encoding: Literal["utf-8", "latin-1", "gbk", "mac", "date"] = "utf-8"

    def decoding(self) -> Decoding:
        return Decoding(self.encoding, re.compile(self.regex) if self.regex else None, self.scale, self.strip_nul)


class FactDraft(DecodingDraft):
    oid: Oid


class SensorDraft(DecodingDraft):
    oid: Oid | None = None
    walk: Oid | None = None
    unit: str = Field("", max_length=16)
    warn: float | None = None
    crit: float | None = None
    warn_below: float | None = None
    crit_below: float | None = None
    enum: dict[int, Name] = {}
    bad: list[Name] = []
    index: list[Name] = []
    optional: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "SensorDraft":
        if (self.oid is None) == (self.walk is None):
            raise ValueError("either oid or walk")
        if unknown := set(self.bad) - set(self.enum.values()):
            raise ValueError(f"bad names what enum does not: {', '.join(sorted(unknown))}")
        if len(set(self.enum.values())) != len(self.enum):
            raise ValueError("two numbers of enum have one name")
        if self.warn is not None and self.crit is not None and self.warn > self.crit:
            raise ValueError("warn is above crit")
        if self.warn_below is not None and self.crit_below is not None and self.warn_below < self.crit_below:
            raise ValueError("warn_below is below crit_below")
        return self

    def sensor(self, name: str) -> Sensor:
        return Sensor(
            name,
            oid=self.walk or self.oid or "",
            per_row=self.walk is not None,
            unit=self.unit,
            decoding=self.decoding(),
            warn=self.warn,
            crit=self.crit,
            warn_below=self.warn_below,
            crit_below=self.crit_below,
            labels=self.enum,
            bad=frozenset(self.bad),
            index=tuple(self.index),
            optional=self.optional,
        )


class TrapDraft(_Strict):
    """What a notification means: a raise or its clear, by the same `key`, or mere news."""

    event: Name
    raises: Literal["warn", "fail"] | None = None
    clears: Oid | None = None
    key: Oid | None = None
    text: Oid | None = None
    of_port: bool = False
    restarts: bool = False
    lasts_h: float = Field(24.0, gt=0, le=8_784)

    @model_validator(mode="after")
    def _one_meaning(self) -> "TrapDraft":
        if sum((self.raises is not None, self.clears is not None, self.restarts)) > 1:
            raise ValueError("one of raises, clears and restarts")
        if self.of_port and self.key is None:
            raise ValueError("of_port needs the key that holds the port")
        return self

    def rule(self, trap: str) -> TrapRule:
        return TrapRule(
            trap,
            self.event,
            raises=Outcome(self.raises) if self.raises else None,
            clears=self.clears or "",
            key=self.key or "",
            text=self.text or "",
            of_port=self.of_port,
            restarts=self.restarts,
            lasts=timedelta(hours=self.lasts_h),
        )


class MatchDraft(_Strict):
    sysObjectID: Prefix | None = None  # noqa: N815 -- the object's own name
    sysDescr: Pattern | None = None  # noqa: N815 -- as above
    manufacturer: Pattern | None = None
    model: Pattern | None = None
    firmware: Pattern | None = None

    @model_validator(mode="after")
    def _one(self) -> "MatchDraft":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"one condition an entry: {', '.join(type(self).model_fields)}")
        return self

    def condition(self) -> Condition:
        if self.sysObjectID is not None:
            return Condition("object_id", prefix=self.sysObjectID)
        name, text = next(iter(self.model_dump(exclude_unset=True).items()))
        return Condition("description" if name == "sysDescr" else name, pattern=re.compile(text))


class QuirkDraft(BaseModel):
    """A switch of the quirk book that this model has: where that was seen, and its parameters where they differ from the book's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str = Field(min_length=3)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.__pydantic_extra__ or {}


def _each_once(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("something stands twice")
    return values


class BackchannelDraft(_Strict):
    """Of `BackchannelHabits`, what a profile says."""

    require: bool = True
    packet_bytes: int = Field(0, ge=0, le=1_400)
    zero_timestamps: bool = False
    keep_alive: KeepAlive = KeepAlive.GET_PARAMETER
    carriers: Annotated[list[Carrier], Field(min_length=1), AfterValidator(_each_once)] = [Carrier.TCP, Carrier.UDP]
    all_tracks: bool = True

    def changes(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in self.model_fields_set - {"zero_timestamps", "carriers"}}
        stamps = {"unstamped": self.zero_timestamps} if "zero_timestamps" in self.model_fields_set else {}
        carriers = {"carriers": tuple(self.carriers)} if "carriers" in self.model_fields_set else {}
        return said | stamps | carriers


class SipDraft(_Strict):
    """Of `SipHabits`, what a profile says."""

    user: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.!~*'()&=+$,;?/%\-]*$")
    carrier: Carrier = Carrier.UDP
    codecs: Annotated[list[Literal["PCMA", "PCMU", "G722"]], AfterValidator(_each_once)] = []
    packet_ms: float = Field(0, ge=0, le=150)
    one_way: bool = True
    early_media: bool = False
    auto_answer: AutoAnswer = AutoAnswer.BOTH

    def changes(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return said | ({"codecs": tuple(self.codecs)} if "codecs" in said else {})


class SpeakerDraft(_Strict):
    """Of `SpeakerWays`, what a profile says; the rest is as its parent has it, or as its quirks ask."""

    paths: Annotated[list[SpeakerPath], Field(min_length=1), AfterValidator(_each_once)] = [SpeakerPath.BACKCHANNEL]
    lead_in_ms: float = Field(0, ge=0, le=10_000)
    buffer_ms: float = Field(0, ge=0, le=30_000)
    single_talker: bool = True
    backchannel: BackchannelDraft = Field(default_factory=lambda: BackchannelDraft.model_validate({}))

    sip: SipDraft = Field(default_factory=lambda: SipDraft.model_validate({}))

    def ways(self, parent: SpeakerWays) -> SpeakerWays:
        """As `parent`, but for what stands here."""
        said = self.model_fields_set
        changes: dict[str, Any] = {"backchannel": replace(parent.backchannel, **self.backchannel.changes())}
        changes |= {"sip": replace(parent.sip, **self.sip.changes())}
        changes |= {"paths": tuple(self.paths)} if "paths" in said else {}
        changes |= {"lead_in_s": self.lead_in_ms / 1000} if "lead_in_ms" in said else {}
        changes |= {"buffer_s": self.buffer_ms / 1000} if "buffer_ms" in said else {}
        changes |= {"single_talker": self.single_talker} if "single_talker" in said else {}
        return replace(parent, **changes)


class ProfileDraft(_Strict):
    profile: Name
    revision: int = Field(1, ge=1)
    extends: Name | None = None
    description: str = ""
    match: list[MatchDraft] = []
    facts: dict[Name, FactDraft] = {}
    sensors: dict[Name, SensorDraft] = {}
    quirks: dict[Name, QuirkDraft] = {}
    traps: dict[Oid, TrapDraft] = {}
    speaker: SpeakerDraft | None = None
