"""A device model as the gateway uses it: how it is recognised, what is read of it, how it is judged, what is odd about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.alarms import TrapRule
from gateway.domain.quirks import NONE as NO_QUIRKS
from gateway.domain.quirks import Quirks
from gateway.domain.speaking import USUAL as USUAL_WAYS
from gateway.domain.speaking import SpeakerWays
from gateway.drivers.profiles.patterns import TEXT_LIMIT


@dataclass(frozen=True, slots=True)
class Traits:
    """What a device says of itself, "" for what is not known: by SNMP the first two, by ONVIF (GetDeviceInformation) the others."""

    object_id: str = ""
    description: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""

    def tell(self, trait: str) -> bool:
        """Whether anything is known by the way by which `trait` would be."""
        by_snmp = trait in ("object_id", "description")
        return bool(self.object_id or self.description) if by_snmp else bool(self.manufacturer or self.model or self.firmware)


@dataclass(frozen=True, slots=True)
class Condition:
    """What one trait of a device must be: below an object id, or matching a pattern."""

    trait: str
    prefix: str = ""
    pattern: re.Pattern[str] | None = None

    def holds(self, traits: Traits) -> bool:
        value: str = getattr(traits, self.trait)
        if self.pattern is not None:
            return self.pattern.search(value[:TEXT_LIMIT]) is not None
        return value == self.prefix or value.startswith(self.prefix + ".")


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

    @property
    def is_number(self) -> bool:
        """Whether what it measures is a number by its unit, limits or labels."""
        limits = (self.warn, self.crit, self.warn_below, self.crit_below)
        return bool(self.unit or self.labels) or any(limit is not None for limit in limits)


@dataclass(frozen=True, slots=True)
class Profile:
    """One device model. `oids`: what one GET reads, the objects of all facts and of all sensors that are no table; `walks`: the tables."""

    name: str
    facts: Mapping[str, tuple[str, Decoding]] = field(default_factory=dict)
    sensors: Sequence[Sensor] = ()
    oids: tuple[str, ...] = ()
    walks: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    quirks: Quirks = NO_QUIRKS
    speaker: SpeakerWays = USUAL_WAYS
    """How it is spoken to, if it is a loudspeaker: by its quirks, and by what is said of it beside them."""
    lineage: tuple[str, ...] = ()
    """The profiles that it inherits from, the most general first."""
    narrowings: tuple[frozenset[str], ...] = ()
    """The traits of which each profile of its line, itself included, has conditions of its own."""
    traps: Mapping[str, TrapRule] = field(default_factory=dict)
    """What its notifications mean, by their object id."""

    def matches(self, traits: Traits) -> bool:
        """Whether all conditions hold that `traits` tell anything of, and there is such a one: SNMP and ONVIF each know half of them."""
        verdicts = [condition.holds(traits) for condition in self.conditions if traits.tell(condition.trait)]
        return bool(verdicts) and all(verdicts)
