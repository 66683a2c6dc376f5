"""A YAML file as plain values, with the line on which each stands, so that every fault can be named by its line."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import time
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from gateway.errors import Fault, InvalidInput

BYTES_MAX = 1 << 20
NODES_MAX, DEPTH_MAX = 50_000, 12

Place = tuple[str | int, ...]
"""Where a value stands: the keys and numbers that lead to it."""

M = TypeVar("M", bound=BaseModel)

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class YamlFile:
    """One reading of a file. What is wrong gathers in `faults`; `refuse` raises them all at once, as InvalidInput of `code`."""

    def __init__(self, path: Path, *, code: str, example: str) -> None:
        """`example`: what to copy where there is no file."""
        self.faults: list[Fault] = []
        self._path = path
        self._code = code
        self._example = example
        self._nodes = 0
        self._lines: dict[Place, int] = {}

    def values(self) -> dict[str, Any]:
        """What stands in it, without the keys that have no value; a key that stands twice becomes a fault."""
        root = self._root(self._text())
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            self.fault(root.start_mark.line + 1, "the file must be a mapping of keys to values")
            return {}
        found: dict[str, Any] = self._value(root, ())
        return {key: value for key, value in found.items() if value is not None}

    def validated(self, model: type[M], keys_beside: Callable[[Place], Iterable[str]]) -> M | None:
        """The file as `model`; None when something is wrong, each fault of which is then in `faults`.

        `keys_beside`: the keys that are known where an unknown one stands.
        """
        values = self.values()
        if self.faults:
            return None
        try:
            return model.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_input=False):
                place: Place = tuple(detail["loc"])
                if detail["type"] == "extra_forbidden":
                    why = f"no key {dotted(place)!r}{nearest(str(place[-1]), list(keys_beside(place)))}"
                else:
                    why = plainly(place, detail["type"], detail["msg"])
                self.fault(self.line(place), why)
            return None

    def line(self, place: Place) -> int:
        """The line of `place`, or of what it would stand in."""
        return next((self._lines[place[:size]] for size in range(len(place), 0, -1) if place[:size] in self._lines), 1)

    def fault(self, line: int, why: str) -> None:
        self.faults.append(Fault(f"line {line}", why))

    def refuse(self) -> NoReturn:
        faults = sorted(self.faults, key=lambda fault: int(fault.where.removeprefix("line ")))
        raise InvalidInput(f"{self._path}: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}", faults=faults, code=self._code)

    def _root(self, text: str) -> yaml.Node | None:
        try:
            root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.fault(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
            return None
        except yaml.YAMLError as error:
            self.fault(1, f"not YAML: {error}")
            return None
        return root

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX or len(place) > DEPTH_MAX:  # by aliases, a small file can be endless
            self.fault(node.start_mark.line + 1, "too many values, or too deep")
            raise InvalidInput(f"{self._path} is too large or too deep", faults=self.faults[-1:], code=self._code)
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
                self.fault(line, f"{dotted((*place, key))} stands twice, first on line {self._lines[*place, key]}")
                continue
            self._lines[*place, key] = line
            values[key] = self._value(value_node, (*place, key))
        return values

    def _text(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(BYTES_MAX + 1)
            if len(content) > BYTES_MAX:
                why = f"{self._path} is larger than {BYTES_MAX} bytes"
                raise InvalidInput(why, faults=[Fault("line 1", "too large")], code=self._code)
            return content.decode("utf-8")
        except OSError as error:
            hint = f"copy {self._example} and edit it"
            raise InvalidInput(f"{self._path}: {error.strerror}", code="no-config", hint=hint) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise InvalidInput(f"{self._path}: 1 fault", faults=[Fault(f"line {line}", "not UTF-8")], code=self._code) from error


def dotted(place: Place) -> str:
    """`place` as people write it, numbers counted from 1."""
    return ".".join(str(part) if isinstance(part, str) else f"{part + 1}" for part in place if part != "[key]")


def nearest(word: str, known: Sequence[str]) -> str:
    """What may have been meant by `word`, as the end of a sentence."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if known and len(known) <= 20 else ""


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


def plainly(place: Place, kind: str, message: str) -> str:
    """A complaint of pydantic's in our words: its error type and message about the value at `place`."""
    words = _WORDS.get(kind) or re.sub(r"^Value error, ", "", message).replace("Input should be", "must be")
    return f"{dotted(place)}: {words.replace('String should match', 'must match')}"


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        return str(node.value)
    finally:
        loader.dispose()


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
        raise ValueError("must be days such as mon or mon-fri")  # pydantic asks for ValueError
    found: set[int] = set()
    for name in names:
        first, _, last = str(name).lower().partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(f"{name} is no day; days are {', '.join(_DAYS)}, and mon-fri")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


ClockTime = Annotated[time, BeforeValidator(_clock_time)]
"""A time of day as `07:30`; 24:00 is the midnight at the end of the day."""
Days = Annotated[frozenset[int], BeforeValidator(_days)]
"""Days of the week as `mon`, or a list of such and of `mon-fri`; 0 is Monday."""
