"""A subscription to one device's events, kept alive whatever the device does: an `EventSource`."""

import os
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from lxml import etree

from gateway.clock import Clock
from gateway.domain.quirks import Quirks
from gateway.drivers.base import DeviceEvent
from gateway.drivers.http import Conversation, Http, T
from gateway.drivers.onvif import leases, subscribing
from gateway.drivers.onvif.alarms import Alarms
from gateway.drivers.onvif.caller import Caller
from gateway.drivers.onvif.leases import Course, Do, Habits, Sign
from gateway.drivers.onvif.notifications import MESSAGES_LIMIT, read_notifications
from gateway.drivers.onvif.soap import EVENTS, Operation
from gateway.drivers.onvif.subscribing import Reference
from gateway.drivers.onvif.times import write_datetime
from gateway.errors import AuthenticationFailed, DeviceError, DeviceFault, NotSupported, Overloaded, ProtocolError

CALL_S = 10.0
"""For a call that need not wait; a pull has this beside the time that it may wait."""
END_S = 3.0
Take = Callable[[DeviceEvent], None]


class TimeForm(StrEnum):
    """How the end of a lease is asked for."""

    SECONDS = "seconds"
    ABSOLUTE = "absolute"


class Subscriber:
    """One device's events. What it learns of the device outlives a subscription and a `run`.

    `http` is not the one of the health checks: a pull that waits must not take a check's place. One conversation at a time.
    """

    def __init__(self, device: Caller, http: Http, clock: Clock, *, pull_s: float = leases.PULL_S) -> None:
        self._device = device
        self._http = http
        self._clock = clock
        self._pull_s = pull_s
        self._habits = Habits(spread=zlib.crc32(device.target.device.encode()) % 100 / 100)
        self._form = TimeForm.SECONDS
        self._forms_tried = False
        self._addressing = True
        self._addressing_proven = False
        self._ahead = timedelta()
        self._alarms = Alarms()
        self._reference: Reference | None = None
        self._pulled_at = float("-inf")
        self.subscribes: bool | None = None
        """Whether the device takes subscriptions; None as long as nobody knows."""
        self.heard_at: float | None = None
        """When a pull was last answered, by our monotonic clock: the subscription was alive then."""

    async def run(self, take: Take) -> None:
        """Hand each event to `take` until cancelled; then end the subscription, where ending one does not end everybody's."""
        course = Course()
        try:
            while True:
                course = await self._go_on(course, take)
        finally:
            await self._end()

    def learned(self) -> Mapping[str, str]:
        """What the device taught us about its subscriptions, in words."""
        return dict(self._lessons())

    def _lessons(self) -> Iterator[tuple[str, str]]:
        if self.subscribes is not None:
            yield "subscriptions", "taken" if self.subscribes else "refused"
        if self._form is not TimeForm.SECONDS:
            yield "ends of leases", self._form
        if self._addressing_proven:
            yield "addressing", "taken" if self._addressing else "refused"
        if not self._habits.renews:
            yield "renewing", "refused"
        if not self._habits.synchronises:
            yield "synchronization points", "refused"

    # -- steps ---------------------------------------------------------------------------------------------------------

    async def _go_on(self, course: Course, take: Take) -> Course:
        now, quirks = self._clock.monotonic(), self._device.target.quirks
        course = leases.aged(course, now)
        for ended in self._alarms.due(quirks, now, self._clock.now()):
            take(ended)
        self._habits = replace(self._habits, renew_gap_s=quirks.number("renewing-crashes", "within_s", 0.0))
        step, for_s = leases.next_step(course, self._habits, now, pull_s=self._pull_s)
        for_s = max(min(for_s, self._alarms.next_due(quirks) - now), 0.0)
        if step is Do.WAIT:
            await self._clock.sleep(for_s)
            return course
        try:
            sign, lease_s = await self._do(step, for_s, take)
        except (DeviceFault, ProtocolError) as refusal:
            sign, lease_s = self._refused(step, refusal), None
        except AuthenticationFailed:
            sign, lease_s = (Sign.DENIED if step is Do.CREATE else Sign.SILENT), None
        except (DeviceError, Overloaded):
            sign, lease_s = Sign.SILENT, None
        return leases.after(course, sign, self._habits, self._clock.monotonic(), lease_s=lease_s)

    async def _do(self, step: Do, for_s: float, take: Take) -> tuple[Sign, float | None]:
        if step is Do.CREATE:
            return Sign.GRANTED, await self._create()
        if step is Do.PULL:
            return await self._pull(for_s, take)
        if step is Do.RENEW:
            current, ends = subscribing.read_times(await self._call("Renew", lambda header: subscribing.renew(self._until(), header)))
            return Sign.RENEWED, subscribing.lasts_s(current or self._device_now(), ends)
        if step is Do.SYNCHRONISE:
            await self._call("SetSynchronizationPoint", subscribing.synchronise)
            return Sign.ASKED, None
        await self._end()
        return Sign.REPLACED, None

    def _refused(self, step: Do, refusal: DeviceError) -> Sign:
        """What a refusal of a step means, and what is learnt from it."""
        if step is Do.RENEW:
            self._habits = replace(self._habits, renews=False)
            return Sign.REFUSED
        if step is Do.SYNCHRONISE:
            self._habits = replace(self._habits, synchronises=False)
            return Sign.REFUSED
        if step is Do.CREATE:
            if not isinstance(refusal, NotSupported):
                return Sign.DENIED
            self.subscribes = False
            return Sign.UNABLE
        if not self._addressing_proven:
            self._addressing = not self._addressing
        self._reference = None
        return Sign.REFUSED

    # -- subscribing ---------------------------------------------------------------------------------------------------

    async def _create(self) -> float | None:
        """A new pull point; how long its lease lasts. One that the device read otherwise than asked is asked for anew, by a moment."""
        await self._end()
        lasts = await self._create_either_way()
        if lasts is not None and leases.is_too_short(leases.LEASE_S, lasts) and not self._forms_tried:
            self._forms_tried = True
            self._form = TimeForm.ABSOLUTE
            await self._end()
            better = await self._create_either_way()
            if better is not None and leases.is_too_short(leases.LEASE_S, better):
                self._form = TimeForm.SECONDS
            lasts = better
        if lasts is not None and lasts <= 0:
            raise DeviceFault("the subscription ended when it began")
        self.subscribes = True
        return lasts

    async def _create_either_way(self) -> float | None:
        """With addressing headers or without, as long as it is not known which of them the device takes."""
        try:
            return await self._create_once()
        except (DeviceFault, ProtocolError):
            if self._addressing_proven:
                raise
            self._addressing = not self._addressing
        try:
            return await self._create_once()
        except DeviceError:
            self._addressing = True
            raise

    async def _create_once(self) -> float | None:
        grant = subscribing.read_grant(await self._converse(self._creating(), CALL_S))
        self._reference = grant.reference
        if grant.current is not None:
            self._ahead = grant.current - self._clock.now()
        return subscribing.lasts_s(grant.current or self._device_now(), grant.ends)

    def _creating(self) -> Conversation[etree._Element]:
        path, target = (yield from self._device.path(EVENTS)), self._device.target
        header = self._header("CreatePullPointSubscription", f"http://{target.address}:{target.ports.onvif}{path}")
        return (yield from self._device.calling(subscribing.create(self._until(), header)))

    async def _pull(self, for_s: float, take: Take) -> tuple[Sign, float | None]:
        await self._clock.sleep(self._pulled_at + leases.PACE_S - self._clock.monotonic())
        self._pulled_at = self._clock.monotonic()
        payload = await self._call("PullMessages", lambda header: subscribing.pull(for_s, header), wait_s=for_s)
        self._addressing_proven = True
        self.heard_at = self._clock.monotonic()
        current, ends = subscribing.read_times(payload)
        told = read_notifications(payload, received=self._clock.now())
        if len(told) >= min(subscribing.MESSAGES, MESSAGES_LIMIT):
            self._pulled_at = float("-inf")  # there is more
        for event in told:
            meant = self._alarms.take(event, self._device.target.quirks, self._clock.monotonic())
            if meant is not None:
                take(meant)
        return (Sign.TOLD if told else Sign.QUIET), subscribing.lasts_s(current or self._device_now(), ends)

    async def _end(self) -> None:
        """End what we have. A device that does not hear that ends it by itself, soon."""
        if self._reference is not None and ends_ours_alone(self._device.target.quirks):
            try:
                await self._call("Unsubscribe", subscribing.unsubscribe, deadline_s=END_S)
            except (DeviceError, Overloaded):
                pass
        self._reference = None

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _call(
        self, name: str, operation: Callable[[bytes], Operation], *, wait_s: float = 0.0, deadline_s: float = CALL_S
    ) -> etree._Element:
        """One call to the pull point that we have."""
        assert self._reference is not None
        asked = operation(self._header(name, self._reference.address) + self._reference.parameters)
        return await self._converse(self._device.signed(asked, self._reference.path), wait_s + deadline_s)

    async def _converse(self, conversation: Conversation[T], timeout_s: float) -> T:
        target = self._device.target
        return await self._http.converse(target.address, target.ports.onvif, conversation, timeout_s=timeout_s)

    def _header(self, name: str, to: str) -> bytes:
        if not self._addressing:
            return b""
        return subscribing.addressing(name, to, message_id=f"urn:uuid:{uuid.UUID(bytes=os.urandom(16), version=4)}")

    def _until(self) -> str:
        if self._form is TimeForm.SECONDS:
            return subscribing.duration(leases.LEASE_S)
        return write_datetime(self._device_now() + timedelta(seconds=leases.LEASE_S))

    def _device_now(self) -> datetime:
        return self._clock.now() + self._ahead


def ends_ours_alone(quirks: Quirks) -> bool:
    """Whether ending our subscription leaves everybody else's alone; else it is left to run out."""
    return "unsubscribe-ends-all" not in quirks
