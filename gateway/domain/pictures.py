"""What a camera's pictures are worth: black, dazzled, covered, frozen, blurred, moved, or well; judged by cheap statistics and a memory.

A picture comes as a few numbers (`Picture`). What it is compared with is the camera's own past (`Memory`): a reference for coloured and
one for grey pictures, because a camera sees another world by infrared light. A reference is learnt from the first `LEARN` pictures that
agree with each other, follows what changes in the street by a little each day, and is learnt anew when it is renewed. Pictures that are
worth nothing teach nothing.

Two ways of standing still: the whole picture is the same to the last bit, caption and noise included; or for `STILL_FOR` nothing in it has
moved by more than the least step, which no live sensor achieves.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

COLUMNS: Final = 32
ROWS: Final = 18
"""Of a print: the picture as so few grey fields."""
LEARN: Final = 3
STILL_FOR: Final = timedelta(hours=12)
STILL_PICTURES: Final = 6
SAME_BITS_AFTER: Final = timedelta(seconds=30)

_ALL_DARK, _ALL_BRIGHT = 0.95, 0.85  # share of fields
_ONE_COLOUR = 0.85  # share of fields next to the median
_UNMOVED_SHARE = 0.995
_BLURRED_BELOW = 0.25  # of the usual sharpness
_AGREES = 0.45  # likeness of edges; the same street in other light or traffic has more
_DIFFERS = 0.3
_FOLLOWS, _FOLLOWS_AFTER = 1 / 8, timedelta(days=1)
_COLOURED = 4.0  # mean distance from grey
_FEW_EDGES = 6.0  # mean edge below which a place cannot be told: fog, night

BLACK, DAZZLED, COVERED = "picture-black", "picture-white", "picture-covered"
FROZEN, BLURRED, MOVED = "picture-frozen", "picture-blurred", "picture-moved"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as numbers. Brightness from 0 to 255.

    `dark`, `bright`: the share of fields that are as good as black, as good as white; `flat`: of those next to the median. `sharpness`: the
    variance of the Laplacian at full resolution, captions aside; `colour`: the mean distance from grey. `digest`: of all its pixels;
    `grains`: single pixels of fixed places at full resolution; `fields`: `ROWS` × `COLUMNS` means.
    """

    width: int
    height: int
    dark: float
    bright: float
    flat: float
    sharpness: float
    colour: float
    digest: str
    grains: bytes
    fields: bytes

    @property
    def light(self) -> str:
        """ "colour" or "grey": which reference it is compared with."""
        return "colour" if self.colour >= _COLOURED else "grey"


@dataclass(frozen=True, slots=True)
class Reference:
    """How a camera's pictures are in one kind of light. `pictures`: how many it was learnt from; `at`: when it was last taught anything."""

    fields: tuple[float, ...]
    sharpness: float
    pictures: int
    at: datetime

    @property
    def learnt(self) -> bool:
        return self.pictures >= LEARN


@dataclass(frozen=True, slots=True)
class Last:
    """The picture before, for what stands still: since when it is the same to the last bit, since when nothing has moved, in how many
    pictures.
    """

    digest: str
    grains: bytes
    same_since: datetime
    still_since: datetime
    still: int = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered of one camera's pictures: references by light, and the last picture."""

    references: Mapping[str, Reference]
    last: Last | None = None


BLANK: Final = Memory({})


@dataclass(frozen=True, slots=True)
class Opinion:
    """`reason`: "" for a picture that is well; `facts`: the numbers that led there."""

    reason: str
    facts: Mapping[str, Any]


def look(memory: Memory, picture: Picture, at: datetime, *, movable: bool) -> tuple[Memory, Opinion]:
    """Judge one picture, and learn from it. A camera that is `movable` may look anywhere: that it moved is not judged."""
    last = _after(memory.last, picture, at)
    reference = memory.references.get(picture.light)
    known = reference if reference is not None and reference.learnt else None
    alike = likeness(known.fields, picture.fields) if known and not movable else None
    reason = _worthless(picture) or _frozen(last, at) or _against(known, picture, alike)
    facts = _facts(picture, known, alike, last)
    if reason:
        return replace(memory, last=last), Opinion(reason, facts)
    learnt = _taught(reference, picture, at, movable=movable)
    return Memory({**memory.references, picture.light: learnt}, last), Opinion("", facts)


def renewed(memory: Memory) -> Memory:
    """The camera was turned, cleaned or exchanged on purpose: its references are learnt anew."""
    return replace(memory, references={})


def likeness(reference: Sequence[float], fields: Sequence[float]) -> float | None:
    """How alike the edges of two prints are, from -1 to 1, whatever the light; None when one of them shows too few."""
    ours, theirs = _edges(reference), _edges(fields)
    if min(_mean(ours), _mean(theirs)) < _FEW_EDGES:
        return None
    return _correlation(ours, theirs)


def _worthless(picture: Picture) -> str:
    if picture.dark >= _ALL_DARK:
        return BLACK
    if picture.bright >= _ALL_BRIGHT:
        return DAZZLED
    return COVERED if picture.flat >= _ONE_COLOUR else ""


def _frozen(last: Last, at: datetime) -> str:
    same = at - last.same_since >= SAME_BITS_AFTER
    still = last.still >= STILL_PICTURES and at - last.still_since >= STILL_FOR
    return FROZEN if same or still else ""


def _against(known: Reference | None, picture: Picture, alike: float | None) -> str:
    if known is None:
        return ""
    if picture.sharpness < _BLURRED_BELOW * known.sharpness:
        return BLURRED
    return MOVED if alike is not None and alike < _DIFFERS else ""


def _after(before: Last | None, picture: Picture, at: datetime) -> Last:
    if before is None or not _unmoved(before.grains, picture.grains):
        return Last(picture.digest, picture.grains, at, at)
    same_since = before.same_since if before.digest == picture.digest else at
    return Last(picture.digest, picture.grains, same_since, before.still_since, before.still + 1)


def _unmoved(before: bytes, after: bytes) -> bool:
    if len(before) != len(after) or not after:
        return False
    return sum(abs(one - other) <= 1 for one, other in zip(before, after, strict=True)) >= _UNMOVED_SHARE * len(after)


def _taught(reference: Reference | None, picture: Picture, at: datetime, *, movable: bool) -> Reference:
    """A reference that the picture has been added to. While it is learnt, pictures that do not agree begin it anew."""
    fresh = Reference(tuple(map(float, picture.fields)), picture.sharpness, 1, at)
    if reference is None:
        return fresh
    if not reference.learnt and not movable:
        alike = likeness(reference.fields, picture.fields)
        if alike is not None and alike < _AGREES:
            return fresh
    if reference.learnt and at - reference.at < _FOLLOWS_AFTER:
        return reference
    weight = _FOLLOWS if reference.learnt else 1 / (reference.pictures + 1)
    fields = tuple(old + weight * (new - old) for old, new in zip(reference.fields, picture.fields, strict=True))
    sharpness = reference.sharpness + weight * (picture.sharpness - reference.sharpness)
    return Reference(fields, sharpness, min(reference.pictures + 1, LEARN), at)


def _edges(fields: Sequence[float]) -> list[float]:
    """How much each field differs from its right and its lower neighbour; the outermost rows, where captions stand, are left out."""
    rows = range(2, ROWS - 3)
    return [
        abs(fields[at + 1] - fields[at]) + abs(fields[at + COLUMNS] - fields[at])
        for at in (row * COLUMNS + column for row in rows for column in range(COLUMNS - 1))
    ]


def _correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    mean_a, mean_b = _mean(ours), _mean(theirs)
    over = sum((a - mean_a) * (b - mean_b) for a, b in zip(ours, theirs, strict=True))
    under = math.sqrt(sum((a - mean_a) ** 2 for a in ours) * sum((b - mean_b) ** 2 for b in theirs))
    return over / under if under else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _facts(picture: Picture, known: Reference | None, alike: float | None, last: Last) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "resolution": f"{picture.width}x{picture.height}",
        "light": picture.light,
        "dark": round(picture.dark, 2),
        "bright": round(picture.bright, 2),
        "flat": round(picture.flat, 2),
        "sharpness": round(picture.sharpness, 1),
    }
    if known is not None:
        facts["usual_sharpness"] = round(known.sharpness, 1)
    if alike is not None:
        facts["likeness"] = round(alike, 2)
    if last.still > 1:
        facts["still_since"] = last.still_since.isoformat(timespec="seconds")
    return facts
