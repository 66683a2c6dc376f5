"""Hours of the week on the wall clock of a time zone: when something holds, and when it next ends."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

ALL_DAYS = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` until before `end` on each of `days` (0 is Monday). An `end` that is not after `start` is on the next day.

    The day is the one on which the hours begin: 22:00 to 07:00 on Friday lasts until Saturday morning.
    """

    start: time
    end: time
    days: frozenset[int] = ALL_DAYS

    def holds(self, moment: datetime, zone: tzinfo) -> bool:
        return self.until(moment, zone) is not None

    def until(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """When the hours that hold at `moment` end (UTC); None when none do. Hours that follow each other count as one."""
        end = self._end_of_those_at(moment, zone)
        for _ in range(7):  # around the clock, every day: no further than a week ahead
            following = end and self._end_of_those_at(end, zone)
            if following is None or following == end:
                break
            end = following
        return end

    def spans(self, begin: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
        """The times between `begin` and `end` in which they hold (UTC), in order and without overlap."""
        day, reached = begin.astimezone(zone).date() - timedelta(days=1), begin
        while day <= end.astimezone(zone).date():
            if day.weekday() in self.days:
                begins, ends = self._on(day, zone)
                begins, ends = max(begins, reached), min(ends, end)
                if begins < ends:
                    yield begins, ends
                    reached = ends
            day += timedelta(days=1)

    def _end_of_those_at(self, moment: datetime, zone: tzinfo) -> datetime | None:
        today = moment.astimezone(zone).date()
        for day in (today, today - timedelta(days=1)):
            if day.weekday() in self.days:
                begins, ends = self._on(day, zone)
                if begins <= moment < ends:
                    return ends
        return None

    def _on(self, day: date, zone: tzinfo) -> tuple[datetime, datetime]:
        last = day if self.end > self.start else day + timedelta(days=1)
        return _moment(day, self.start, zone), _moment(last, self.end, zone)


def _moment(day: date, at: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)
