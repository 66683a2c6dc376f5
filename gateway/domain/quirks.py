"""Quirks: what is known to be odd about a device, beside the standard that it claims to keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Parameter = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Quirk:
    """One departure from the standard. `id`: its entry in the quirk book ("Q7"); `switch`: which form of it; `source`: who saw it."""

    id: str
    switch: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Quirks:
    """All that a device's profile says to be odd about it, by switch."""

    by_switch: Mapping[str, Quirk] = field(default_factory=dict, hash=False)

    def __contains__(self, switch: object) -> bool:
        return switch in self.by_switch

    def number(self, switch: str, parameter: str, absent: float) -> float:
        """A parameter of a switch as a number; `absent` when the device does not have that quirk."""
        quirk = self.by_switch.get(switch)
        return absent if quirk is None else float(quirk.parameters[parameter])


NONE = Quirks()
