"""The outage bench measures what it says: its figures from notes that are made up, and its ailing city from real sockets."""

import json
import random
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.ailing import Ill, answer
from bench.health import line_of, python, say
from bench.outage import NEVER, afflicted, detection, lateness, report, reverification
from simulators.city import plan
from simulators.snmp.ber import Malformed

STRUCK, ENDED = 100.0, 170.0


def notes(visits: list[float], shown: list[tuple[float, str, bool]] | None = None) -> dict[str, dict[str, list]]:
    return {"visits": {"a": visits}, "shown": {"a": shown or []}}


@pytest.mark.parametrize(
    ("visits", "late"),
    [
        ([40.0, 70.0, 100.0, 130.0, 160.0], [0, 0, 0]),
        ([75.0, 105.5, 135.5, 165.5], [0.5, 0, 0]),
        ([75.0, 104.0, 134.5, 164.5], [0, 0.5, 0]),
        ([60.0, 95.0, 125.0, 155.0], [0, 0]),  # what was late before the outage does not count
        ([75.0, 105.0, 135.0], [0, 0, 5.0]),  # one that is due and has not begun is late already
        ([75.0], [65.0]),
    ],
)
def test_late_is_what_begins_more_than_an_interval_after_the_last(visits: list[float], late: list[float]) -> None:
    assert lateness(notes(visits), ["a"], (STRUCK, ENDED), 30.0) == late


def test_detected_is_the_first_time_that_it_is_shown_and_verified_needs_an_answer() -> None:
    shown = [(50.0, "down", False), (90.0, "up", True), (120.0, "up", False), (150.0, "down", False), (200.0, "up", False)]
    shown += [(210.0, "up", True)]
    assert detection(notes([], shown), ["a"], STRUCK) == [50.0]
    assert reverification(notes([], shown), ["a"], 180.0) == [30.0]
    assert detection(notes([]), ["a"], STRUCK) == [NEVER]


def test_the_shares_are_those_of_the_whole_city_and_switches_only_go_silent() -> None:
    devices = plan().devices
    ills = afflicted(devices, random.Random(4))
    counts = Counter(ills.values())
    shares = {ill: round(counts[ill] / len(devices), 2) for ill in Ill}
    assert shares == {Ill.WELL: 0.0, Ill.SILENT: 0.15, Ill.HOLE: 0.15, Ill.DRIP: 0.1, Ill.RESET: 0.1}
    assert {ills[one.id] for one in devices if one.kind == "switch" and one.id in ills} == {Ill.SILENT, Ill.HOLE}


def test_the_tick_of_the_wheel_is_part_of_being_late() -> None:
    made = report(ours=[0.01] * 100, calm=[0.0] * 100, detected=[60.0, 50.0], reverified=[20.0], extra={})
    assert made["figures"]["healthy_lateness_p99_ms"] == 210.0
    assert (made["figures"]["detection_s"], made["figures"]["detection_bound_s"]) == (60.0, 92.0)
    assert made["ratios"] == {"lateness_vs_calm": 1.05}


# -- the ailing city --------------------------------------------------------------------------------------------------


@contextmanager
def city() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    with python("bench.ailing", core=0) as process:
        yield process, json.loads(line_of(process))["onvif"]


def asked(address: str, port: int) -> str:
    """What comes back within a moment: "well", "nothing", "drips", "reset", or that nobody takes the connection."""
    with socket.socket() as sock:
        sock.settimeout(0.3)
        try:
            sock.connect((address, port))
        except TimeoutError:
            return "no connection"
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 24\r\n\r\n<GetSystemDateAndTime />")
        try:
            got = sock.recv(65_536)
        except TimeoutError:
            return "nothing"
        except ConnectionResetError:
            return "reset"
        return "well" if len(got) > 100 else "drips"


def test_each_ill_is_what_it_says_and_is_healed_by_the_next_word() -> None:
    ills = {"127.66.0.1": "silent", "127.66.0.2": "hole", "127.66.0.3": "drip", "127.66.0.4": "reset"}
    with city() as (process, port):
        say(process, json.dumps(ills))
        line_of(process)
        seen = [asked(f"127.66.0.{number}", port) for number in range(1, 6)]
        assert seen == ["nothing", "no connection", "drips", "reset", "well"]
        say(process, "{}")
        line_of(process)
        assert {asked(f"127.66.0.{number}", port) for number in range(1, 6)} == {"well"}


@pytest.mark.parametrize("datagram", [b"", b"\x30\x00", b"\x30\x05\x02\x01\x01\x04\x00", bytes(40)])
def test_what_is_no_question_is_malformed(datagram: bytes) -> None:
    with pytest.raises(Malformed):
        answer(datagram, 1)
