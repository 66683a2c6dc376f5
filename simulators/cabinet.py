"""What can be read of a loudspeaker's cabinet beside its sound: volume, amplifier, contact."""

from dataclasses import dataclass, replace
from typing import Any, Final, Self


@dataclass(frozen=True, slots=True)
class Cabinet:
    """`volume`: 0 to 100, None: as it came from the factory. `amplifier`: "ok" or "fault"; `contact`: "closed" or "open"."""

    volume: int | None = None
    amplifier: str = "ok"
    contact: str = "closed"

    def changed(self, wanted: dict[str, Any]) -> Self:
        """The cabinet with some values changed. Raises ValueError for one that cannot be."""
        for name, allowed in _WORDS.items():
            if wanted.get(name, allowed[0]) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}")
        if not 0 <= wanted.get("volume", 0) <= 100:
            raise ValueError("volume is 0 to 100")
        return replace(self, **wanted)


FACTORY_LEVEL: Final = 80
"""The volume with which loudspeakers come from the factory."""
_WORDS: Final = {"amplifier": ("ok", "fault"), "contact": ("closed", "open")}
INTACT: Final = Cabinet()
