"""The quirk book and the device models as the simulators read them: the same files from which the gateway knows them.

`configs/quirks.yaml` names every switch with its parameters; `configs/profiles/*.yaml` say which models have which. What a file may hold
is the gateway's to judge; here a file that cannot be used ends with a ValueError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import yaml

from simulators.city import NO_PARAMETERS, City, Parameters

HERE: Final = Path(__file__).resolve().parent.parent
CONFIGS: Final = next((folder for folder in (HERE / "configs", HERE / "gateway" / "configs") if folder.is_dir()), HERE / "configs")
"""In the checkout, in the wheel."""
_TRAITS: Final = ("manufacturer", "model", "firmware")
_SNMP_TRAITS: Final = ("sysObjectID", "sysDescr")


@dataclass(frozen=True, slots=True)
class Model:
    """One profile: patterns by trait, own ones in the place of inherited ones, and all its quirks.

    `depth`: how many of its line, itself included, have conditions of their own on ONVIF's traits.
    """

    conditions: Mapping[str, str]
    quirks: Mapping[str, Parameters]
    depth: int = 0

    def fits(self, traits: Mapping[str, str]) -> bool:
        """Whether all conditions of ONVIF's traits hold, and there is such a one."""
        told = self.told
        return bool(told) and all(re.search(pattern, traits[trait]) for trait, pattern in told.items())

    @property
    def told(self) -> Mapping[str, str]:
        """Its conditions without those of SNMP."""
        return {trait: pattern for trait, pattern in self.conditions.items() if trait in _TRAITS}


class QuirkBook:
    """`switches`: every switch with the usual values of its parameters; `models`: the profiles by name."""

    def __init__(self, switches: Mapping[str, Parameters], models: Mapping[str, Model]) -> None:
        self.switches = switches
        self.models = models

    @classmethod
    def load(cls, configs: Path = CONFIGS) -> Self:
        """Read the book and the profiles beside it. Raises OSError, ValueError."""
        book = _yaml(configs / "quirks.yaml")
        switches: dict[str, Parameters] = {}
        for entry in book["quirks"].values():
            for name, switch in entry.get("switches", {}).items():
                switches[name] = switch.get("parameters", NO_PARAMETERS)
        drafts = {draft["profile"]: draft for draft in map(_yaml, sorted((configs / "profiles").glob("*.yaml")))}
        return cls(switches, {name: _model(name, drafts, switches) for name in drafts})

    def of(self, *, vendor: str, model: str, firmware: str) -> Mapping[str, Parameters]:
        """The quirks of a device that says this of itself: those of the profile that fits it best."""
        name = self.model_of(vendor=vendor, model=model, firmware=firmware)
        return self.models[name].quirks if name else {}

    def model_of(self, *, vendor: str, model: str, firmware: str) -> str:
        """The profile that fits best, "" for none: the most conditions, then the fewest of SNMP, then the narrowest line, then the name."""
        traits = dict(zip(_TRAITS, (vendor, model, firmware), strict=True))
        fitting = [
            (-len(one.told), len(one.conditions) - len(one.told), -one.depth, name) for name, one in self.models.items() if one.fits(traits)
        ]
        return min(fitting)[3] if fitting else ""

    def dealt(self, city: City) -> City:
        """The city with each device as its model is: with all quirks of its profile."""
        return replace(
            city,
            devices=tuple(
                replace(device, quirks=dict(self.of(vendor=device.vendor, model=device.model, firmware=device.firmware)))
                for device in city.devices
            ),
        )

    def switched_on(self, name: str, parameters: Parameters = NO_PARAMETERS) -> Parameters:
        """The parameters of a switch with the book's values for those not given. Raises ValueError for what the book does not know."""
        usual = self.switches.get(name)
        if usual is None:
            raise ValueError(f"the quirk book has no switch {name!r}; it has {', '.join(sorted(self.switches))}")
        if unknown := set(parameters) - set(usual):
            raise ValueError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(usual) or 'none'}")
        return {**usual, **parameters}


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _model(name: str, drafts: Mapping[str, Any], switches: Mapping[str, Parameters]) -> Model:
    draft = drafts[name]
    parent = _model(draft["extends"], drafts, switches) if draft.get("extends") else Model({}, {})
    own = {trait: pattern for entry in draft.get("match", ()) for trait, pattern in entry.items() if trait in (*_TRAITS, *_SNMP_TRAITS)}
    quirks = {switch: _parameters(switches[switch], said) for switch, said in draft.get("quirks", {}).items()}
    return Model({**parent.conditions, **own} if own else {}, {**parent.quirks, **quirks}, parent.depth + bool(own.keys() & set(_TRAITS)))


def _parameters(usual: Parameters, said: Parameters) -> Parameters:
    return {**usual, **{name: value for name, value in said.items() if name != "source"}}
