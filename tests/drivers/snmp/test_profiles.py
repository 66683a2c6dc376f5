"""Profiles: what a file may say, which one a device gets, and what recorded devices look like through them."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import SimulatedClock
from gateway.domain.health import Outcome
from gateway.domain.speaking import BackchannelHabits, Carrier, KeepAlive, SpeakerPath, SpeakerWays
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Traits
from gateway.drivers.profiles.patterns import bounded_pattern
from gateway.drivers.snmp.engine import PollEngine
from gateway.drivers.snmp.reader import SensorReader
from gateway.drivers.snmp.sensors import evaluate
from gateway.errors import InvalidInput
from tests.drivers.snmp import agent as fake

SHIPPED = Path(__file__).parents[3] / "configs" / "profiles"
RECORDINGS = Path(__file__).parents[3].parent / "shared" / "recordings" / "snmp"


@pytest.fixture(scope="module")
def shipped() -> Profiles:
    return Profiles.load(SHIPPED)


def loaded(folder: Path, **files: str) -> Profiles:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return Profiles.load(folder)


def faults(folder: Path, **files: str) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        loaded(folder, **files)
    return [f"{fault.where}: {fault.why}" for fault in raised.value.faults]


# -- what a file may say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("profile: a\ncolour: red\n", "a.yaml colour: Extra inputs are not permitted"),
        ("profile: a\nprofile: b\n", "a.yaml line 2: the key 'profile' stands twice"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, warm: 3}\n", "a.yaml sensors.t.warm: Extra inputs"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1}\n  t: {oid: 1.3.6.2}\n", "a.yaml line 4: the key 't' stands twice"),
        ("profile: a\nsensors:\n  t: {oid: .1.3.6.1}\n", "without a leading dot"),
        ("profile: a\nsensors:\n  t: {oid: sysDescr.0}\n", "an OID is numbers"),
        ("profile: a\nsensors:\n  t: {unit: C}\n", "either oid or walk"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, walk: 1.3.6.1}\n", "either oid or walk"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, enum: {1: good}, bad: [bed]}\n", "bad names what enum does not: bed"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, enum: {1: good, 2: good}}\n", "two numbers of enum have one name"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, warn: 9, crit: 8}\n", "warn is above crit"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, regex: '(a+)+b'}\n", "repeats without bound what itself varies"),
        ("profile: a\nsensors:\n  t: {oid: 1.3.6.1, regex: '('}\n", "not a regular expression"),
        ("profile: a\nspeaker: {paths: []}\n", "at least 1 item"),
        ("profile: a\nspeaker: {paths: [sip, sip]}\n", "something stands twice"),
        ("profile: a\nspeaker: {paths: [telepathy]}\n", "'audio-clip', 'backchannel', 'sip' or 'multicast'"),
        ("profile: a\nspeaker: {backchannel: {keep_alive: prayer}}\n", "'get-parameter'"),
        ("profile: a\nspeaker: {lead_in_ms: -1}\n", "greater than or equal to 0"),
        ("profile: a\nmatch: [{sysObjectID: 1.3.6, sysDescr: x}]\n", "one condition an entry"),
        ("profile: a\ntraps:\n  1.3.6: {event: x, raises: fail, clears: 1.3.7}\n", "one of raises, clears and restarts"),
        ("profile: a\ntraps:\n  1.3.6: {event: x, raises: fail, of_port: true}\n", "of_port needs the key"),
        ("profile: a\ntraps:\n  1.3.6: {event: x, clears: 1.3.7}\n", "a: x clears 1.3.7, which raises nothing"),
        ("profile: a\ntraps:\n  1.3.6: {event: x, clears: 1.3.7}\n  1.3.7: {event: y}\n", "x clears 1.3.7, which raises nothing"),
        (
            "profile: a\ntraps:\n  1.3.6: {event: x, clears: 1.3.7, key: 1.3.8}\n  1.3.7: {event: y, raises: warn}\n",
            "x has another key than y, which it clears",
        ),
        ("profile: a\ntraps:\n  coldStart: {event: x}\n", "an OID is numbers"),
        ("profile: a\nextends: b\n", "a: extends 'b', which does not exist"),
        ("profile: a\nextends: a\n", "a: extends itself: a → a"),
        ("profile: Ä\n", "a name is lower-case letters"),
        ("- a\n- b\n", "a.yaml"),
        ("profile: [\n", "a.yaml line"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_place_and_reason(tmp_path: Path, text: str, complaint: str) -> None:
    assert complaint in "\n".join(faults(tmp_path, a=text))


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    told = faults(tmp_path, a="profile: a\nx: 1\ny: 2\n", b="profile: b\nz: 3\n")
    assert len(told) == 3


def test_two_files_may_not_hold_one_profile(tmp_path: Path) -> None:
    assert "stands in another file already" in faults(tmp_path, a="profile: same\n", b="profile: same\n")[0]


def test_a_profile_inherits_facts_and_sensors_and_its_own_win(tmp_path: Path) -> None:
    profiles = loaded(
        tmp_path,
        a="profile: a\nfacts: {model: {oid: 1.3.1}}\nsensors: {t: {oid: 1.3.2, warn: 1}, u: {oid: 1.3.3}}\n",
        b="profile: b\nextends: a\nsensors: {t: {oid: 1.3.4}, w: {walk: 1.3.5}}\n",
    )
    child = profiles.by_name["b"]
    assert {sensor.name: sensor.oid for sensor in child.sensors} == {"t": "1.3.4", "u": "1.3.3", "w": "1.3.5"}
    assert (child.oids, child.walks) == (("1.3.1", "1.3.4", "1.3.3"), ("1.3.5",))


@pytest.mark.parametrize(
    "pattern", ["(a|a)*b", "(a*)*", "(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)x", "(a)\\1", "(?:a?){30}a{30}", "(\\w+\\s?)*!"]
)
def test_a_pattern_that_could_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"repeat|refers back|takes longer"):
        bounded_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"^\s*;\s*([^;]+);", r"^(?:[^;]*;){3}\s*([^;]+)", r"fw:([0-9.]+)", r"^(\d+)\s*(?:PERCENT|%)$", ".*"])
def test_an_ordinary_pattern_is_taken(pattern: str) -> None:
    assert bounded_pattern(pattern).pattern == pattern


# -- which one a device gets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "object_id", "description", "chosen"),
    [
        ("switch", "1.3.6.1.4.1.38616", "", "switch"),
        ("", "1.3.6.1.4.1.38616", "2G-2S.0.2.F-BOX-PoE", "metel-poe-box"),
        ("", "1.3.6.1.4.1.38616.7", "", "metel-poe-box"),
        ("", "1.3.6.1.4.1.386161", "", "mib2-base"),
        ("", "1.3.6.1.4.1.368.5", " ; AXIS C1310-E; Network Horn Speaker; 10.12;", "axis-speaker"),
        ("", "1.3.6.1.4.1.368.5", " ; AXIS P1448-LE; Network Camera; 10.12;", "mib2-base"),
        ("no-such-profile", "", "", "mib2-base"),
    ],
)
def test_a_device_gets_the_profile_that_is_named_or_that_matches_best(
    shipped: Profiles, name: str, object_id: str, description: str, chosen: str
) -> None:
    assert shipped.choose(name, Traits(object_id=object_id, description=description)).name == chosen


def test_every_device_knows_the_generic_traps_and_a_maker_s_own_beside_them(shipped: Profiles) -> None:
    generic = {rule.event for rule in shipped.traps_of(None).values()}
    assert generic == {"cold-start", "warm-start", "link-down", "link-up", "authentication-failure"}
    axis = shipped.traps_of(shipped.by_name["axis-speaker"])
    assert {rule.event for rule in axis.values()} == generic | {"alarm", "alarm-cleared", "alarm-single"}
    openipc = shipped.traps_of(shipped.by_name["openipc"])  # inherits nothing of MIB-2's
    assert {rule.event for rule in openipc.values()} == generic


# -- recorded devices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "profile", "facts", "sensors"),
    [
        (
            "metel-poe-box",
            "metel-poe-box",
            {"model": "2G-2S.0.2.F-BOX-PoE (M-PoE)", "serial": "20181022008795", "firmware": "60.7050"},
            {"temperature": 32.3, "supply": 48.6, "uptime": 7_685_970.14},
        ),
        (
            "hikvision-network-video-recorder",
            "hikvision-nvr",
            {"serial": "0820161024CCRR666108343WCVU", "processor": "1000MHZ", "description": "Hikvision company products"},
            {"processor_mhz": 1_000, "memory_mb": 1_130, "disk_capacity_mb": {"1.0": 2_861_588}},
        ),
        (
            "samsung-ipolis",
            "samsung-ipolis",
            {"model": "SNO-7084R", "description": "SAMSUNG iPolis H.264 Premium Level IP Camera"},
            {"uptime": 178_099.53, "system_uptime": 178_113.54},
        ),
    ],
)
async def test_a_recorded_device_is_recognised_and_read(
    shipped: Profiles, engine: PollEngine, recording: str, profile: str, facts: dict[str, str], sensors: dict[str, object]
) -> None:
    path = RECORDINGS / f"{recording}.snmprec"
    if not path.exists():
        pytest.skip(f"the recording {path.name} is not here")
    async with fake.serving(fake.recorded(path)) as (_, target):
        reader = SensorReader(engine, shipped, clock=SimulatedClock())
        read = (await reader.read(target, timeout_s=20)).readings
        assert reader._known[target.device].profile.name == profile
    assert read.outcome is Outcome.OK
    assert {name: read.facts[name] for name in facts} == facts
    assert {name: read.facts["sensors"][name] for name in sensors} == sensors


# -- evaluation -------------------------------------------------------------------------------------------------------

BOX = """
profile: box
sensors:
  temperature: {oid: 1.3.1, scale: 0.1, unit: C, warn: 60, crit: 75}
  battery: {oid: 1.3.2, warn_below: 20, crit_below: 5, optional: true}
  load: {oid: 1.3.3, regex: '(\\d+) PERCENT', warn: 90, optional: true}
  fan: {walk: 1.3.4, enum: {1: turning, 2: stuck}, bad: [stuck], index: [tray, fan], optional: true}
"""


@pytest.mark.parametrize(
    ("values", "rows", "outcome", "reason", "shown"),
    [
        ({"1.3.1": 323}, [], Outcome.OK, "", {"temperature": 32.3}),
        ({"1.3.1": 600}, [], Outcome.WARN, "sensor-temperature", {"temperature": 60.0}),
        ({"1.3.1": 751}, [], Outcome.FAIL, "sensor-temperature", {"temperature": 75.1}),
        ({"1.3.1": None}, [], Outcome.WARN, "sensor-temperature", {}),
        ({"1.3.1": 1, "1.3.2": 20}, [], Outcome.WARN, "sensor-battery", {"temperature": 0.1, "battery": 20}),
        ({"1.3.1": 700, "1.3.2": 4}, [], Outcome.FAIL, "sensor-battery", {"temperature": 70.0, "battery": 4}),
        ({"1.3.1": 1, "1.3.3": b"95 PERCENT\x00"}, [], Outcome.WARN, "sensor-load", {"temperature": 0.1, "load": 95}),
        ({"1.3.1": 1, "1.3.3": b"busy"}, [], Outcome.OK, "", {"temperature": 0.1}),
        (
            {"1.3.1": 1},
            [("1.1", 1), ("1.2", 2)],
            Outcome.FAIL,
            "sensor-fan",
            {"temperature": 0.1, "fan": {"tray=1,fan=1": "turning", "tray=1,fan=2": "stuck"}},
        ),
        ({"1.3.1": 1}, [("7", 9)], Outcome.OK, "", {"temperature": 0.1, "fan": {"7": 9}}),
    ],
)
def test_a_value_is_decoded_and_judged(tmp_path: Path, values: dict, rows: list, outcome: Outcome, reason: str, shown: dict) -> None:
    box = loaded(tmp_path, box=BOX).by_name["box"]
    read = evaluate(box, values, {"1.3.4": rows})
    assert (read.outcome, read.reason, read.facts["sensors"]) == (outcome, reason, shown)


raw_values = st.none() | st.integers() | st.floats() | st.binary(max_size=600) | st.text(max_size=600)


@settings(max_examples=300, deadline=None)
@given(values=st.lists(raw_values, min_size=40, max_size=40))
def test_no_value_of_a_device_breaks_an_evaluation_or_gets_through_unbounded(shipped: Profiles, values: list[object]) -> None:
    for profile in shipped.by_name.values():
        given_values = dict(zip(profile.oids, values, strict=False))
        tables = {root: [("1.2", value) for value in values[20:]] for root in profile.walks}
        read = evaluate(profile, given_values, tables)
        for text in _texts(read.facts):
            assert len(text) <= 256
            assert text.isprintable() or all(character.isprintable() or character.isspace() or ord(character) > 127 for character in text)


def _texts(facts: object) -> list[str]:
    if isinstance(facts, dict):
        return [text for value in facts.values() for text in _texts(value)]
    if isinstance(facts, list):
        return [text for value in facts for text in _texts(value)]
    return [facts] if isinstance(facts, str) else []


# -- loudspeakers -----------------------------------------------------------------------------------------------------

HORN = """
profile: horn
speaker:
  paths: [sip, backchannel]
  lead_in_ms: 300
  backchannel: {carriers: [udp], keep_alive: options}
"""


def test_what_a_profile_says_of_speaking_is_inherited_key_by_key(tmp_path: Path) -> None:
    louder = (
        "profile: louder\nextends: horn\nspeaker: {single_talker: false, backchannel: {zero_timestamps: true, keep_alive: set-parameter}}\n"
    )
    found = loaded(tmp_path, horn=HORN, louder=louder, plain="profile: plain\n").by_name
    assert found["plain"].speaker == SpeakerWays()
    assert found["horn"].speaker == SpeakerWays(
        paths=(SpeakerPath.SIP, SpeakerPath.BACKCHANNEL),
        lead_in_s=0.3,
        backchannel=BackchannelHabits(carriers=(Carrier.UDP,), keep_alive=KeepAlive.OPTIONS),
    )
    habits = replace(found["horn"].speaker.backchannel, unstamped=True, keep_alive=KeepAlive.SET_PARAMETER)
    assert found["louder"].speaker == replace(found["horn"].speaker, single_talker=False, backchannel=habits)


def test_reports_of_faults_say_how_to_speak_where_a_profile_does_not(shipped: Profiles, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "quirks.yaml").write_text((SHIPPED.parent / "quirks.yaml").read_text("utf-8"), "utf-8")
    quirks = "quirks: {packet-bytes: {source: seen}, loses-first: {ms: 700, source: seen}, refuses-require: {source: seen}}\n"
    odd = f"profile: odd\n{quirks}"
    mended = "profile: mended\nextends: odd\nspeaker: {lead_in_ms: 0, backchannel: {require: true}}\n"
    found = loaded(tmp_path / "configs", odd=odd, mended=mended).by_name
    habits = BackchannelHabits(require=False, packet_bytes=1024, unstamped=True)
    assert found["odd"].speaker == SpeakerWays(lead_in_s=0.7, backchannel=habits)
    assert found["mended"].speaker == SpeakerWays(backchannel=replace(habits, require=True))
    assert shipped.by_name["reolink"].speaker == SpeakerWays(buffer_s=3.0, backchannel=replace(habits, require=True))
