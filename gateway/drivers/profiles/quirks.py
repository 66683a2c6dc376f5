"""The quirk book, `configs/quirks.yaml`: every known departure from the standard, who saw it, and what the gateway does about it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gateway.domain.quirks import Parameter, Quirk
from gateway.drivers.profiles.drafts import Name, ProfileDraft
from gateway.drivers.profiles.files import read
from gateway.errors import Fault

QuirkId = Annotated[str, StringConstraints(pattern=r"^Q[1-9]\d*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Strict):
    en: str
    zh: str


class Switch(_Strict):
    """One form that a quirk takes in a device, with its parameters and their usual values."""

    does: str
    parameters: dict[Name, Parameter] = {}


class Entry(_Strict):
    """`gateway`: what the gateway does; `learned`: what it finds out by itself and remembers, "" when only a profile can tell.

    An entry without switches lies in the gateway itself. One that does not apply says why.
    """

    title: Title
    sources: list[str] = Field(min_length=1)
    gateway: str = ""
    learned: str = ""
    switches: dict[Name, Switch] = {}
    applies: bool = True
    why_not: str = ""

    @model_validator(mode="after")
    def _whole(self) -> "Entry":
        if self.applies == bool(self.why_not):
            raise ValueError("why_not says why a quirk does not apply, and only that")
        if self.applies and not self.gateway:
            raise ValueError("gateway says what is done about it")
        return self


class Book(_Strict):
    """All quirks by id."""

    version: int = Field(ge=1)
    quirks: dict[QuirkId, Entry]

    @model_validator(mode="after")
    def _one_of_each(self) -> "Book":
        names = [switch for entry in self.quirks.values() for switch in entry.switches]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"switches that stand twice: {', '.join(sorted(twice))}")
        return self

    @classmethod
    def load(cls, path: Path) -> "Book":
        """Read the book. Raises InvalidInput naming each fault."""
        return read(path, cls)

    def switch(self, name: str) -> tuple[str, Switch] | None:
        """The quirk's id and the switch of that name."""
        return next(((id_, entry.switches[name]) for id_, entry in self.quirks.items() if name in entry.switches), None)

    def faults_of(self, draft: ProfileDraft) -> Iterator[Fault]:
        """What a profile says of its quirks that the book does not know."""
        for name, said in draft.quirks.items():
            known = self.switch(name)
            place = f"{draft.profile} quirks.{name}"
            if known is None:
                yield Fault(place, "the quirk book has no such switch")
                continue
            for parameter, value in said.parameters.items():
                usual = known[1].parameters.get(parameter)
                if usual is None:
                    yield Fault(f"{place}.{parameter}", f"it has {', '.join(known[1].parameters) or 'no parameter'}")
                elif not _alike(value, usual):
                    yield Fault(f"{place}.{parameter}", f"is {_KINDS[type(usual)]}, such as {usual}")

    def quirks_of(self, draft: ProfileDraft) -> Mapping[str, Quirk]:
        """A profile's own quirks by switch, once `faults_of` has found nothing."""
        return {name: self._quirk(name, said.parameters, said.source) for name, said in draft.quirks.items()}

    def _quirk(self, name: str, parameters: Mapping[str, Any], source: str) -> Quirk:
        known = self.switch(name)
        assert known is not None
        return Quirk(known[0], name, {**known[1].parameters, **parameters}, source)


_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a text"}


def _alike(value: Any, usual: Parameter) -> bool:
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(usual, bool)
    return isinstance(value, int | float) if isinstance(usual, int | float) else isinstance(value, str)
