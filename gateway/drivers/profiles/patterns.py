"""Regular expressions that a file may hold: those that cannot hold up the loop."""

import re
import time
from collections.abc import Iterable
from re import _constants as sre  # type: ignore[attr-defined]  # private, see `bounded_pattern`: typeshed has no stubs of it
from re import _parser as sre_parser  # type: ignore[attr-defined]  # as above
from typing import Annotated, Any

from pydantic import AfterValidator

TEXT_LIMIT = 256  # characters of a device's string that a regular expression ever sees
_UNBOUNDED_LIMIT = 6  # unbounded repeats in one pattern: the degree of its worst case
_CHOICES_LIMIT = 12  # other repeats and alternatives: powers of two
_LENGTHS = (16, 32, 64, 128, TEXT_LIMIT)
_PATTERN_LIMIT_S = 0.05  # rule 10: what one pattern may cost on the worst text we can think of


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


def _checked(text: str) -> str:
    bounded_pattern(text)
    return text


Pattern = Annotated[str, AfterValidator(_checked)]
"""A pattern in a file: stays text, once it is known to be harmless."""
