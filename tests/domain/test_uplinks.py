"""Uplinks out of what switches saw: nothing that is proposed is ever wrong, however much of the tables is missing."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.uplinks import CROWD, Doubt, Evidence, Neighbour, Status, SwitchView, infer, limited

Place = tuple[str, int]
SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True)
class Truth:
    """A network: what hangs where. Each switch has its way up on port 99."""

    switches: dict[str, Place | None]
    stations: dict[str, Place]

    def way(self, key: str) -> list[Place]:
        """Switch and port, from the device up to the top."""
        found, place = [], self.stations.get(key) or self.switches.get(key)
        while place is not None:
            found.append(place)
            place = self.switches[place[0]]
        return found

    def port_towards(self, switch: str, other: str) -> int | None:
        """The port of `switch` behind which `other` is; None for itself or when no way leads there."""
        down = next((port for above, port in self.way(other) if above == switch), None)
        if down is not None:
            return down
        tops = {(self.way(key) or [(key, 0)])[-1][0] for key in (switch, other)}
        return 99 if len(tops) == 1 and switch != other and self.switches[switch] is not None else None

    def inventory(self, *, linked: bool) -> dict[DeviceId, Device]:
        found = {}
        for number, key in enumerate([*self.switches, *self.stations]):
            kind = DeviceKind.SWITCH if key in self.switches else DeviceKind.CAMERA
            place = self.stations.get(key) or self.switches.get(key)
            uplink, port = (DeviceId(place[0]), place[1]) if linked and place else (None, None)
            found[DeviceId(key)] = Device(
                DeviceId(key), kind, key, f"10.0.{number // 250}.{number % 250 + 1}", mac=mac(key), uplink=uplink, uplink_port=port
            )
        return found


def mac(key: str) -> str:
    return f"02:00:00:{ord(key[0]):02x}:{int(key[1:]) // 256:02x}:{int(key[1:]) % 256:02x}"


@st.composite
def networks(draw: st.DrawFn) -> Truth:
    switches: dict[str, Place | None] = {}
    used: dict[str, int] = {}

    def on_some_switch() -> Place:
        above = draw(st.sampled_from(sorted(switches)))
        used[above] += 1
        return above, used[above]

    for number in range(draw(st.integers(1, 7))):
        switches[f"s{number}"] = on_some_switch() if number and draw(st.integers(0, 5)) else None
        used[f"s{number}"] = 0
    return Truth(switches, {f"d{number}": on_some_switch() for number in range(draw(st.integers(0, 8)))})


def views(truth: Truth, told: Callable[[str, str, str], bool], *, answering: frozenset[str] | None = None) -> list[SwitchView]:
    """What the switches tell; `told(what, by, of)` says whether a row is there that need not be: lldp, bridge, root.

    Every switch has the addresses of all switches below it: those have just answered, and their answers came this way.
    """
    found = []
    for switch in truth.switches if answering is None else sorted(answering):
        below = {key for key in (*truth.switches, *truth.stations) if any(above == switch for above, _ in truth.way(key))}
        sure = {key for key in below if key in truth.switches and (answering is None or key in answering)}
        seen = {}
        for key in (*truth.switches, *truth.stations):
            port = truth.port_towards(switch, key)
            if port is not None and (key in sure or told("bridge", switch, key)):
                seen[mac(key)] = port
        beside = [(key, place[1]) for key in (*truth.switches, *truth.stations) if (place := (truth.way(key) or [("", 0)])[0])[0] == switch]
        up = truth.switches[switch]
        beside += [(up[0], 99)] if up else []
        neighbours = tuple(
            Neighbour(port, frozenset({mac(key)}), bridge=key in truth.switches) for key, port in beside if told("lldp", switch, key)
        )
        root_port = (99 if up else 0) if told("root", switch, switch) else None
        found.append(SwitchView(DeviceId(switch), frozenset({mac(switch)}), neighbours, seen, root_port=root_port))
    return found


@settings(max_examples=1_500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(networks(), st.integers(0, 2**32), st.fixed_dictionaries(dict.fromkeys(("lldp", "bridge", "root"), st.sampled_from(SHARES))))
def test_nothing_that_is_proposed_is_wrong_however_much_is_missing(truth: Truth, seed: int, shares: dict[str, float]) -> None:
    chance = random.Random(seed)
    tables = views(truth, lambda what, _by, _of: chance.random() < shares[what])
    for verdict in infer(truth.inventory(linked=False), {}, tables).values():
        hangs = truth.stations.get(verdict.device) or truth.switches.get(verdict.device)
        if verdict.proposal is None:
            assert (verdict.status, bool(verdict.doubt)) == (Status.UNKNOWN, True)
            continue
        assert hangs is not None, f"{verdict.device} is the top and hangs on nothing"
        assert (verdict.proposal.uplink, verdict.proposal.port or hangs[1]) == hangs


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(networks(), st.sampled_from(["lldp and spanning tree", "all"]))
def test_all_is_found_where_all_switches_speak_lldp_and_spanning_tree(truth: Truth, how: str) -> None:
    tables = views(truth, lambda what, _by, _of: what != "bridge" or how == "all")
    verdicts = infer(truth.inventory(linked=False), {}, tables)
    found = {key: (one.proposal.uplink, one.proposal.port) for key, one in verdicts.items() if one.proposal}
    assert found == truth.stations | {key: place for key, place in truth.switches.items() if place}
    assert all(one.doubt is Doubt.TOP for one in verdicts.values() if one.proposal is None)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(networks())
def test_all_is_found_without_lldp_where_the_bridge_tables_are_whole_and_the_spanning_tree_tells_the_way(truth: Truth) -> None:
    verdicts = infer(truth.inventory(linked=False), {}, views(truth, lambda what, _by, _of: what != "lldp"))
    found = {key: (one.proposal.uplink, one.proposal.port) for key, one in verdicts.items() if one.proposal}
    assert found == truth.stations | {key: place for key, place in truth.switches.items() if place}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(networks(), st.integers(0, 2**32))
def test_what_the_inventory_says_is_agreed_with_or_contradicted_and_never_changes_the_evidence(truth: Truth, seed: int) -> None:
    chance, tables = random.Random(seed), views(truth, lambda *_: True)
    bare = infer(truth.inventory(linked=False), {}, tables)
    right = truth.inventory(linked=True)
    wrong = {key: replace(device, uplink=DeviceId(chance.choice(sorted(truth.switches))), uplink_port=77) for key, device in right.items()}
    portless = {key: replace(device, uplink_port=None) for key, device in right.items()}
    for inventory, status in ((right, Status.AGREED), (wrong, Status.CONTRADICTS), (portless, Status.PROPOSED)):
        for key, verdict in infer(inventory, {}, tables).items():
            assert verdict.proposal == bare[key].proposal
            assert verdict.status is (status if verdict.proposal else Status.UNKNOWN)


# -- single cases, each with its reason ----------------------------------------------------------------------------------------------


def street(**mine: SwitchView) -> tuple[dict[DeviceId, Device], list[SwitchView]]:
    """A core switch s0 with s1 and s2 below it, and the camera d1 on s1."""
    truth = Truth({"s0": None, "s1": ("s0", 1), "s2": ("s0", 2)}, {"d1": ("s1", 1)})
    tables = {str(view.switch): view for view in views(truth, lambda *_: True)} | mine
    return truth.inventory(linked=False), list(tables.values())


def test_a_device_seen_only_on_the_way_to_other_switches_is_not_placed() -> None:
    inventory, tables = street(s1=SwitchView(DeviceId("s1")))
    verdict = infer(inventory, {}, tables)[DeviceId("d1")]
    assert (verdict.proposal, verdict.doubt) == (None, Doubt.BEHIND_TRUNKS)


def test_two_devices_that_claim_one_hardware_address_are_not_placed() -> None:
    inventory, tables = street()
    inventory[DeviceId("d2")] = replace(inventory[DeviceId("d1")], id=DeviceId("d2"), address="10.9.9.9")
    verdicts = infer(inventory, {}, tables)
    assert [verdicts[DeviceId(key)].doubt for key in ("d1", "d2")] == [Doubt.SHARED, Doubt.SHARED]


def test_a_loudspeaker_that_is_its_cameras_audio_output_hangs_where_the_camera_hangs() -> None:
    inventory, tables = street()
    camera = inventory[DeviceId("d1")]
    inventory[DeviceId("d2")] = replace(camera, id=DeviceId("d2"), kind=DeviceKind.SPEAKER, audio_output_of=camera.id)
    verdicts = infer(inventory, {}, tables)
    assert verdicts[DeviceId("d1")].proposal == verdicts[DeviceId("d2")].proposal is not None


def test_a_learnt_address_is_as_good_as_one_of_the_inventory_and_without_any_nothing_is_said() -> None:
    inventory, tables = street()
    inventory[DeviceId("d1")] = replace(inventory[DeviceId("d1")], mac="")
    tables = [replace(view, neighbours=()) for view in tables]
    assert infer(inventory, {}, tables)[DeviceId("d1")].doubt is Doubt.NO_ADDRESS
    learnt = infer(inventory, {DeviceId("d1"): [mac("d1")]}, tables)[DeviceId("d1")]
    assert learnt.proposal is not None
    assert (learnt.proposal.uplink, learnt.proposal.port, learnt.proposal.evidence) == ("s1", 1, (Evidence.BRIDGE,))


def test_a_switch_that_nobody_knows_hides_what_is_behind_it() -> None:
    inventory, tables = street()
    tables = [replace(view, neighbours=(*view.neighbours, Neighbour(1, frozenset({"02:aa:00:00:00:01"}), bridge=True))) for view in tables]
    assert infer(inventory, {}, tables)[DeviceId("d1")].doubt is Doubt.BEHIND_TRUNKS


def test_a_neighbour_without_a_known_address_is_known_by_the_id_that_its_system_bears() -> None:
    heard = SwitchView(DeviceId("s1"), neighbours=(Neighbour(5, frozenset(), name="D1"),), root_port=9)
    inventory, tables = street(s1=heard)
    verdict = infer(inventory, {}, tables)[DeviceId("d1")]
    assert verdict.proposal is not None
    assert (verdict.proposal.uplink, verdict.proposal.port) == ("s1", 5)


def test_two_switches_that_both_hear_a_device_leave_it_unplaced() -> None:
    heard = SwitchView(DeviceId("s2"), neighbours=(Neighbour(5, frozenset({mac("d1")})),), root_port=99)
    inventory, tables = street(s2=heard)
    assert infer(inventory, {}, tables)[DeviceId("d1")].doubt is Doubt.AMBIGUOUS


def test_of_a_crowded_port_only_the_switches_addresses_are_kept() -> None:
    many = [(f"02:00:00:00:00:{number:02x}", 1) for number in range(CROWD + 1)]
    seen, crowded = limited([*many, (mac("d1"), 2), (mac("s1"), 1)], {mac("s1")})
    assert (seen, crowded) == ({mac("d1"): 2, mac("s1"): 1}, frozenset({1}))


def test_a_device_seen_towards_the_root_of_the_spanning_tree_does_not_hang_there() -> None:
    truth = Truth({"s0": None, "s1": ("s0", 1)}, {"d1": ("s0", 2)})
    for root_told, doubt in ((True, Doubt.BEHIND_TRUNKS), (False, Doubt.UP_UNKNOWN)):
        tables = views(truth, lambda what, by, of, root=root_told: (what == "root" and root) or (what, by, of) == ("bridge", "s1", "d1"))
        verdict = infer(truth.inventory(linked=False), {}, tables)[DeviceId("d1")]
        assert (verdict.proposal, verdict.doubt) == (None, doubt)


def test_what_is_seen_where_another_switchs_neighbour_is_seen_does_not_hang_there() -> None:
    """s0 hears d1 by LLDP, so that the port behind which s1 sees d1 leads to other switches: d2, seen there too, is not on it."""
    truth = Truth({"s0": None, "s1": ("s0", 1)}, {"d1": ("s0", 2), "d2": ("s0", 3)})
    rows = {("bridge", "s1", "d1"), ("bridge", "s1", "d2"), ("lldp", "s0", "d1")}
    verdicts = infer(truth.inventory(linked=False), {}, views(truth, lambda *row: row in rows))
    assert verdicts[DeviceId("d1")].proposal is not None
    assert verdicts[DeviceId("d2")].doubt is Doubt.BEHIND_TRUNKS


def test_of_a_cable_made_of_several_the_uplink_is_proposed_and_the_port_is_not() -> None:
    """Bridges number an aggregate as a port of its own; LLDP speaks on each of its cables. s0 is the root, s1 below it, s2 below s1."""
    truth = Truth({"s0": None, "s1": ("s0", 1), "s2": ("s1", 2)}, {"d1": ("s1", 1)})

    def both(key: str, *ports: int) -> tuple[Neighbour, ...]:
        return tuple(Neighbour(port, frozenset({mac(key)}), bridge=True) for port in ports)

    def view(switch: str, neighbours: tuple[Neighbour, ...], root_port: int, **seen: int) -> SwitchView:
        found = {mac(key): port for key, port in seen.items()}
        return SwitchView(DeviceId(switch), frozenset({mac(switch)}), neighbours, found, root_port=root_port)

    tables = [
        view("s0", both("s1", 5, 6), 0, s1=1001, s2=1001, d1=1001),
        view("s1", both("s0", 23, 24) + both("s2", 21, 22), 1000, s0=1000, s2=1002, d1=1),
        view("s2", both("s1", 23, 24), 1000, s1=1000, d1=1000),
    ]
    verdicts = infer(truth.inventory(linked=False), {}, tables)
    found = {key: (one.proposal.uplink, one.proposal.port) for key, one in verdicts.items() if one.proposal}
    assert found == {"s1": ("s0", None), "s2": ("s1", None), "d1": ("s1", 1)}


def test_a_ring_is_cut_where_the_spanning_tree_cuts_it() -> None:
    """s0 is the root; s1 and s2 hang on it, and on each other by a cable that is blocked."""
    truth = Truth({"s0": None, "s1": ("s0", 1), "s2": ("s0", 2)}, {})
    beside = {"s0": (("s1", 1), ("s2", 2)), "s1": (("s0", 8), ("s2", 7)), "s2": (("s0", 8), ("s1", 7))}
    tables = [
        SwitchView(
            DeviceId(switch),
            frozenset({mac(switch)}),
            tuple(Neighbour(port, frozenset({mac(other)}), bridge=True) for other, port in near),
            root_port=0 if switch == "s0" else 8,
        )
        for switch, near in beside.items()
    ]
    verdicts = infer(truth.inventory(linked=False), {}, tables)
    found = {key: (one.proposal.uplink, one.proposal.port) for key, one in verdicts.items() if one.proposal}
    assert found == {"s1": ("s0", 1), "s2": ("s0", 2)}
