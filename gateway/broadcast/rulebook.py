"""The rules of speaking applied to the city as it is: who may order what now, which loudspeakers are left out, and what happened lately."""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.clock import Clock
from gateway.domain.broadcast import Broadcast, BroadcastId, ClipContent, Content, Delivery, DeliveryState, Priority, Speech, Talk
from gateway.domain.broadcast_rules import (
    EVERYWHERE,
    LeftOut,
    Now,
    Past,
    Pauses,
    Rate,
    Reached,
    Refusal,
    SpeakingHours,
    Wish,
    left_out,
    quiet_for,
)
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, ZoneId
from gateway.errors import Conflict, Fault, Forbidden, GatewayError, InvalidInput

NEVER_QUIET = SpeakingHours(UTC, quiet=())
_NAMED = 5
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Restraint:
    """What the configuration sets. `override`: the priorities that may be heard in quiet hours for a reason; `longest`: of a programme."""

    pauses: Pauses = field(default_factory=Pauses)
    override: frozenset[Priority] = frozenset({Priority.ENFORCEMENT, Priority.TALK})
    longest: timedelta = timedelta(hours=1)
    per_minute: int = 1_000


FREE = Restraint()


class Rulebook:
    """Judges orders, and remembers what was said where. All in memory; `remember` takes up what the store knows at a start."""

    def __init__(self, *, city: City, clock: Clock, hours: Callable[[], SpeakingHours], restraint: Restraint = FREE) -> None:
        self._city = city
        self._clock = clock
        self._hours = hours
        self._restraint = restraint
        self._past = Past(restraint.pauses)
        self._rate = Rate(restraint.per_minute)
        self._reached = Reached()

    # -- orders -------------------------------------------------------------------------------------------------------

    def check_rate(self, sender: str, priority: Priority) -> None:
        """Count an order of `sender`. Raises Conflict (`too-many-broadcasts`): who waits for room would only add to them."""
        now = self._clock.monotonic()
        wait_s = self._rate.wait_s(sender, priority, now)
        if wait_s > 0:
            why = f"{self._restraint.per_minute} broadcasts were ordered within a minute"
            raise Conflict(why, code="too-many-broadcasts", hint=f"Order again in {wait_s:.0f} s.")
        self._rate.count(sender, priority, now)

    def reached(self, sender: str, *, priority: Priority, going_on: Container[BroadcastId]) -> frozenset[DeviceId]:
        """The loudspeakers that `sender` reaches without a second person, by broadcasts of the last minute or that are `going_on`.

        An order of `priority` is reckoned together with them.
        """
        return self._reached.of(sender, self._clock.monotonic(), priority=priority, going_on=going_on)

    def count_reach(self, wanted: Broadcast, speakers: Iterable[DeviceId]) -> None:
        """`wanted` goes to `speakers` without a second person."""
        self._reached.add(str(wanted.actor), wanted.id, wanted.priority, speakers, at=self._clock.monotonic())

    def check_duration(self, duration: timedelta) -> None:
        """Raises InvalidInput (`too-long`)."""
        longest = self._restraint.longest
        if duration > longest:
            why = f"takes {duration.total_seconds():.1f} s; at most {longest.total_seconds():g} s are allowed"
            raise InvalidInput("this broadcast is too long", code="too-long", faults=[Fault("/repeats", why)], hint="Repeat it less often.")

    def check_override(self, wanted: Broadcast, *, may_override: bool) -> None:
        """Raises Forbidden (`override-not-allowed`) when `wanted` asks for what its sender may not, or its priority does not allow."""
        if not wanted.override or wanted.priority is Priority.EMERGENCY:
            return
        if not may_override:
            hint = "Ask for a key that may (broadcast:override), or leave `override` out."
            raise Forbidden("this key may not speak in quiet hours", code="override-not-allowed", hint=hint)
        if wanted.priority not in self._restraint.override:
            allowed = ", ".join(priority.name.lower() for priority in sorted(self._restraint.override)) or "none"
            why = f"the priority {wanted.priority.name.lower()} is not heard in quiet hours for any reason"
            raise Forbidden(why, code="override-not-allowed", hint=f"These are: {allowed}; an emergency always is (broadcast.override).")

    def admit(self, wanted: Broadcast, speakers: Iterable[DeviceId], duration: timedelta) -> Mapping[DeviceId, LeftOut]:
        """Expect `wanted` at those of `speakers` that may say it, and return the others, each with the reason. Raises as `judge` does."""
        asked = sorted(speakers)
        out = self.judge(wanted, asked, duration)
        mark = content_mark(wanted.programme.content)
        self._past.forget(self._clock.monotonic())
        for speaker in asked:
            if speaker not in out:
                self._past.expect(wanted.id, speaker, content=mark, priority=wanted.priority)
        return out

    def judge(self, wanted: Broadcast, speakers: Iterable[DeviceId], duration: timedelta) -> Mapping[DeviceId, LeftOut]:
        """Those of `speakers` that may not say `wanted` now, each with the reason.

        Raises Forbidden (`quiet-hours`) or Conflict (`duplicate`, `cooling-down`) when none of them may.
        """
        asked, wish = sorted(speakers), self._wish(wanted, duration)
        out = left_out(wish, asked, hours=self._hours(), past=self._past, zones_of=self._zones(), now=self._now())
        if asked and len(out) == len(asked):
            raise self._refusal(out)
        return out

    def withdraw(self, broadcast: BroadcastId, speakers: Iterable[DeviceId]) -> None:
        """An order that was admitted did not come to be."""
        self._reached.drop(broadcast)
        for speaker in speakers:
            self._past.drop(broadcast, speaker)

    def word(self, wanted: Broadcast, speaker: DeviceId, duration: timedelta) -> str:
        """Why `speaker` may not say `wanted` now, "" when it may."""
        out = left_out(
            self._wish(wanted, duration), [speaker], hours=self._hours(), past=self._past, zones_of=self._zones(), now=self._now()
        )
        return out[speaker].reason.value if out else ""

    # -- deliveries ---------------------------------------------------------------------------------------------------

    def quiet_from(self, wanted: Broadcast, speaker: DeviceId, duration: timedelta) -> datetime | None:
        """When quiet hours begin that `wanted` would meet at `speaker` within `duration` from now; None when it meets none.

        A broadcast that has waited is asked once more before it begins; a talk must end then.
        """
        quiet = quiet_for(self._wish(wanted, duration), self._zones()(speaker), self._hours(), self._clock.now())
        return None if quiet is None else quiet.begin

    def cools_for(self, wanted: Broadcast, speaker: DeviceId) -> float:
        """How many seconds `speaker` still keeps silent before `wanted`."""
        return self._past.cools_for(wanted.priority, speaker, self._clock.monotonic())

    def loudest(self, wanted: Broadcast, speaker: DeviceId, duration: timedelta) -> int | None:
        """How loud, in percent of a device's own range, `speaker` may be; None: as loud as it is set. An emergency always is."""
        if wanted.priority is Priority.EMERGENCY:
            return None
        now = self._clock.now()
        return self._hours().loudest(self._zones()(speaker), now, now + duration)

    def ended(self, delivery: Delivery) -> None:
        """A delivery has come to its end."""
        self._past.ended(delivery, silent_since=self._steady(delivery.figures.last_packet_at or delivery.since))

    def remember(self, recent: Iterable[tuple[Broadcast, Delivery]]) -> None:
        """Take up what was said before this start."""
        for broadcast, delivery in recent:
            mark = content_mark(broadcast.programme.content)
            self._past.expect(broadcast.id, delivery.speaker, content=mark, priority=broadcast.priority)
            self.ended(delivery)
            if broadcast.approved_by is None and (delivery.figures.packets or delivery.state is DeliveryState.UNKNOWN):
                at = self._steady(broadcast.created_at)
                self._reached.add(str(broadcast.actor), broadcast.id, broadcast.priority, [delivery.speaker], at=at)

    @property
    def memory(self) -> timedelta:
        """For how long the past counts."""
        return max(self._restraint.pauses.longest, _MINUTE)

    # -- judging ------------------------------------------------------------------------------------------------------

    def _wish(self, wanted: Broadcast, duration: timedelta) -> Wish:
        mark = content_mark(wanted.programme.content)
        return Wish(wanted.id, wanted.priority, mark, duration, wanted.not_after, overridden=bool(wanted.override), again=wanted.again)

    def _zones(self) -> Callable[[DeviceId], frozenset[ZoneId]]:
        """In which zones a loudspeaker is."""
        zones = self._city.zones.values()
        return lambda speaker: frozenset(zone.id for zone in zones if speaker in zone.speakers)

    def _now(self) -> Now:
        return Now(self._clock.now(), self._clock.monotonic())

    def _steady(self, moment: datetime) -> float:
        """A moment that is over, by the clock that only goes forward."""
        age_s = (self._clock.now() - moment).total_seconds()
        return self._clock.monotonic() - max(0.0, age_s)

    def _refusal(self, out: Mapping[DeviceId, LeftOut]) -> GatewayError:
        """Why nothing of an order can be said: the reason that most of its loudspeakers have."""
        reasons = [why.reason for why in out.values()]
        reason = max(Refusal, key=reasons.count)
        chosen = next(why for why in out.values() if why.reason is reason)
        names = ", ".join(sorted(out)[:_NAMED]) + (" …" if len(out) > _NAMED else "")
        match reason:
            case Refusal.QUIET_HOURS:
                return self._quiet(chosen, names)
            case Refusal.DUPLICATE:
                hint = f"Look at {chosen.before}; to say it once more all the same, send `again`."
                return Conflict(f"the same is being said, or was a moment ago, by {names}: {chosen.before}", code=reason, hint=hint)
            case Refusal.COOLING_DOWN:
                until = f"{chosen.until.astimezone(self._hours().timezone):%H:%M:%S}" if chosen.until else "a while"
                hint = "Order it again then, with a later `not_after`, or with a higher priority."
                why = f"{names} spoke a moment ago and must be silent until {until}"
                return Conflict(why, code=reason, hint=hint, values={"until": until})

    def _quiet(self, why: LeftOut, names: str) -> Forbidden:
        place = "the city" if why.zone == EVERYWHERE else f"the zone {why.zone}"
        zone = self._city.zones.get(why.zone)
        by = f" ({why.name})" if why.name else ""
        until = f"{why.until.astimezone(self._hours().timezone):%Y-%m-%d %H:%M}" if why.until else "further notice"
        hint = f"Order it after {until}, or name the reason in `override` if you may; an emergency is heard at any hour."
        values = {"zone": zone.name or zone.id if zone else why.zone, "because": why.name, "until": until}
        return Forbidden(f"{place} is quiet{by} until {until}: {names}", code=why.reason, hint=hint, values=values)


def content_mark(content: Content) -> str:
    """The same for what sounds the same; "" for what is never the same."""
    match content:
        case ClipContent(clip):
            return f"clip {clip}"
        case Speech(text, voice):
            return f"speech {voice} {text}"
        case Talk():
            return ""
