"""Reading YAML into rows with line numbers, from parser events: flat, so that no nesting and no alias can harm."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from gateway.errors import Fault, InvalidInput
from gateway.inventory.raw import NOUNS, Noun, RawFile, RawRow, RawValue

VERSION: Final = "1"
_Event = Any  # yaml's events: each has a start_mark
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


def read(data: bytes) -> RawFile:
    """The lists of a version 1 inventory file. InvalidInput with the line for what is not YAML or not shaped like one."""
    try:
        return _document(_Events(yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _broken(mark.line + 1 if mark else 1, error.problem or str(error)) from error
    except yaml.YAMLError as error:
        raise _broken(1, str(error).splitlines()[0]) from error


class _Events:
    """The events of a file, read one by one, each with a look at the next."""

    def __init__(self, events: Iterator[_Event]) -> None:
        self._events = events
        self.line = 1

    def take(self) -> _Event:
        event = next(self._events)
        self.line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _broken(self.line, "aliases are not taken: write the value out")
        return event

    def expect(self, kind: type[_Event], what: str) -> _Event:
        event = self.take()
        if not isinstance(event, kind):
            raise _broken(self.line, f"expected {what}")
        return event


def _document(events: _Events) -> RawFile:
    events.expect(yaml.StreamStartEvent, "a file")
    events.expect(yaml.DocumentStartEvent, "a mapping with the lists groups, devices, channels, zones: the file is empty")
    events.expect(yaml.MappingStartEvent, "a mapping with the lists groups, devices, channels, zones")
    settings: dict[str, str] = {}
    nouns: set[Noun] = set()
    rows: list[RawRow] = []
    for line, key in _keys(events):
        if key in nouns or key in settings:
            raise _broken(line, f"{key!r} stands twice")
        if key in NOUNS:
            nouns.add(Noun(key))
            rows.extend(_rows(events, Noun(key)))
        elif key in ("version", "coordinates"):
            settings[key] = _text(events.expect(yaml.ScalarEvent, f"a value for {key!r}"))
        else:
            raise _broken(line, f"unknown key {key!r}: use version, coordinates, {', '.join(Noun)}")
    _check_end(events, settings)
    return RawFile(settings.get("coordinates", ""), frozenset(nouns), rows)


def _check_end(events: _Events, settings: dict[str, str]) -> None:
    if settings.get("version", VERSION) != VERSION:
        raise _broken(1, f"version {settings['version']!r} is not known: this program reads version {VERSION}")
    events.expect(yaml.DocumentEndEvent, "the end of the document")
    events.expect(yaml.StreamEndEvent, "one document in the file")


def _rows(events: _Events, noun: Noun) -> Iterator[RawRow]:
    start = events.take()
    if isinstance(start, yaml.ScalarEvent) and _text(start) == "":
        return
    if not isinstance(start, yaml.SequenceStartEvent):
        raise _broken(events.line, f"'{noun}' must be a list")
    while not isinstance(event := events.take(), yaml.SequenceEndEvent):
        if not isinstance(event, yaml.MappingStartEvent):
            raise _broken(events.line, f"an entry of '{noun}' must be a mapping")
        where = f"line {events.line}"
        yield RawRow(noun, where, _mapping(events))


def _mapping(events: _Events) -> dict[str, RawValue]:
    values: dict[str, RawValue] = {}
    for line, key in _keys(events):
        if key in values:
            raise _broken(line, f"{key!r} stands twice")
        values[key] = _value(events, key)
    return values


def _keys(events: _Events) -> Iterator[tuple[int, str]]:
    while not isinstance(event := events.take(), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise _broken(events.line, "a key must be plain text")
        yield events.line, event.value


def _value(events: _Events, key: str) -> RawValue:
    event = events.take()
    if isinstance(event, yaml.ScalarEvent):
        return _text(event)
    if not isinstance(event, yaml.SequenceStartEvent):
        raise _broken(events.line, f"{key!r} must be a value or a list of values")
    items: list[str] = []
    while not isinstance(event := events.take(), yaml.SequenceEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise _broken(events.line, f"{key!r} must hold plain values")
        items.append(_text(event))
    return items


def _text(event: _Event) -> str:
    """A scalar as it is written (so `0771` stays `0771`); a plain null is empty."""
    return "" if not event.style and event.value in _NULLS else str(event.value)


def _broken(line: int, why: str) -> InvalidInput:
    return InvalidInput("the file cannot be read", faults=[Fault(f"line {line}", why)], code="unreadable")
