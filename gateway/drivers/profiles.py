"""Device models as data: the YAML files of `configs/profiles/`, checked in full and compiled when they are loaded."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined] # private, see `bounded_pattern`: typeshed has no stubs of it
from re import _parser as sre_parser  # type: ignore[attr-defined] # as above
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import Fault, InvalidInput

TEXT_LIMIT = 256  # characters of a device's string that a regular expression ever sees
_UNBOUNDED_LIMIT = 6  # unbounded repeats in one pattern: the degree of its worst case
_CHOICES_LIMIT = 12  # other repeats and alternatives: powers of two
_LENGTHS = (16, 32, 64, 128, TEXT_LIMIT)
_PATTERN_LIMIT_S = 0.05  # rule 10: what one pattern may cost on the worst text we can think of
_OID = re.compile(r"[0-2](\.(0|[1-9]\d{0,9})){1,127}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a raw value becomes a number or a text: octets are decoded and cleaned, a pattern takes its first group, numbers are scaled."""

    encoding: str = "utf-8"
    pattern: re.Pattern[str] | None = None
    scale: float = 1.0
    strip_nul: bool = False


@dataclass(frozen=True, slots=True)
class Sensor:
    """One thing that is measured. `per_row`: `oid` is the root of a table column, read row by row.

    Above `warn` it warns, above `crit` it fails; below `warn_below` and `crit_below` likewise; a label of `labels` that is in `bad` fails.
    """

    name: str
    oid: str
    per_row: bool = False
    unit: str = ""
    decoding: Decoding = Decoding()
    warn: float | None = None
    crit: float | None = None
    warn_below: float | None = None
    crit_below: float | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    bad: frozenset[str] = frozenset()
    index: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """One device model. `oids`: what one GET reads, the objects of all facts and of all sensors that are no table; `walks`: the tables."""

    name: str
    facts: Mapping[str, tuple[str, Decoding]] = field(default_factory=dict)
    sensors: Sequence[Sensor] = ()
    oids: tuple[str, ...] = ()
    walks: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()
    descriptions: tuple[re.Pattern[str], ...] = ()

    def matches(self, object_id: str, description: str) -> bool:
        """Whether all conditions of the profile hold; False for a profile without any."""
        by_id = [object_id == prefix or object_id.startswith(prefix + ".") for prefix in self.object_ids]
        by_text = [pattern.search(description[:TEXT_LIMIT]) is not None for pattern in self.descriptions]
        return bool(by_id or by_text) and all(by_id) and all(by_text)


BASE = "mib2-base"


class Profiles:
    """All profiles by name."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.by_name = {profile.name: profile for profile in profiles}

    @classmethod
    def load(cls, folder: Path) -> "Profiles":
        """Read every `*.yaml` of `folder`. Raises InvalidInput naming each fault of each file, or when there is no such file."""
        faults: list[Fault] = []
        drafts: dict[str, _Draft] = {}
        paths = sorted(folder.glob("*.yaml"))
        if not paths:
            raise InvalidInput(f"there is no profile in {folder}", code="invalid-profile", hint="see profiles_dir in the configuration")
        for path in paths:
            try:
                draft = _read(path)
                if draft.profile in drafts:
                    faults.append(Fault(path.name, f"the profile {draft.profile!r} stands in another file already"))
                drafts[draft.profile] = draft
            except InvalidInput as error:
                faults += error.faults
        if not faults:
            faults += [Fault(name, why) for name, draft in drafts.items() for why in _lineage_faults(draft, drafts)]
        if faults:
            raise InvalidInput(f"the profiles in {folder} are wrong", faults=faults, code="invalid-profile")
        return cls(_compile(draft, drafts) for draft in drafts.values())

    def choose(self, name: str, *, object_id: str = "", description: str = "") -> Profile:
        """The profile called `name`, else the one that matches best, else MIB-2's, else an empty one.

        The best match has the longest object id, then the most conditions, then the first name.
        """
        if name in self.by_name:
            return self.by_name[name]
        found = [profile for profile in self.by_name.values() if profile.matches(object_id, description)]
        if found:
            return min(found, key=_precision)
        return self.by_name.get(BASE, Profile(BASE))


def _precision(profile: Profile) -> tuple[int, int, str]:
    return (-max(map(len, profile.object_ids), default=0), -len(profile.descriptions), profile.name)


# -- what a file may hold ---------------------------------------------------------------------------------------------


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


def bounded_pattern(text: str) -> re.Pattern[str]:
    """Compile `text`, refusing what could take longer than the loop may be blocked. Raises ValueError saying why.

    Exponential patterns are refused by their form: what is repeated without bound must have one width and no alternatives, and the
    other choices are counted. What is left is polynomial in the length of the text, and is tried on texts made to be slow.

    The form is read with the parser of `re` itself, which is private: its public name `sre_parse` is deprecated since Python 3.11 and has
    no successor, and a parser of our own would judge another language than the one that `re` then runs. Should a Python drop it, the
    import fails at start; no pattern goes unjudged.
    """
    try:
        pattern = re.compile(text)
        unbounded, choices = _freedom(sre_parser.parse(text))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if unbounded > _UNBOUNDED_LIMIT or choices > _CHOICES_LIMIT:
        raise ValueError("too many repeats and alternatives")
    if any(_slow(pattern, character) for character in _samples(text)):
        raise ValueError(f"takes longer than {_PATTERN_LIMIT_S:g} s on {TEXT_LIMIT} characters")
    return pattern


def _freedom(parsed: Any) -> tuple[int, int]:
    """How many unbounded repeats, and how many other choices, a match may go through."""
    unbounded = choices = 0
    for op, argument in parsed:
        if op in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise ValueError("refers back to a group")
        choices += op is sre.BRANCH
        for child, low, high in _children(op, argument):
            inner_unbounded, inner_choices = _freedom(child)
            if high is sre.MAXREPEAT:
                if inner_unbounded or inner_choices:
                    raise ValueError("repeats without bound what itself varies")
                unbounded += 1
            else:
                unbounded += inner_unbounded * high
                choices += inner_choices * high + (low != high)
    return unbounded, choices


def _children(op: Any, argument: Any) -> list[tuple[Any, Any, Any]]:
    """The patterns inside one node, each with how often, at least and at most, it is matched."""
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return [(argument[2], argument[0], argument[1])]
    if op is sre.BRANCH:
        return [(branch, 1, 1) for branch in argument[1]]
    if op is sre.SUBPATTERN:
        return [(argument[3], 1, 1)]
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [(argument[1], 1, 1)]
    return [(argument, 1, 1)] if op is sre.ATOMIC_GROUP else []


def _samples(text: str) -> Iterable[str]:
    """Characters to make slow texts of: those of the pattern itself, and one of each common class."""
    return sorted(set(text) | set("aA0 ;.-\t"))


def _slow(pattern: re.Pattern[str], character: str) -> bool:
    """Try longer and longer texts, so that a slow pattern is found out while it is still bearable."""
    return any(min(_time(pattern, character * length) for _ in range(2)) > _PATTERN_LIMIT_S for length in _LENGTHS)


def _time(pattern: re.Pattern[str], text: str) -> float:
    begin = time.thread_time()
    pattern.search(text)
    return time.thread_time() - begin


def _checked_pattern(text: str) -> str:
    bounded_pattern(text)
    return text


Pattern = Annotated[str, AfterValidator(_checked_pattern)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _DecodingDraft(_Strict):
    regex: Pattern | None = None
    scale: float = 1.0
    strip_nul: bool = False
    encoding: Literal["utf-8", "latin-1", "gbk", "mac"] = "utf-8"

    def decoding(self) -> Decoding:
        return Decoding(self.encoding, re.compile(self.regex) if self.regex else None, self.scale, self.strip_nul)


class _FactDraft(_DecodingDraft):
    oid: Oid


class _SensorDraft(_DecodingDraft):
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
    def _consistent(self) -> "_SensorDraft":
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


class _MatchDraft(_Strict):
    sysObjectID: Prefix | None = None  # noqa: N815 (the object's own name)
    sysDescr: Pattern | None = None  # noqa: N815

    @model_validator(mode="after")
    def _one(self) -> "_MatchDraft":
        if (self.sysObjectID is None) == (self.sysDescr is None):
            raise ValueError("one condition an entry: sysObjectID or sysDescr")
        return self


class _Draft(_Strict):
    profile: Name
    extends: Name | None = None
    description: str = ""
    match: list[_MatchDraft] = []
    facts: dict[Name, _FactDraft] = {}
    sensors: dict[Name, _SensorDraft] = {}


# -- from file to profile ---------------------------------------------------------------------------------------------


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, as it ought to be."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.value[place][0].start_mark)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> _Draft:
    try:
        return _Draft.model_validate(yaml.load(path.read_text("utf-8"), _UniqueKeys))  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidInput(path.name, faults=[Fault(f"{path.name} line {line}", str(error.problem))]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(path.name, faults=[Fault(path.name, str(error))]) from error
    except ValidationError as error:
        faults = [Fault(f"{path.name} {'.'.join(map(str, fault['loc']))}", fault["msg"]) for fault in error.errors()]
        raise InvalidInput(path.name, faults=faults) from error


def _lineage_faults(draft: _Draft, drafts: Mapping[str, _Draft]) -> Iterable[str]:
    seen = [draft.profile]
    while draft.extends is not None:
        if draft.extends not in drafts:
            yield f"extends {draft.extends!r}, which does not exist"
            return
        if draft.extends in seen:
            yield f"extends itself: {' → '.join([*seen, draft.extends])}"
            return
        seen.append(draft.extends)
        draft = drafts[draft.extends]


def _compile(draft: _Draft, drafts: Mapping[str, _Draft]) -> Profile:
    """The profile with all that it inherits; what it names itself wins."""
    parent = _compile(drafts[draft.extends], drafts) if draft.extends else Profile("")
    facts = dict(parent.facts) | {name: (fact.oid, fact.decoding()) for name, fact in draft.facts.items()}
    sensors = {sensor.name: sensor for sensor in parent.sensors} | {name: each.sensor(name) for name, each in draft.sensors.items()}
    single = [sensor.oid for sensor in sensors.values() if not sensor.per_row]
    return Profile(
        draft.profile,
        facts=facts,
        sensors=tuple(sensors.values()),
        oids=tuple(dict.fromkeys([*(oid for oid, _ in facts.values()), *single])),
        walks=tuple(dict.fromkeys(sensor.oid for sensor in sensors.values() if sensor.per_row)),
        object_ids=tuple(each.sysObjectID for each in draft.match if each.sysObjectID),
        descriptions=tuple(re.compile(each.sysDescr) for each in draft.match if each.sysDescr),
    )
