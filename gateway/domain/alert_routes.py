"""Which incidents which route takes, and why it does not take the others: the routes are asked in order, as they stand in the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from gateway.domain.hours import Hours
from gateway.domain.severity import Severity
from gateway.domain.trouble import Trouble

NOT_MATCHED, EARLIER_ROUTE, NO_ROUTE = "not-matched", "earlier-route", "no-route"


@dataclass(frozen=True, slots=True)
class Match:
    """What a route takes: all that is named must fit, and of a list one entry is enough. Empty takes everything."""

    severity: Severity = Severity.WARNING
    kinds: frozenset[str] = frozenset()
    districts: frozenset[str] = frozenset()
    cells: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    vendors: frozenset[str] = frozenset()
    times: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which a route holds back what is less than `below`, until they end. What is critical always passes."""

    hours: Hours
    below: Severity = Severity.CRITICAL

    def until(self, severity: Severity, now: datetime, zone: tzinfo) -> datetime | None:
        """Until when something of `severity` is held back; None when it passes."""
        passes = severity is Severity.CRITICAL or severity.at_least(self.below)
        return None if passes else self.hours.until(now, zone)


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told of what, and how often. `goes_on`: whether later routes are asked as well when this one takes something."""

    name: str
    channels: tuple[str, ...]
    match: Match = Match()
    on_duty: bool = False
    goes_on: bool = False
    recovery: bool = True
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=2)
    remind: timedelta = timedelta()
    quiet: tuple[Quiet, ...] = ()

    def held_until(self, severity: Severity, now: datetime, zone: tzinfo) -> datetime | None:
        """Until when quiet hours hold back something of `severity`; None when it passes."""
        return max((until for one in self.quiet if (until := one.until(severity, now, zone))), default=None)


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes, in order, and the time zone of their hours."""

    routes: tuple[Route, ...] = ()
    zone: tzinfo = UTC

    def named(self, name: str) -> Route | None:
        return next((route for route in self.routes if route.name == name), None)


NO_ROUTES = Routes()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one route said to an incident. `reason` is "" when it takes it; `detail` says which condition failed, in English."""

    route: Route
    reason: str = ""
    detail: str = ""

    @property
    def takes(self) -> bool:
        return not self.reason


def verdicts(trouble: Trouble, routes: Routes, *, now: datetime, taken_by: frozenset[str] = frozenset()) -> Sequence[Verdict]:
    """What each route says to `trouble` at `now`. A route of `taken_by` has it already, and says yes whatever the hour is."""
    found: list[Verdict] = []
    taker = ""
    for route in routes.routes:
        if taker:
            found.append(Verdict(route, EARLIER_ROUTE, f"the route {taker} took it and does not continue"))
            continue
        failed = "" if route.name in taken_by else next(_failing(route.match, trouble, now, routes.zone), "")
        found.append(Verdict(route, NOT_MATCHED if failed else "", failed))
        if not failed and not route.goes_on:
            taker = route.name
    return found


def _failing(match: Match, trouble: Trouble, now: datetime, zone: tzinfo) -> Iterator[str]:
    """What of `match` does not fit, in words."""
    if not trouble.severity.at_least(match.severity):
        yield f"its severity {trouble.severity} is below {match.severity}"
    for name in ("kinds", "districts", "cells", "groups", "vendors"):
        wanted: frozenset[str] = getattr(match, name)
        if wanted and wanted.isdisjoint(getattr(trouble, name)):
            has = ", ".join(sorted(getattr(trouble, name))[:5]) or "none"
            yield f"its {name} ({has}) are not among {', '.join(sorted(wanted)[:5])}"
    if match.times and not any(hours.holds(now, zone) for hours in match.times):
        yield f"{now.astimezone(zone):%a %H:%M} is outside the hours of the route"
