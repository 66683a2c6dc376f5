"""What becomes of incidents when devices fall and return: the uplink tree, common causes, grace, reopening, blindness."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.causes import Neighbourhoods, Patience, oddities
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Channel, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.health import Board, HealthState, Standing
from gateway.domain.incident_book import News
from gateway.domain.incidents import Act, CauseKind, Incident, IncidentId, IncidentState, Role, Scope, acted
from gateway.domain.maintenance import WindowId
from gateway.domain.reckoning import Reckoning, Scene, reckon
from gateway.domain.severity import Severity

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
UP, DOWN, DEGRADED, UNKNOWN = HealthState.UP, HealthState.DOWN, HealthState.DEGRADED, HealthState.UNKNOWN
PATIENCE = Patience()


class Street:
    """A city on a board whose devices fall and return by hand, and the incidents that come of it."""

    def __init__(self, devices: Iterable[Device], groups: Iterable[CameraGroup] = ()) -> None:
        self.city = City()
        self.city.replace(devices=devices, groups=groups)
        self.board = Board()
        self.now = NOON
        self.near = Neighbourhoods(self.city)
        self.kept: dict[IncidentId, Incident] = {}
        self.muted: dict[DeviceId, WindowId] = {}
        self.suspects: set[str] = set()
        self.last = Reckoning((), frozenset(), frozenset(), {})
        self.news: list[tuple[IncidentId, News]] = []
        self._numbers = itertools.count(1)
        for device in self.city.devices:
            self.board.put(Standing(device, UP, NOON - timedelta(days=1), last_seen=NOON - timedelta(seconds=9)))

    def set(self, *ids: str, state: HealthState = DOWN, reason: str = "timeout", at: datetime | None = None) -> None:
        for one in map(DeviceId, ids):
            before = self.board[one]
            seen = (at or self.now) if state in (UP, DEGRADED) else before.last_seen
            self.board.put(Standing(one, state, at or self.now, reason if state is not UP else "", "reach", seen))

    def see(self, *ids: str) -> None:
        """These answer a visit now."""
        for one in map(DeviceId, ids):
            self.board.put(replace(self.board[one], last_seen=self.now))

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def look(self, after_s: float = 0.0) -> Reckoning:
        self.pass_(after_s)
        scene = Scene(
            city=self.city,
            board=self.board,
            near=self.near,
            muted=self.muted,
            suspects=frozenset(map(DeviceId, self.suspects)),
            patience=PATIENCE,
        )
        self.last = reckon(scene, self.kept.values(), self.now, new_id=lambda: IncidentId(f"I-{next(self._numbers)}"))
        for changed in self.last.changed:
            self.kept[changed.incident.id] = changed.incident
            self.news += [(changed.incident.id, news) for news in changed.news]
        return self.last

    @property
    def live(self) -> list[Incident]:
        return [one for one in self.kept.values() if one.live]

    @property
    def only(self) -> Incident:
        (incident,) = self.live
        return incident

    def told(self, news: News) -> int:
        return sum(one is news for _, one in self.news)


def tree(poles: int = 4, cameras: int = 3) -> Street:
    """One aggregation switch, poles with a switch and cameras, a recorder of all cameras; each pole in a subnet of its own."""
    devices = [device("agg", DeviceKind.SWITCH, address="10.9.0.1")]
    names = []
    for pole in range(1, poles + 1):
        devices.append(device(f"sw-{pole}", DeviceKind.SWITCH, uplink="agg", group=f"g-{pole}", address=f"10.0.{pole}.1"))
        for number in range(1, cameras + 1):
            names.append(f"cam-{pole}-{number}")
            devices.append(
                device(names[-1], DeviceKind.CAMERA, uplink=f"sw-{pole}", group=f"g-{pole}", address=f"10.0.{pole}.{number + 1}")
            )
    channels = tuple(Channel(number, DeviceId(name)) for number, name in enumerate(names, start=1))
    devices.append(replace(device("nvr", DeviceKind.RECORDER, uplink="agg", address="10.9.0.2"), channels=channels))
    groups = [
        CameraGroup(GroupId(f"g-{pole}"), f"杆{pole}", street=f"街{(pole + 1) // 2}", district="历下") for pole in range(1, poles + 1)
    ]
    return Street(devices, groups)


def device(name: str, kind: DeviceKind, *, uplink: str | None = None, group: str | None = None, address: str = "10.1.0.1") -> Device:
    return Device(
        DeviceId(name),
        kind,
        f"name of {name}",
        address,
        group=GroupId(group) if group else None,
        uplink=DeviceId(uplink) if uplink else None,
        vendor="Acme",
        model="M1",
    )


def behind(pole: int, cameras: int = 3) -> list[str]:
    return [f"cam-{pole}-{number}" for number in range(1, cameras + 1)]


# -- the uplink tree --------------------------------------------------------------------------------------------------


def test_a_dead_switch_is_one_incident_that_explains_what_hangs_behind_it_and_is_resolved_when_all_is_back() -> None:
    street = tree()
    everything = [one for one in street.city.devices if one != "agg"]
    street.set(*everything[:5])
    assert not street.look(after_s=1).changed
    assert street.last.visit <= {"agg", *everything}
    street.set("agg", *everything)
    street.look(after_s=5)
    incident = street.only
    assert (incident.cause.kind, incident.cause.device) == (CauseKind.DEVICE, "agg")
    assert set(incident.members) == set(street.city.devices)
    assert incident.members[DeviceId("agg")].role is Role.ROOT
    assert {one.role for one in incident.members.values() if one.device != "agg"} == {Role.EXPLAINED}
    assert incident.severity is Severity.CRITICAL
    assert street.last.circumstances[DeviceId("cam-1-1")].suppressed_by == "sw-1"
    assert street.last.circumstances[DeviceId("sw-1")].suppressed_by == "agg"
    street.set("agg", state=UP)
    street.look(after_s=1)
    assert street.only.id == incident.id
    street.set(*everything, state=UP)
    street.look(after_s=20)
    assert not street.live
    assert [street.told(one) for one in (News.OPENED, News.RESOLVED)] == [1, 1]


def test_a_camera_whose_switch_was_seen_alive_after_it_fell_has_an_incident_of_its_own() -> None:
    street = tree()
    street.set("cam-1-1")
    street.look(after_s=5)
    assert street.last.visit == {"sw-1"}
    assert not street.live
    street.see("sw-1")
    street.look()
    assert street.only.cause.device == "cam-1-1"
    assert street.only.severity is Severity.MAJOR


def test_a_device_waits_for_an_uplink_that_nobody_can_reach_no_longer_than_the_bound() -> None:
    street = tree()
    street.set("cam-1-1")
    street.look(after_s=PATIENCE.uplink_wait.total_seconds() - 1)
    assert not street.live
    street.look(after_s=2)
    assert street.only.cause.device == "cam-1-1"


def test_a_device_waits_twice_as_long_for_an_uplink_that_is_silent_already() -> None:
    street = tree()
    street.suspects = {"sw-1"}
    street.set("cam-1-1")
    street.look(after_s=2 * PATIENCE.uplink_wait.total_seconds() - 1)
    assert not street.live
    street.look(after_s=2)
    assert street.only.cause.device == "cam-1-1"


def test_an_uplink_of_which_nothing_is_known_is_passed_over_and_the_next_decides() -> None:
    street = tree()
    street.set("sw-1", state=UNKNOWN)
    street.set("agg", "cam-1-1")
    street.look(after_s=5)
    assert street.only.cause.device == "agg"
    assert set(street.only.members) == {"agg", "cam-1-1"}


def test_a_dead_recorder_does_not_make_its_cameras_down() -> None:
    street = tree()
    street.set("nvr")
    street.see("agg")
    street.look(after_s=5)
    assert set(street.only.members) == {"nvr"}
    assert street.only.severity is Severity.CRITICAL


def test_children_that_are_still_down_when_the_grace_is_over_open_their_own() -> None:
    street = tree()
    street.set("sw-1", *behind(1))
    street.see("agg")
    street.look(after_s=5)
    first = street.only
    assert first.cause.device == "sw-1"
    street.set("sw-1", "cam-1-1", state=UP)
    street.look(after_s=60)
    assert street.only.id == first.id
    street.see("sw-1")
    street.look(after_s=PATIENCE.grace.total_seconds() + 1)
    street.look(after_s=1)
    assert not street.kept[first.id].live
    assert {incident.cause.device for incident in street.live} == {"cam-1-2", "cam-1-3"}


def test_a_loop_and_an_unknown_uplink_in_the_inventory_are_survived_and_shown() -> None:
    street = Street(
        [
            device("a", DeviceKind.SWITCH, uplink="b"),
            device("b", DeviceKind.SWITCH, uplink="a"),
            device("c", DeviceKind.CAMERA, uplink="b"),
            device("d", DeviceKind.CAMERA, uplink="nowhere"),
            device("e", DeviceKind.SWITCH, uplink="e"),
        ]
    )
    assert oddities(street.city) == {"itself": ["e"], "loop": ["a", "b"], "unknown": ["d"]}
    street.set("a", "b", "c", "d", "e")
    street.look(after_s=PATIENCE.group_wait.total_seconds() + 1)
    assert {one.device for incident in street.live for one in incident.ill} == {"a", "b", "c", "d", "e"}


# -- common causes ----------------------------------------------------------------------------------------------------


def test_a_district_without_power_is_one_incident_however_its_devices_fall() -> None:
    street = tree(poles=6)
    street.city.replace(
        devices=[replace(one, uplink=None) if one.id == "sw-6" else one for one in street.city.devices.values()],
        groups=[replace(one, street="") for one in street.city.groups.values()],
    )
    street.near = Neighbourhoods(street.city)
    fallen = [f"sw-{pole}" for pole in range(1, 6)] + [one for pole in range(1, 6) for one in behind(pole)]
    random.Random(4).shuffle(fallen)
    street.suspects = set(fallen)
    for number, one in enumerate(fallen):
        street.suspects.discard(one)
        street.set(one)
        street.see("agg")
        street.look(after_s=2)
        assert len(street.live) <= 1, number
    street.look(after_s=5)
    incident = street.only
    assert (incident.cause.kind, incident.cause.scope, incident.cause.key) == (CauseKind.COMMON, Scope.UPLINK, "agg")
    assert {one.device for one in incident.ill} == set(fallen)
    assert {one.device for one in incident.ill if one.role is Role.ROOT} == {f"sw-{pole}" for pole in range(1, 6)}
    street.set(*fallen, state=UP)
    street.look(after_s=5)
    assert not street.live
    assert street.told(News.RESOLVED) == 1


def test_the_narrowest_scope_counts_that_explains_as_many() -> None:
    street = tree(poles=8)
    street.set(*behind(1))
    street.see("sw-1", "agg")
    street.look(after_s=5)
    assert (street.only.cause.scope, street.only.cause.key, street.only.cause.name) == (Scope.POLE, "g-1", "杆1")


def test_two_that_fall_together_are_two_incidents() -> None:
    street = tree(poles=8)
    street.set("cam-1-1", "cam-2-1")
    street.see("sw-1", "sw-2", "agg")
    street.look(after_s=5)
    assert len(street.live) == 2


def test_a_first_incident_becomes_the_common_cause_when_the_others_fall_after_it() -> None:
    street = tree(poles=8)
    street.set("cam-1-1")
    street.see("sw-1")
    street.look(after_s=5)
    first = street.only
    street.set("cam-1-2", "cam-1-3")
    street.see("sw-1")
    street.look(after_s=5)
    assert street.only.id == first.id
    assert street.only.cause.scope is Scope.POLE
    assert street.told(News.OPENED) == 1
    assert street.told(News.GROWN) == 1


def test_a_crowd_all_over_the_city_is_one_incident() -> None:
    street = tree(poles=60, cameras=2)
    street.set(*(f"cam-{pole}-1" for pole in range(1, 61, 2)))
    street.see("agg", *(f"sw-{pole}" for pole in range(1, 61)))
    street.look(after_s=5)
    assert len(street.live) == 1
    assert street.only.cause.scope in (Scope.CITY, Scope.DISTRICT, Scope.UPLINK)


@settings(deadline=None)
@given(st.permutations(range(12)), st.integers(0, 3))
def test_the_order_in_which_devices_fall_within_the_window_does_not_matter(order: list[int], spread: int) -> None:
    street = tree(poles=4)
    cameras = [one for pole in range(1, 5) for one in behind(pole)]
    street.suspects = set(cameras)
    for place in order:
        street.set(cameras[place])
        street.suspects.discard(cameras[place])
        street.see("agg", "sw-1", "sw-2", "sw-3", "sw-4")
        street.look(after_s=spread)
    street.look(after_s=5)
    assert {one.device for one in street.only.ill} == set(cameras)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 11)), min_size=12, max_size=12),
    st.sets(st.integers(0, 11), min_size=1),
    st.randoms(use_true_random=False),
)
def test_whatever_hangs_on_what_the_order_of_the_falls_leads_to_the_same_incidents(
    uplinks: list[int | None], fallen: set[int], chance: random.Random
) -> None:
    def grouped(order: list[int]) -> set[frozenset[str]]:
        street = Street(
            device(
                f"d{number:02}",
                DeviceKind.SWITCH,
                uplink=None if uplink is None or uplink >= number else f"d{uplink:02}",  # no loops: those are cut somewhere
                group=f"g{number % 3}",
                address=f"10.0.{number % 4}.{number}",
            )
            for number, uplink in enumerate(uplinks)
        )
        street.suspects = {f"d{number:02}" for number in order}
        for number in order:
            street.set(f"d{number:02}")
            street.suspects.discard(f"d{number:02}")
            street.see(*(one.device for one in street.board if one.state is UP and one.device not in street.suspects))
            street.look(after_s=1)
        for _ in range(3):
            street.look(after_s=PATIENCE.group_wait.total_seconds())
        return {frozenset(member.device for member in incident.ill) for incident in street.live}

    order = sorted(fallen)
    other = chance.sample(order, len(order))
    assert grouped(order) == grouped(other)


# -- complaints -------------------------------------------------------------------------------------------------------


def test_a_storm_of_wrong_clocks_is_one_warning() -> None:
    street = tree(poles=40)
    cameras = [one for pole in range(1, 41) for one in behind(pole)][::3]
    for camera in cameras:
        street.set(camera, state=DEGRADED, reason="clock-drift")
        street.look(after_s=1)
    street.look(after_s=70)
    assert street.told(News.OPENED) == 1
    assert {one.device for one in street.only.ill} == set(cameras)
    assert street.only.reason == "clock-drift"
    street.set(*cameras, state=UP)
    street.look(after_s=1)
    assert not street.live


def test_a_switch_that_complains_of_a_dead_camera_on_its_port_is_explained_by_it() -> None:
    street = tree()
    street.set("cam-1-1")
    street.set("sw-1", state=DEGRADED, reason="sensor-port_state")
    street.see("sw-1")
    street.look(after_s=5)
    assert street.only.cause.device == "cam-1-1"
    assert set(street.only.members) == {"cam-1-1", "sw-1"}
    street.set("cam-1-1", state=UP)
    street.look(after_s=5)
    assert not street.live
    street.set("sw-1", state=UP)
    street.look(after_s=30)
    assert street.told(News.OPENED) == street.told(News.RESOLVED) == 1


def test_a_switch_that_is_too_hot_is_not_explained_by_a_dead_camera() -> None:
    street = tree()
    street.set("cam-1-1")
    street.set("sw-1", state=DEGRADED, reason="sensor-temperature")
    street.see("sw-1")
    street.look(after_s=5)
    assert set(street.only.members) == {"cam-1-1"}
    street.look(after_s=70)
    assert {incident.reason for incident in street.live} == {"timeout", "sensor-temperature"}


def test_a_gateway_that_is_blind_has_one_incident_of_its_own_and_opens_no_other() -> None:
    street = tree(poles=10)
    street.set(*street.city.devices, state=UNKNOWN, reason="gateway-blind")
    street.look(after_s=5)
    assert street.only.cause.kind is CauseKind.GATEWAY
    assert street.only.devices == len(street.city.devices)
    street.set("cam-1-1")
    street.look(after_s=500)
    assert len(street.live) == 1
    assert "cam-1-1" in street.last.waiting
    street.set(*street.city.devices, state=UP)
    street.look(after_s=1)
    assert not street.live


def test_the_gateways_blindness_that_a_person_has_closed_stays_closed_for_a_while() -> None:
    street = tree(poles=10)
    street.set(*street.city.devices, state=UNKNOWN, reason="gateway-blind")
    street.look(after_s=5)
    street.kept[street.only.id] = acted(street.only, Act.RESOLVE, by="user:li", at=street.now)
    street.look(after_s=60)
    assert not street.live
    street.look(after_s=700)
    assert street.only.cause.kind is CauseKind.GATEWAY


# -- maintenance, resolution, reopening -------------------------------------------------------------------------------


def test_what_is_muted_opens_no_incident_until_the_window_is_over() -> None:
    street = tree()
    street.muted = {DeviceId("sw-1"): WindowId("M-1")}
    street.set("sw-1", *behind(1))
    street.see("agg")
    street.look(after_s=100)
    assert not street.live
    assert street.last.circumstances[DeviceId("sw-1")].muted == "M-1"
    assert street.last.circumstances[DeviceId("cam-1-1")].suppressed_by == "sw-1"
    street.muted = {}
    street.see("agg")
    street.look(after_s=1)
    assert street.only.cause.device == "sw-1"
    assert len(street.only.members) == 4


def test_a_muted_device_behind_a_dead_switch_joins_its_incident_when_its_window_is_over() -> None:
    street = tree()
    street.muted = {DeviceId("cam-1-1"): WindowId("M-1")}
    street.set("sw-1", *behind(1))
    street.see("agg")
    street.look(after_s=5)
    assert set(street.only.members) == {"sw-1", "cam-1-2", "cam-1-3"}
    street.muted = {}
    street.look(after_s=5)
    assert set(street.only.members) == {"sw-1", *behind(1)}
    assert street.only.members[DeviceId("cam-1-1")].role is Role.EXPLAINED


def test_a_window_that_begins_over_an_open_incident_does_not_keep_it_from_being_resolved() -> None:
    street = tree()
    street.set("cam-1-1")
    street.see("sw-1")
    street.look(after_s=5)
    street.muted = {DeviceId("cam-1-1"): WindowId("M-1")}
    street.look(after_s=5)
    assert len(street.live) == 1
    street.set("cam-1-1", state=UP)
    street.look(after_s=5)
    assert not street.live


def test_what_falls_again_soon_reopens_its_incident_and_later_it_is_another() -> None:
    street = tree()
    for pause, expected in ((60, 1), (60, 1), (700, 2)):
        street.pass_(pause)
        street.set("cam-1-1")
        street.see("sw-1")
        street.look(after_s=5)
        assert len(street.kept) == expected
        street.set("cam-1-1", state=UP)
        street.look(after_s=5)
    assert street.kept[IncidentId("I-1")].reopened == 1


def test_an_incident_that_a_person_resolved_stays_silent_until_its_members_are_back() -> None:
    street = tree()
    street.set("sw-1")
    street.see("agg")
    street.look(after_s=5)
    incident = street.only
    street.kept[incident.id] = acted(incident, Act.RESOLVE, by="user:li", at=street.now)
    street.set(*behind(1))
    street.look(after_s=200)
    street.look(after_s=700)
    assert not street.live
    assert {one.device for one in street.kept[incident.id].ill} == {"sw-1", *behind(1)}
    street.set("sw-1", *behind(1), state=UP)
    street.look(after_s=1)
    assert street.told(News.RESOLVED) == 0
    street.pass_(700)
    street.set("sw-1")
    street.see("agg")
    street.look(after_s=5)
    assert street.only.id != incident.id


def test_an_incident_that_a_person_reopens_while_all_are_back_is_resolved_again_after_the_window() -> None:
    street = tree()
    street.set("sw-1")
    street.see("agg")
    street.look(after_s=5)
    street.set("sw-1", state=UP)
    street.look(after_s=5)
    (incident,) = street.kept.values()
    street.kept[incident.id] = acted(incident, Act.REOPEN, by="user:li", at=street.now)
    street.look(after_s=599)
    assert street.only.id == incident.id
    street.look(after_s=1)
    assert not street.live
    assert street.told(News.RESOLVED) == 2
    assert not street.look(after_s=700).changed


def test_a_person_who_reopens_and_snoozes_keeps_it_open_until_the_window_after_the_snooze() -> None:
    street = tree()
    street.set("sw-1")
    street.see("agg")
    street.look(after_s=5)
    street.set("sw-1", state=UP)
    street.look(after_s=5)
    (incident,) = street.kept.values()
    reopened = acted(incident, Act.REOPEN, by="user:li", at=street.now)
    street.kept[incident.id] = acted(reopened, Act.SNOOZE, by="user:li", at=street.now, until=street.now + timedelta(hours=1))
    street.look(after_s=3_600 + 599)
    assert street.only.id == incident.id
    street.look(after_s=1)
    assert not street.live


def test_what_fell_long_before_a_common_cause_and_was_muted_is_another_story() -> None:
    street = tree(poles=1, cameras=8)
    street.muted = {DeviceId("cam-1-8"): WindowId("M-1")}
    street.set("cam-1-8")
    street.pass_(3 * 3_600)
    street.set(*behind(1, 7))
    street.see("sw-1", "agg")
    street.look(after_s=5)
    street.see("sw-1", "agg")
    street.look(after_s=95)
    assert street.only.cause.kind is CauseKind.COMMON
    street.muted = {}
    street.see("sw-1", "agg")
    street.look(after_s=200)
    assert sorted(len(one.members) for one in street.live) == [1, 7]
    assert street.told(News.OPENED) == 2


def test_a_device_that_leaves_the_inventory_leaves_its_incident() -> None:
    street = tree()
    street.set("cam-1-1")
    street.see("sw-1")
    street.look(after_s=5)
    street.city.replace(devices=[one for one in street.city.devices.values() if one.id != "cam-1-1"], groups=street.city.groups.values())
    street.board.drop(DeviceId("cam-1-1"))
    street.look(after_s=5)
    assert not street.live


# -- whatever happens -------------------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.tuples(
        st.integers(0, 24),
        st.sampled_from([DOWN, DOWN, DOWN, UP, UP, DEGRADED, UNKNOWN]),
        st.sampled_from([0, 1, 5, 30, 100, 200, 700]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)
_UPLINKS = st.lists(st.one_of(st.none(), st.integers(0, 24)), min_size=25, max_size=25)


@settings(max_examples=300, deadline=None)
@given(_UPLINKS, _STEPS, st.randoms(use_true_random=False))
def test_whatever_falls_and_returns_nobody_is_lost_and_nobody_is_told_twice(
    uplinks: list[int | None], steps: list[tuple[int, HealthState, int, bool, bool]], chance: random.Random
) -> None:
    street = Street(
        [
            device(
                f"d{number:02}",
                DeviceKind.SWITCH if number < 10 else DeviceKind.CAMERA,
                uplink=None if uplink is None else f"d{uplink:02}",
                group=f"g{number % 5}",
                address=f"10.0.{number % 3}.{number}",
            )
            for number, uplink in enumerate(uplinks)
        ]
    )
    for number, state, pause, seen, toggles in steps:
        name = f"d{number:02}"
        if toggles:
            street.muted.pop(DeviceId(name), None) if name in street.muted else street.muted.update({DeviceId(name): WindowId("M-1")})
        if street.board[DeviceId(name)].state is not state:
            street.set(name, state=state, reason="gateway-blind" if state is UNKNOWN else "timeout")
        if seen:
            street.see(*(one.device for one in street.board if one.state in (UP, DEGRADED)))
        street.look(after_s=pause)
        _holds(street)
        if toggles and street.live and chance.random() < 0.2:
            one = chance.choice(street.live)
            street.kept[one.id] = acted(one, chance.choice([Act.RESOLVE, Act.SNOOZE, Act.COMMENT]), by="user:li", at=street.now)
    street.set(*(one.device for one in street.board if one.state is not UP), state=UP)
    street.look(after_s=1)
    assert not street.live, "resolution is never suppressed"
    assert not any(list(one.ill) for one in street.kept.values())


def _holds(street: Street) -> None:
    homes = [member.device for incident in street.kept.values() for member in incident.ill]
    assert len(homes) == len(set(homes)), "a device is ill in one incident at most"
    for standing in street.board:
        if standing.state is not DOWN:
            continue
        beside = street.last.circumstances.get(standing.device)
        accounted = (
            standing.device in homes
            or standing.device in street.muted
            or standing.device in street.last.waiting
            or (beside is not None and beside.suppressed_by is not None)  # behind one that is muted
        )
        assert accounted, standing
    for incident in street.live:
        assert incident.state is not IncidentState.RESOLVED
        assert any(True for _ in incident.ill) or incident.cause.kind is CauseKind.GATEWAY


def test_a_look_at_a_whole_city_that_is_dark_is_quick(benchmark_s: float = 2.0) -> None:
    street = tree(poles=600, cameras=3)
    street.set(*(one for one in street.city.devices if one != "agg"))
    street.see("agg")
    street.look(after_s=100)
    assert len(street.live) == 1
    assert len(street.only.members) == 600 * 4 + 1


@pytest.mark.parametrize("number", range(3))
def test_a_second_look_changes_nothing(number: int) -> None:
    street = tree(poles=6)
    chance = random.Random(number)
    street.set(*chance.sample(list(street.city.devices), 10))
    street.see(*(one.device for one in street.board if one.state is UP))
    street.look(after_s=100)
    assert street.look().changed == []
