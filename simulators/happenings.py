"""What goes on before a device: the states that it tells of, since when, and who wants to hear of changes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = ("motion", "cell-motion", "scene-change", "tamper", "line-crossed", "digital-input")
LASTING: Final = tuple(kind for kind in KINDS if kind != "line-crossed")
"""Those that have a state; the others are over as soon as they are told."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One of KINDS begins or ends (`on`) at the moment `at`, by the device's clock."""

    kind: str
    on: bool
    at: float


Listener = Callable[[Happening | None], None]
"""Hears of a happening, or (None) that the device has started anew."""


@dataclass(slots=True)
class Happenings:
    """One device's states by kind, and its listeners."""

    states: dict[str, Happening] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)

    def tell(self, happening: Happening) -> None:
        if happening.kind in LASTING:
            self.states[happening.kind] = happening
        for listener in self.listeners:
            listener(happening)

    def start_anew(self) -> None:
        """The device was switched off and on: what it knew is gone."""
        self.states.clear()
        for listener in self.listeners:
            listener(None)
