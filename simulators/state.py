"""What changes while the city runs: counters, faults, quirks, happenings, who is without power or line, what each loudspeaker heard."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

from simulators.cabinet import FACTORY_LEVEL, INTACT, Cabinet
from simulators.city import City, Outages, Parameters, SimDevice
from simulators.faults import HEALTHY, PROTOCOLS, Answer, Fault, merged
from simulators.happenings import Happening, Happenings
from simulators.heard import Heard
from simulators.journal import Journal
from simulators.sip.habits import USUAL, Habits
from simulators.traps import Traps
from simulators.views import STREET, Seen, View
from simulators.wires import Wires


class State:
    """Shared by all servers of one process. `now` gives seconds since the epoch; tests set it. `seed`: of what is left to chance.

    `faults`: what ails each device, everything at once merged.
    """

    def __init__(self, now: Callable[[], float] = time.time, *, seed: int = 0) -> None:
        self.now = now
        self.journal = Journal()
        self.counters: Counter[str] = Counter()
        self.faults: dict[str, Fault] = {}
        self.heard: dict[str, Heard] = {}
        self.cabinets: dict[str, Cabinet] = {}
        self.habits: dict[str, Habits] = {}
        self.wires = Wires()
        self.traps = Traps()
        self.logins: Counter[tuple[str, str]] = Counter()
        self._chance = random.Random(seed)
        self._causes: dict[str, dict[str, Fault]] = {}
        self._bodies: dict[str, tuple[Fault, SimDevice]] = {}
        self._outages: dict[str, Outages] = {}
        self._dark: set[str] = set()
        self._happenings: dict[str, Happenings] = {}
        self._views: dict[str, list[Seen]] = {}
        self._quirks: dict[str, dict[str, Parameters | None]] = {}
        self._clocks: dict[str, float] = {}
        self._at_reboot: list[Callable[[SimDevice], None]] = []
        self.boots: Counter[str] = Counter()
        self.discoverable = False
        """Whether the devices say Hello and answer probes."""

    def count(self, protocol: str, what: str, kind: str) -> None:
        """Add one to `protocol.what.kind`, for example `http.digest_bad.camera`."""
        self.counters[f"{protocol}.{what}.{kind}"] += 1

    def logged_in(self, protocol: str, device: SimDevice) -> None:
        """Note that somebody proved to know the device's secret: a good digest, the right community, a valid SNMPv3 message."""
        self.logins[device.id, protocol] += 1
        self.count(protocol, "digest_good" if protocol != "snmp" else "authentic", device.kind)

    def is_verified(self, device: SimDevice) -> bool:
        """Whether anybody logged in where the device tells who it is: a switch by SNMP, a telephone by SIP, all others by HTTP."""
        way = "snmp" if device.kind == "switch" else "sip" if "onvif" in device.lacks else "http"
        return self.logins[device.id, way] > 0

    # -- ills ---------------------------------------------------------------------------------------------------------

    @property
    def troubled(self) -> bool:
        """Whether any device is ill or dark: as long as none is, nobody need ask."""
        return bool(self.faults or self._dark)

    def fault(self, device: SimDevice) -> Fault:
        """What ails a device now; one without power or line keeps silent, whatever else it has."""
        fault = self.faults.get(device.id, HEALTHY)
        return replace(fault, answer=Answer.SILENT, delay_s=0.0, protocols=PROTOCOLS) if device.id in self._dark else fault

    def ill(self, device: SimDevice, protocol: str) -> tuple[Answer, float]:
        """How a device answers this one request on `protocol` and how many seconds later: what is left to chance is drawn here."""
        fault = self.fault(device)
        answer, delay_s = fault.on(protocol)
        loss, jitter_s = fault.chances(protocol)
        if loss and self._chance.random() < loss:
            return Answer.SILENT, 0.0
        return answer, delay_s + (self._chance.uniform(0.0, jitter_s) if jitter_s else 0.0)

    def ail(self, device: SimDevice, fault: Fault, *, cause: str = "", scenario: str = "", detail: str = "") -> None:
        """Give a device a fault beside those that it has of other causes; one of the same cause is replaced."""
        self._causes.setdefault(device.id, {})[cause] = fault
        self._settle(device)
        said = detail or json.dumps(fault.told(), ensure_ascii=False)
        self.journal.note(self.now(), "fault", device=device.id, detail=said, scenario=scenario)

    def cure(self, device: SimDevice, *, cause: str | None = "", scenario: str = "", detail: str = "") -> None:
        """Take away the fault of a cause, of every cause with None."""
        causes = self._causes.get(device.id, {})
        had = device.id in self.faults if cause is None else causes.pop(cause, None) is not None
        if cause is None:
            causes.clear()
        if had:
            self._settle(device)
            self.journal.note(self.now(), "healed", device=device.id, scenario=scenario, detail=detail)

    def _settle(self, device: SimDevice) -> None:
        """Merge what ails a device now, and stop or resume its recording."""
        before, fault = self.fault(device), merged(self._causes.get(device.id, {}).values())
        if fault == HEALTHY:
            self.faults.pop(device.id, None)
            self._causes.pop(device.id, None)
        else:
            self.faults[device.id] = fault
        if fault.view != before.view:
            self.look(device, View(fault.view or View.STREET))
        if fault.disk_full != before.disk_full:
            self._outages[device.id] = _switched(self._outages.get(device.id, ()), self.device_time(device), off=fault.disk_full)

    def dark(self, device: SimDevice) -> bool:
        """Whether it has no power, or no line."""
        return device.id in self._dark

    def darken(self, devices: Iterable[SimDevice], *, scenario: str = "", detail: str = "") -> None:
        """Take power or line from devices."""
        for device in devices:
            if device.id not in self._dark:
                self._dark.add(device.id)
                self.journal.note(self.now(), "dark", device=device.id, detail=detail, scenario=scenario)

    def light(self, devices: Iterable[SimDevice], *, scenario: str = "", detail: str = "") -> None:
        """Give it back."""
        for device in devices:
            if device.id in self._dark:
                self._dark.remove(device.id)
                self.journal.note(self.now(), "lit", device=device.id, detail=detail, scenario=scenario)

    def device_time(self, device: SimDevice) -> float:
        """What the device's own clock shows, in seconds since the epoch."""
        return self.now() + self.clock_offset_s(device)

    def clock_offset_s(self, device: SimDevice) -> float:
        """The device's own clock minus the city's, in seconds."""
        offset_s = self.fault(device).clock_offset_s if self.faults else 0.0
        saving = self.quirk(device, "wrong-dst") if self.odd(device) else None
        if saving is not None:
            offset_s += 3600 * float(saving["hours"])
        return device.clock_offset_s + offset_s + self._clocks.get(device.id, 0.0)

    def set_clock(self, device: SimDevice, shows: float, *, scenario: str = "") -> None:
        """Set the device's own clock, as its owner may: seconds since the epoch. A fault that shifts it goes on shifting it."""
        self._clocks[device.id] = self._clocks.get(device.id, 0.0) + shows - self.device_time(device)
        self.journal.note(self.now(), "clock", device=device.id, detail=f"{self._clocks[device.id]:.3f}", scenario=scenario)

    def right_clock(self, device: SimDevice, *, scenario: str = "") -> None:
        """Take back what a reboot, or anybody, did to a clock."""
        if self._clocks.pop(device.id, 0.0):
            self.journal.note(self.now(), "clock", device=device.id, detail="0", scenario=scenario)

    def rebooted(self, device: SimDevice, *, scenario: str = "", detail: str = "") -> None:
        """A device starts anew: whoever keeps something for it that does not outlive that is told (`at_reboot`).

        One without a battery for its clock (`reboot-resets-clock`) shows the first moment of a year.
        """
        if (quirk := self.quirk(device, "reboot-resets-clock")) is not None:
            self.set_clock(device, datetime(int(quirk["year"]), 1, 1, tzinfo=UTC).timestamp(), scenario=scenario)
        self.boots[device.id] += 1
        self.journal.note(self.now(), "reboot", device=device.id, detail=detail, scenario=scenario)
        if device.id in self._happenings:
            self._happenings[device.id].start_anew()
        for told in self._at_reboot:
            told(device)

    def at_reboot(self, told: Callable[[SimDevice], None]) -> None:
        """Have `told` called at each reboot of any device, in the order of asking."""
        self._at_reboot.append(told)

    # -- who stands where ---------------------------------------------------------------------------------------------

    def body(self, device: SimDevice) -> SimDevice:
        """A device as it is now, with another serial number, firmware or address when a fault says so: one object until that changes."""
        fault, outages = self.faults.get(device.id, HEALTHY), self._outages.get(device.id, ())
        if not fault.body and not outages:
            return device
        known = self._bodies.get(device.id)
        if known is None or known[0] is not fault or known[1].outages != outages:
            body: dict[str, Any] = {"outages": outages, **fault.body}
            known = self._bodies[device.id] = fault, replace(device, **body)
        return known[1]

    def at(self, city: City, address: str) -> SimDevice | None:
        """Who answers at an address now, as it is now."""
        device = city.by_address(address)
        if not self.faults and not self._outages:
            return device
        if device is not None and (body := self.body(device)).address == address:
            return body
        for device_id, fault in self.faults.items():
            if fault.address == address and (moved := city.by_id(device_id)) is not None:
                return self.body(moved)
        return None

    def view(self, device_id: str, at: float | None = None) -> Seen:
        """What a camera saw at a moment of the city's clock (None: sees now); footage of that moment shows it still."""
        changes = self._views.get(device_id)
        if not changes:
            return STREET
        moment = self.now() if at is None else at
        return next((seen for seen in reversed(changes) if seen.since <= moment), STREET)

    def look(self, device: SimDevice, view: View, *, scenario: str = "", detail: str = "") -> None:
        """From now on a camera sees this. Snapshots follow at once, streams with their next key picture."""
        if self.view(device.id).view is not view:
            self._views.setdefault(device.id, []).append(Seen(view, self.now()))
            self.journal.note(self.now(), f"view-{view}", device=device.id, detail=detail, scenario=scenario)

    def password(self, device: SimDevice) -> str:
        return self.fault(device).password or device.password

    def serial(self, device: SimDevice) -> str:
        """What it says that its serial number is."""
        shared = self.quirk(device, "shared-serial")
        return self.fault(device).serial or (str(shared["serial"]) if shared is not None else device.serial)

    # -- quirks -------------------------------------------------------------------------------------------------------

    def quirk(self, device: SimDevice, switch: str) -> Parameters | None:
        """The parameters of a quirk that a device has now, None when it has not: its own, unless switched since."""
        switched = self._quirks.get(device.id)
        if switched is not None and switch in switched:
            return switched[switch]
        return device.quirks.get(switch)

    def odd(self, device: SimDevice) -> bool:
        """Whether a device may have any quirk now."""
        return bool(device.quirks) or device.id in self._quirks

    def quirks_of(self, device: SimDevice) -> dict[str, Parameters]:
        """All quirks that a device has now."""
        now = {**device.quirks, **self._quirks.get(device.id, {})}
        return {switch: parameters for switch, parameters in now.items() if parameters is not None}

    def switch_quirk(self, device: SimDevice, switch: str, parameters: Parameters | None) -> None:
        """Give a device a quirk with all its parameters, or take it away (None)."""
        self._quirks.setdefault(device.id, {})[switch] = parameters
        self.journal.note(self.now(), "quirk" if parameters is not None else "quirk-off", device=device.id, detail=switch)

    # -- happenings ---------------------------------------------------------------------------------------------------

    def happenings(self, device: SimDevice) -> Happenings:
        return self._happenings.setdefault(device.id, Happenings())

    def happen(self, device: SimDevice, kind: str, *, on: bool = True) -> None:
        """Something (one of `simulators.happenings.KINDS`) begins or ends before a device."""
        self.happenings(device).tell(Happening(kind, on, self.device_time(device)))
        self.journal.note(self.now(), "event", device=device.id, detail=f"{kind} {'on' if on else 'off'}")

    # -- sound --------------------------------------------------------------------------------------------------------

    def volume(self, speaker: SimDevice) -> int:
        """How loud a loudspeaker is set, from 0 to 100."""
        volume = self.cabinet(speaker).volume
        return FACTORY_LEVEL if volume is None else volume

    def cabinet(self, speaker: SimDevice) -> Cabinet:
        """What a loudspeaker's volume, amplifier and contact are now."""
        return self.cabinets.get(speaker.id, INTACT)

    def habits_of(self, horn: SimDevice) -> Habits:
        """How a telephone takes calls now."""
        return self.habits.get(horn.id, USUAL)

    def heard_by(self, device: SimDevice) -> Heard:
        return self.heard.setdefault(device.id, Heard())


def _switched(outages: Outages, at: float, *, off: bool) -> Outages:
    """The times without recording, once it has stopped or gone on at a moment of the device's clock."""
    return (*outages, (at, inf)) if off else (*outages[:-1], (outages[-1][0], at))
