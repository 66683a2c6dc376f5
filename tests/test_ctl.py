"""gatewayctl as a person runs it: processes of their own, against a whole gateway, judged by exit code and what they print."""

import asyncio
import contextlib
import hashlib
import ipaddress
import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.cells import cell_len

from gateway.clock import SystemClock
from gateway.ctl.commands.doctor import _certificate
from gateway.ctl.commands.footage_progress import drawn, fetched
from gateway.ctl.commands.footage_times import length_of, window_of
from gateway.ctl.failure import Failed
from gateway.ctl.live import Live, Seen
from gateway.ctl.output import harmless
from gateway.ctl.spans import ago, span
from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Standing
from tests.api.conftest import template
from tests.api.house import CAMERA, House, open_house, open_street
from tests.api.test_bindings import with_street
from tests.api.test_broadcasts import sound, waiting
from tests.api.test_footage import filing

__all__ = ["template"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


async def gatewayctl(house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str) -> Done:
    """Run one command as the key of `role`, to its end."""
    process = await started(house, *arguments, role=role, cwd=cwd, **env)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


async def started(
    house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str
) -> asyncio.subprocess.Process:
    """One command under way as the key of `role`."""
    mine = {} if house is None else {"GATEWAY_URL": house.url, "GATEWAY_KEY": house.keys[role]}
    known = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.ctl", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**known, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **mine, **env},
    )


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    folder = tmp_path / "house"
    folder.mkdir()
    async with open_house(folder, template) as opened:
        yield opened


# -- looking ----------------------------------------------------------------------------------------------------------


async def test_lists_are_tables_for_people_and_json_or_yaml_for_programs(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    table = await gatewayctl(house, "get", "devices", "--kind", "camera", role=Role.VIEWER)
    assert (table.code, table.err) == (0, "")
    heading, first, *_ = table.out.splitlines()
    assert heading.split()[:5] == ["ID", "KIND", "NAME", "STATE", "REASON"]
    assert first.split()[:5] == ["cam-1", "camera", "东门枪机", "down", "refused"]
    found = json.loads((await gatewayctl(house, "get", "devices", "--kind", "camera", "-o", "json")).out)
    assert [device["id"] for device in found] == ["cam-1", "cam-2", "cam-3"]
    found = yaml.safe_load((await gatewayctl(house, "get", "zones", "-o", "yaml")).out)
    assert found == [{"id": "z-1", "name": "全部", "speakers": ["spk-1", "spk-2"], "multicast": ""}]
    wide = await gatewayctl(house, "get", "devices", "-o", "wide", "--limit", "1")
    assert "127.8.0.1" in wide.out
    assert len(wide.out.splitlines()) == 2


async def test_columns_stand_under_their_headings_whatever_the_script(house: House):
    done = await gatewayctl(house, "get", "devices")
    heading, *rows = done.out.splitlines()
    at = heading.index("STATE")
    assert all(cell_len(row[: row.index("unknown")]) == at for row in rows)


async def test_one_thing_is_described_with_what_belongs_to_it(house: House):
    done = await gatewayctl(house, "describe", "devices", CAMERA)
    assert done.code == 0
    assert "127.8.0.1" in done.out
    found = json.loads((await gatewayctl(house, "describe", "groups", "g-1", "-o", "json")).out)
    assert found["street"] == "舜耕"


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["get", "trees"], 2, "There are: devices"),
        (["get", "zones", "--kind", "camera"], 2, "gatewayctl get zones"),
        (["get", "devices", "--kind", "tree"], 2, "?kind"),
        (["describe", "devices", "nowhere"], 4, "/v1/devices"),
        (["keys", "create", "--name", "x", "--role", "king"], 2, "/roles/0"),
        (["say", "--clip", "nofile.wav", "--speaker", "spk-1"], 2, "gatewayctl get clips"),
        (["say", "nofile.wav", "--speaker", "spk-1"], 2, "--clip nofile.wav"),
        (["say", "--speaker", "spk-1"], 2, "请勿占道经营"),
        (["say", "走", "--circle", "36,115"], 2, "LAT,LON,R"),
        (["say", "走", "--preset", "2"], 2, "--near"),
        (["broadcasts", "outcome", "b-9", "left"], 4, "list"),
        (["broadcasts", "outcome", "b-9", "gone"], 2, "/outcome"),
        (["say", "走"], 2, "--speaker"),
        (["import", "nofile.csv"], 2, "name right"),
        (["footage", "approve", "F-9"], 4, "permission"),
        (["nonsense"], 2, "No such command"),
        (["--server", "ftp://x", "get", "zones"], 2, "http://HOST"),
        (["--context", "moon", "get", "zones"], 3, "context set moon"),
        (["--server", "http://127.0.0.1:1", "get", "zones"], 3, "doctor"),
    ],
)
async def test_an_error_has_its_exit_code_and_the_next_thing_to_do(
    house: House, tmp_path: Path, arguments: list[str], code: int, hint: str
):
    done = await gatewayctl(house, *arguments, XDG_CONFIG_HOME=str(tmp_path))
    assert (done.code, done.out) == (code, "")
    assert hint in done.err
    assert "Traceback" not in done.err


async def test_without_a_key_or_with_a_wrong_one_it_says_which(house: House, tmp_path: Path):
    none = await gatewayctl(None, "get", "zones", XDG_CONFIG_HOME=str(tmp_path))
    assert (none.code, "--key-file" in none.err) == (3, True)
    wrong = await gatewayctl(house, "get", "zones", GATEWAY_KEY="gwk_aaaa_" + "A" * 43)
    assert (wrong.code, "not known" in wrong.err) == (4, True)


async def test_a_named_gateway_needs_neither_address_nor_key(house: House, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(house.keys[Role.VIEWER] + "\n")
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    made = await gatewayctl(None, "context", "set", "demo", "--server", house.url, "--key-file", str(key), **home)
    assert made.code == 0
    assert stat.S_IMODE((tmp_path / "config/gatewayctl/contexts.yaml").stat().st_mode) == 0o600
    assert (await gatewayctl(None, "get", "zones", "-o", "json", **home)).code == 0
    listed = await gatewayctl(None, "context", "list", **home)
    assert listed.out.splitlines()[1].split()[:3] == ["*", "demo", house.url]
    assert house.keys[Role.VIEWER] not in listed.out + made.err


async def test_what_a_device_calls_itself_cannot_steer_the_terminal():
    assert harmless("a\x1b[2Jb\x9b31mc\u202egpj\x07") == "a\ufffd[2Jb\ufffd31mc\ufffdgpj\ufffd"
    assert harmless("\u202e", escape=True) == "\\u202e"


async def test_top_and_events_show_how_things_are_and_what_happened(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    picture = await gatewayctl(house, "top", "--once")
    assert picture.code == 0
    assert ["camera", "2", "0", "0", "1"] in [line.split() for line in picture.out.splitlines()]
    assert ["1", "refused"] in [line.split() for line in picture.out.splitlines()]
    await house.emit(house.event("cam-1", after="down"), house.event("cam-2", after="up"), house.event("x", "other.type"))
    done = await gatewayctl(house, "events", "--after", "1", "--types", "device.*", "-o", "json")
    assert [json.loads(line)["subject"] for line in done.out.splitlines()] == ["cam-2"]


async def test_top_names_the_worst_groups_first(house: House):
    for device, state in (("cam-1", HealthState.DOWN), ("spk-1", HealthState.DEGRADED), ("cam-3", HealthState.DOWN)):
        house.services.board.put(Standing(DeviceId(device), state, house.clock.now(), "timeout"))
    picture = (await gatewayctl(house, "top", "--once")).out.splitlines()
    at = picture.index("worst groups")
    assert [line.split() for line in picture[at + 1 : at + 3]] == [
        ["g-1", "1", "down,", "1", "degraded", "of", "4", "东门"],
        ["g-2", "1", "down", "of", "2", "广场"],
    ]


async def test_a_picture_is_kept_true_by_events_and_says_when_it_is_not(house: House):
    live = Live("x", "2026-01-01T00:00:00Z", 0, {"c": Seen("camera", "g", "up", "")}, {"g": "G"})
    event = {
        "type": "device.state",
        "subject": "c",
        "cursor": 1,
        "at": "2026-01-01T00:00:01Z",
        "data": {"after": "down", "reason": "refused"},
    }
    assert live.take(event)
    assert (live.counts()["camera"]["down"], live.reasons(), live.cursor) == (1, [("refused", 1)], 1)
    told = {"id": "I-1", "state": "open", "severity": "major", "opened_at": "2026-01-01T00:00:00Z"}
    worse = {**told, "id": "I-2", "severity": "critical"}
    for number, incident in enumerate((told, worse)):
        assert live.take({**event, "type": "incident.opened", "cursor": 2 + number, "data": {"incident": incident}})
    assert [one["id"] for one in live.open_incidents()] == ["I-2", "I-1"]
    assert live.take({**event, "type": "incident.resolved", "cursor": 4, "data": {"incident": {**worse, "state": "resolved"}}})
    assert [one["id"] for one in live.open_incidents()] == ["I-1"]
    assert not live.take({**event, "subject": "new", "cursor": 5})


async def test_what_is_watched_is_shown_again_when_it_changes(house: House):
    process = await started(house, "get", "devices", "--state", "down", "--watch", "-o", "table")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).split()[:2] == [b"ID", b"KIND"]
            house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
            await house.emit(house.event("cam-2", after="up"), house.event(CAMERA, after="down"))
            assert (await process.stdout.readline()).split()[3:5] == [b"down", b"refused"]
            house.services.board.put(Standing(CAMERA, HealthState.UP, house.clock.now()))
            await house.emit(house.event(CAMERA, after="up"))
            assert b" up " in await process.stdout.readline()
    finally:
        process.terminate()
        await process.communicate()
    refused = await gatewayctl(house, "get", "zones", "--watch")
    assert (refused.code, "devices" in refused.err) == (2, True)


# -- incidents and maintenance ----------------------------------------------------------------------------------------


async def trouble(house: House, *devices: str) -> list[str]:
    """Let devices fall, and wait until there is an incident of each; the ids, the latest first."""
    for device in devices:
        house.services.board.put(Standing(DeviceId(device), HealthState.DOWN, house.clock.now(), "timeout", "reach"))
    for _ in range(100):
        await house.advance(5)
        await house.services.incidents.idle()
        live = house.services.incidents.live
        if {member for one in live for member in one.members} >= set(devices):
            return [one.id for one in live]
    raise AssertionError(house.services.incidents.live)


async def test_incidents_are_listed_acknowledged_assigned_snoozed_and_resolved(house: House):
    first, *_ = await trouble(house, "cam-3", "nvr-1")
    listed = await gatewayctl(house, "incidents", role=Role.VIEWER)
    assert (listed.code, first in listed.out, " open " in listed.out) == (0, True, True)
    done = await gatewayctl(house, "ack", first, "-m", "on my way", role=Role.ENGINEER)
    assert (done.code, done.err.strip()) == (0, "acknowledge: 1 of 1 incidents")
    assert (await gatewayctl(house, "assign", first, "--to", "li")).code == 0
    assert (await gatewayctl(house, "snooze", first, "--for", "2h")).code == 0
    shown = json.loads((await gatewayctl(house, "describe", "incidents", first, "-o", "json")).out)
    assert (shown["state"], shown["assignee"], shown["snoozed_until"] is not None) == ("acknowledged", "li", True)
    assert [(one["what"], one["comment"]) for one in shown["history"]][1] == ("acknowledge", "on my way")
    assert "on my way" in (await gatewayctl(house, "describe", "incidents", first)).out
    assert (await gatewayctl(house, "resolve", first)).code == 0
    gone = await gatewayctl(house, "get", "incidents", "--state", "resolved", "-o", "json")
    assert [one["id"] for one in json.loads(gone.out)] == [first]
    picture = (await gatewayctl(house, "top", "--once")).out
    assert f"{len(house.services.incidents.live)} open incidents" in picture


async def test_several_are_acknowledged_at_once_and_each_refusal_is_named(house: House):
    ids = await trouble(house, "cam-3", "nvr-1")
    assert len(ids) == 2
    part = await gatewayctl(house, "ack", ids[0], "I-nowhere", role=Role.ENGINEER)
    assert (part.code, "I-nowhere: " in part.err) == (5, True)
    refused = await gatewayctl(house, "ack", ids[0], role=Role.ENGINEER)
    assert (refused.code, f"describe incidents {ids[0]}" in refused.err) == (1, True)
    assert (await gatewayctl(house, "ack", "I-nowhere", role=Role.ENGINEER)).code == 4
    assert (await gatewayctl(house, "ack", ids[0], role=Role.VIEWER)).code == 4
    rest = await gatewayctl(house, "ack", "--all", "-m", "seen", "-o", "json", role=Role.ENGINEER)
    assert [one["id"] for one in json.loads(rest.out)] == [ids[1]]
    nothing = await gatewayctl(house, "ack", "--all", "--severity", "critical", role=Role.ENGINEER)
    assert (nothing.code, nothing.err.strip()) == (0, "acknowledge: 0 of 0 incidents")


async def test_maintenance_begins_in_one_line_is_listed_and_ends_early(house: House):
    made = await gatewayctl(house, "maintain", CAMERA, "--for", "2h", "--reason", "new lens", "-o", "json", role=Role.ENGINEER)
    assert made.code == 0, made.err
    window = json.loads(made.out)
    assert f"maintain --end {window['id']}" in made.err
    assert (await gatewayctl(house, "maintain", "--district", "历下", "--for", "1h", role=Role.ENGINEER)).code == 0
    listed = (await gatewayctl(house, "maintain", "list", role=Role.VIEWER)).out.splitlines()
    assert (len(listed), [line for line in listed if window["id"] in line and "devices cam-1" in line and "new lens" in line] != []) == (
        3,
        True,
    )
    ended = await gatewayctl(house, "maintain", "--end", window["id"], role=Role.ENGINEER)
    assert (ended.code, ended.err.strip()) == (0, f"{window['id']} has ended")
    weekly = await gatewayctl(
        house, "maintain", "--vendor", "Acme", "--rrule", "FREQ=WEEKLY;BYDAY=TU", "--for", "90m", "--timezone", "Asia/Shanghai",
        "--from", "2026-01-06T02:00+08:00", "-o", "json", role=Role.ENGINEER,
    )  # fmt: skip
    assert weekly.code == 0, weekly.err
    assert json.loads(weekly.out)["duration_minutes"] == 90


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["ack"], 2, "--all"),
        (["ack", "I-1", "--all"], 2, "gatewayctl incidents"),
        (["ack", "I-1", "--severity", "major"], 2, "--all"),
        (["snooze", "I-1", "--for", "soon"], 2, "2h"),
        (["maintain", "--for", "2h"], 2, "--group"),
        (["maintain", "cam-1"], 2, "--for 30m"),
        (["maintain", "cam-1", "--for", "ever"], 2, "1h30m"),
        (["maintain", "cam-1", "--for", "1h", "--timezone", "Asia/Shanghai"], 2, "--from"),
        (["maintain", "--end", "M-nowhere"], 4, ""),
    ],
)
async def test_wrong_wishes_are_refused_with_the_next_thing_to_do(house: House, arguments: list[str], code: int, hint: str):
    done = await gatewayctl(house, *arguments)
    assert (done.code, done.out) == (code, "")
    assert hint in done.err
    assert "Traceback" not in done.err


def test_spans_of_time_are_read_as_people_write_them():
    assert span("1d2h30m") == timedelta(days=1, hours=2, minutes=30)
    assert ago("2026-01-01T00:00:00Z", datetime(2026, 1, 3, 4, 5, tzinfo=UTC)) == "2d 4h"
    for wrong in ("", "2", "-2h", "400d", "0m", "2h3d"):
        with pytest.raises(Failed):
            span(wrong)


async def test_doctor_finds_nothing_wrong_where_nothing_is_and_names_what_is(house: House, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(house.keys[Role.VIEWER])
    key.chmod(0o644)
    house.services.board.put(Standing(CAMERA, HealthState.UP, datetime.now(UTC)))
    done = await gatewayctl(house, "--key-file", str(key), "doctor", "-o", "json")
    found = {one["check"]: one for one in json.loads(done.out)}
    assert (done.code, [name for name, one in found.items() if one["result"] == "fail"]) == (1, ["key file"])
    assert found["key file"]["next"] == f"chmod 600 {key}"
    assert f"chmod 600 {key}" in done.err
    assert {"server", "clock", "key", "database", "parts", "broker", "sight", "checks"} <= found.keys()
    assert {"ping", "open files", "espeak-ng", "Chinese fonts", "codecs"} <= found.keys(), "the gateway is on this machine"
    assert all(one["next"] for one in found.values() if one["result"] != "ok")
    key.chmod(0o600)
    done = await gatewayctl(house, "--key-file", str(key), "doctor", "--data", str(tmp_path))
    assert done.code == 0, done.out
    far = await gatewayctl(house, "--server", "http://127.0.0.1:1", "doctor", "--no-here", "-o", "json")
    assert far.code == 1
    assert [one["check"] for one in json.loads(far.out)] == ["answer"]
    assert "cannot be reached" in far.out


async def test_doctor_says_so_when_no_device_was_checked(house: House):
    none = await gatewayctl(house, "doctor", "--no-here", "-o", "json")
    found = {one["check"]: one["result"] for one in json.loads(none.out)}
    assert (none.code, found["checks"], found["database"]) == (1, "fail", "ok")


@pytest.mark.parametrize(("days", "result"), [(90, "ok"), (5, "warn"), (-1, "fail")])
async def test_doctor_says_how_long_a_certificate_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, result: str):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    _make_certificate(certificate, key, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with server:
        found = await asyncio.to_thread(_certificate, "127.0.0.1", server.sockets[0].getsockname()[1])
    assert found.result == result, found
    assert (found.next == "") == (result == "ok")


def _make_certificate(certificate: Path, key: Path, *, days: int) -> None:
    now = datetime.now(UTC)
    begins, ends = now - timedelta(days=9), now + timedelta(days=days)
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number(), begins, ends)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


async def test_completion_completes(house: House):
    script = await gatewayctl(None, "completion", "bash")
    assert (script.code, "_GATEWAYCTL_COMPLETE" in script.out) == (0, True)
    env = {"_GATEWAYCTL_COMPLETE": "complete_bash", "COMP_WORDS": "gatewayctl foo", "COMP_CWORD": "1"}
    assert (await gatewayctl(None, **env)).out.split() == ["footage"]


# -- doing ------------------------------------------------------------------------------------------------------------


async def test_an_import_is_shown_and_then_made(house: House, tmp_path: Path):
    file = tmp_path / "new.csv"
    file.write_text("id,kind,name,address\nnew-1,camera,新,127.8.9.1\n")
    shown = await gatewayctl(house, "import", "--dry-run", str(file))
    assert (shown.code, shown.out.splitlines()[0]) == (0, "+ camera new-1 新")
    assert "nothing was changed" in shown.err
    made = await gatewayctl(house, "import", str(file))
    assert (made.code, "imported" in made.err) == (0, True)
    assert (await gatewayctl(house, "describe", "devices", "new-1")).code == 0
    assert "new-1" in (await gatewayctl(house, "export", "--format", "csv")).out
    file.write_text("id,kind,name,address\nnew-2,tree,x,y z\n")
    wrong = await gatewayctl(house, "import", str(file))
    assert (wrong.code, "line 2" in wrong.err) == (2, True)


async def test_keys_are_made_into_a_file_of_their_own_and_revoked(house: House, tmp_path: Path):
    file = tmp_path / "viewer.key"
    made = await gatewayctl(house, "keys", "create", "--name", "wall", "--role", "viewer", "--to", str(file), "-o", "json")
    key = file.read_text().strip()
    assert (made.code, stat.S_IMODE(file.stat().st_mode), key in made.out + made.err) == (0, 0o600, False)
    assert (await gatewayctl(house, "get", "zones", GATEWAY_KEY=key)).code == 0
    assert (await gatewayctl(house, "keys", "revoke", json.loads(made.out)["id"])).code == 0
    assert (await gatewayctl(house, "get", "zones", GATEWAY_KEY=key)).code == 4


async def test_the_record_is_listed_and_verified_against_heads_kept_elsewhere(house: House, tmp_path: Path):
    await gatewayctl(house, "keys", "create", "--name", "x", "--role", "viewer")
    listed = await gatewayctl(house, "audit", "list")
    assert "key.created" in listed.out
    heads = tmp_path / "heads.json"
    assert (await gatewayctl(house, "audit", "verify", "--save", str(heads))).code == 0
    assert (await gatewayctl(house, "audit", "verify", "--against", str(heads))).code == 0
    chain, (seq, digest) = next(iter(json.loads(heads.read_text()).items()))
    heads.write_text(json.dumps({chain: [seq + 5, digest]}))
    shrunk = await gatewayctl(house, "audit", "verify", "--against", str(heads))
    assert (shrunk.code, "does not hold" in shrunk.err) == (1, True)


async def test_a_voice_that_nobody_hears_is_a_failure_and_stop_all_silences(tmp_path: Path, template: Path):
    file = tmp_path / "clip.wav"
    file.write_bytes(sound())
    async with open_house(tmp_path, template, clock=SystemClock()) as house:
        done = await gatewayctl(house, "say", "--clip", str(file), "--speaker", "spk-1", role=Role.OPERATOR)
        assert (done.code, "0 of 1 loudspeakers" in done.err) == (1, True)
        assert done.out.splitlines()[1].split()[:2] == ["spk-1", "failed"]
        stopped = await gatewayctl(house, "stop-all", role=Role.OPERATOR)
        assert (stopped.code, "silenced" in stopped.err) == (0, True)


async def test_the_whole_day_of_an_operator_and_a_liaison_officer(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        clip = tmp_path / "请离开.wav"
        clip.write_bytes(sound())
        speakers = [part for device in city.of_kind("speaker") for part in ("--speaker", device.id)]
        said = await gatewayctl(house, "say", "--clip", str(clip), *speakers, "--case", "C-1", "-o", "json", role=Role.OPERATOR)
        assert said.code == 0, said.err
        assert json.loads(said.out)["counts"] == {"done": len(speakers) // 2}
        picture = tmp_path / "now.jpg"
        taken = await gatewayctl(house, "capture", city.of_kind("camera")[0].id, "--to", str(picture), role=Role.OPERATOR)
        assert (taken.code, picture.read_bytes()[:2]) == (0, b"\xff\xd8")
        await _liaison(house, city, tmp_path)


async def _liaison(house: House, city, folder: Path) -> None:
    channel = next(channel for recorder in city.of_kind("recorder") for channel in recorder.channels if not channel.gappy)
    form = folder / "request.yaml"
    form.write_text(yaml.safe_dump(filing(house, camera=channel.camera), allow_unicode=True))
    filed = await gatewayctl(house, "footage", "request", "--from", str(form), "--urgent", "-o", "json", role=Role.LIAISON)
    assert filed.code == 0, filed.err
    request = json.loads(filed.out)
    assert request["urgency"] == "urgent"
    assert (await gatewayctl(house, "footage", "approve", request["id"], role=Role.LIAISON)).code == 4
    assert (await gatewayctl(house, "footage", "approve", request["id"], role=Role.APPROVER)).code == 0
    ready = await gatewayctl(house, "footage", "progress", request["id"], role=Role.LIAISON)
    assert ready.code == 0, ready.err + ready.out
    assert f"{request['id']} is ready" in ready.err, "a line a step where there is no terminal"
    told = await gatewayctl(house, "footage", "coverage", request["id"], role=Role.LIAISON)
    assert (told.code, told.out.split()[:2]) == (0, [channel.camera, "done"]), told.err
    assert set(told.out.splitlines()[1].strip()) == {"█"}
    to = folder / "handed over"
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request['id']}", role=Role.LIAISON)
    name = dossier["files"][0]["name"]
    async with house.call("GET", f"/v1/footage-requests/{request['id']}/files/{name}", role=Role.LIAISON) as answer:
        whole = await answer.read()
    to.mkdir()
    (to / f".{name}.part").write_bytes(whole[:1000])
    code, screen = await on_a_terminal(house, "footage", "fetch", request["id"], "--to", str(to), role=Role.LIAISON)
    assert (code, name in screen, "100" in screen or "━" in screen) == (0, True, True), screen
    assert ((to / name).read_bytes() == whole, list(to.glob(".*"))) == (True, [])
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request['id']}", role=Role.LIAISON)
    taken = dossier["files"][0]["downloads"]
    assert (await gatewayctl(house, "footage", "fetch", request["id"], "--to", str(to), role=Role.LIAISON)).code == 0
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request['id']}", role=Role.LIAISON)
    assert dossier["files"][0]["downloads"] == taken, "what is there already is not fetched again"
    assert (await gatewayctl(None, "footage", "verify", str(to))).code == 0
    whole = folder / "whole.zip"
    fetched = await gatewayctl(house, "footage", "fetch", request["id"], "--zip", "--to", str(whole), role=Role.LIAISON)
    assert fetched.code == 0, fetched.err
    checked = await gatewayctl(None, "footage", "verify", str(whole))
    assert (checked.code, "VERIFIED  4 files" in checked.out) == (0, True)
    await _held(house, request["id"])
    await _linked(house, request["id"])
    await _viewed(house, request["id"])
    await _brought(house, request["id"], folder)
    await _delivered(house, request["id"], folder)
    page = folder / "page.html"
    assert (await gatewayctl(None, "footage", "verify-page", "--to", str(page))).code == 0
    assert page.read_bytes() == (to / "verify.html").read_bytes()
    file = next(to.glob("*.mp4"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    altered = await gatewayctl(None, "footage", "verify", str(to))
    assert (altered.code, f"ALTERED  {file.name}: " in altered.out) == (1, True)


async def _held(house: House, request: str) -> None:
    """What a request wants is held for some days, listed, and released with the reason."""
    placed = await gatewayctl(house, "footage", "hold", request, "--why", "案件未结", "--days", "7", "-o", "json", role=Role.LIAISON)
    assert placed.code == 0, placed.err
    hold = json.loads(placed.out)
    assert (hold["request"], hold["state"], hold["reason"]) == (request, "active", "案件未结")
    assert (await gatewayctl(house, "footage", "hold", "--why", "x", role=Role.LIAISON)).code == 2
    listed = await gatewayctl(house, "footage", "holds", "--request", request, role=Role.LIAISON)
    assert hold["id"] in listed.out
    ended = await gatewayctl(house, "footage", "release", hold["id"], "--note", "已结", "-o", "json", role=Role.LIAISON)
    assert (ended.code, json.loads(ended.out)[0]["state"]) == (0, "released"), ended.err


async def _brought(house: House, request: str, folder: Path) -> None:
    """A vendor's file is taken in, in pieces, from where an earlier attempt broke off."""
    film = folder / "通道03.dav"
    film.write_bytes(os.urandom(5 << 20))
    said = ("--brought-by", "赵工", "--badge", "HK-0091", "--device", "DS-8632N, 10.3.0.7", "--client", "iVMS-4200 3.11")
    words = {"brought_by": "赵工", "badge": "HK-0091", "device": "DS-8632N, 10.3.0.7", "client": "iVMS-4200 3.11"}
    body = words | {"original_name": film.name, "size": 5 << 20}
    path = f"/v1/footage-requests/{request}/brought-files"
    status, begun = await house.json("POST", path, json=body, role=Role.LIAISON)
    assert status == 201, begun
    first = {"Content-Type": "application/octet-stream", "Content-Range": f"bytes 0-999/{5 << 20}"}
    content = f"/v1/brought-files/{begun['id']}/content"
    status, _ = await house.json("PUT", content, data=film.read_bytes()[:1000], headers=first, role=Role.LIAISON)
    assert status == 200
    done = await gatewayctl(house, "footage", "bring", request, str(film), *said, "-o", "json", role=Role.LIAISON)
    assert done.code == 0, done.err
    (one,) = json.loads(done.out)
    assert (one["id"], one["received"], one["sha256"]) == (begun["id"], 5 << 20, hashlib.sha256(film.read_bytes()).hexdigest())
    listed = await gatewayctl(house, "footage", "brought", request, role=Role.LIAISON)
    assert film.name in listed.out


async def _viewed(house: House, request: str) -> None:
    """Somebody looks under the eyes of who filed it, and nothing leaves; the page is told."""
    said = ("--viewer", "孙大娘", "--identity", "371502196001011234", "--place", "3 号台")
    begun = await gatewayctl(house, "footage", "view", request, *said, "-o", "json", role=Role.LIAISON)
    assert begun.code == 0, begun.err
    viewing = json.loads(begun.out)
    assert (viewing["viewer"], viewing["place"], viewing["ended_at"]) == ("孙大娘", "3 号台", None)
    assert f"{house.url}{viewing['page']}" in begun.err
    ended = await gatewayctl(house, "footage", "end-viewing", viewing["id"], "--outcome", "interrupted", "-o", "json", role=Role.LIAISON)
    assert (ended.code, json.loads(ended.out)["outcome"]) == (0, "interrupted"), ended.err
    assert "interrupted" in (await gatewayctl(house, "footage", "viewings", request, role=Role.LIAISON)).out


async def _delivered(house: House, request: str, folder: Path) -> None:
    """A sealed stick leaves, but not against a hash that is another package's; its signed sheet comes back as a scan."""
    said = ["--medium", "usb-stick", "--number", "U-17", "--seal", "0042", "--receiver", "王建国", "--second-officer", "李敏"]
    wrong = await gatewayctl(house, "footage", "deliver", request, *said, "--printed-hash", "0" * 64, role=Role.LIAISON)
    assert wrong.code == 1, wrong.err
    _, paper = await house.json("GET", f"/v1/footage-requests/{request}/deliveries", role=Role.LIAISON)
    assert paper["items"] == []
    async with house.call("GET", f"/v1/footage-requests/{request}/files/manifest.json", role=Role.LIAISON) as answer:
        printed = hashlib.sha256(await answer.read()).hexdigest()
    done = await gatewayctl(house, "footage", "deliver", request, *said, "--printed-hash", printed, "-o", "json", role=Role.LIAISON)
    assert done.code == 0, done.err
    delivery = json.loads(done.out)
    assert (delivery["manifest_sha256"], delivery["number"], delivery["signed_sheet"]) == (printed, "U-17", None)
    scan = folder / "sheet.pdf"
    scan.write_bytes(b"%PDF-1.4 signed")
    signed = await gatewayctl(house, "footage", "add-signed-sheet", delivery["id"], str(scan), "-o", "json", role=Role.LIAISON)
    assert (signed.code, json.loads(signed.out)["signed_sheet"]["media"]) == (0, "application/pdf"), signed.err
    assert "U-17" in (await gatewayctl(house, "footage", "deliveries", request, role=Role.LIAISON)).out


async def _linked(house: House, request: str) -> None:
    """A link is made for one person, listed with what was taken, and revoked."""
    made = await gatewayctl(house, "footage", "link", request, "--receiver", "李敏", "--badge", "0418", "--hours", "2", role=Role.LIAISON)
    assert made.code == 0, made.err
    told = dict(line.split(maxsplit=1) for line in made.out.splitlines())
    headers = {"Authorization": aiohttp.encode_basic_auth("0418", told["code"])}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(told["address"]) as answer:
        assert (told["name"], answer.status) == ("0418", 200)
    listed = await gatewayctl(house, "footage", "links", request, "-o", "json", role=Role.LIAISON)
    (one,) = json.loads(listed.out)
    assert (one["receiver"], one["revoked_at"], "code" in one) == ("李敏", None, False)
    assert (await gatewayctl(house, "footage", "revoke-link", one["id"], role=Role.LIAISON)).code == 0
    async with aiohttp.ClientSession(headers=headers) as http, http.get(told["address"]) as answer:
        assert answer.status == 409


async def on_a_terminal(house: House, *arguments: str, role: Role) -> tuple[int, str]:
    """The exit code of a command whose standard error is a terminal, and what stood on it."""
    ours, theirs = os.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    env |= {"GATEWAY_URL": house.url, "GATEWAY_KEY": house.keys[role], "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.ctl", *arguments), stdout=asyncio.subprocess.DEVNULL, stderr=theirs, cwd=ROOT, env=env
    )
    os.close(theirs)
    seen = await asyncio.to_thread(_read_terminal, ours)
    return await process.wait(), seen


def _read_terminal(terminal: int) -> str:
    seen = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as screen:
        while piece := screen.read(1 << 16):
            seen += piece
    return seen.decode()


async def test_the_rest_of_the_register_and_a_scan_follow(house: House, tmp_path: Path):
    form, scan = tmp_path / "form.yaml", tmp_path / "通知书.pdf"
    form.write_text(yaml.safe_dump(filing(house, destination="", second_officer=""), allow_unicode=True))
    scan.write_bytes(b"%PDF-1.4 scan")
    filed = await gatewayctl(house, "footage", "request", "--from", str(form), "-o", "json", role=Role.LIAISON)
    request = json.loads(filed.out)["id"]
    assert f"gatewayctl footage amend {request} --second-officer … --destination …" in filed.err
    assert (await gatewayctl(house, "footage", "amend", request, role=Role.LIAISON)).code == 2
    rest = ("--second-officer", "李敏", "--destination", "入卷")
    after = await gatewayctl(house, "footage", "amend", request, *rest, "-o", "json", role=Role.LIAISON)
    assert (after.code, json.loads(after.out)["missing"]) == (0, [])
    added = await gatewayctl(house, "footage", "add-document", request, str(scan), role=Role.LIAISON)
    assert added.code == 0, added.err
    listed = await gatewayctl(house, "footage", "documents", request, "-o", "json", role=Role.APPROVER)
    assert [(one["kind"], one["name"], one["size"]) for one in json.loads(listed.out)] == [("authorisation", "通知书.pdf", 13)]
    missing = await gatewayctl(house, "footage", "add-document", request, str(tmp_path / "nowhere.pdf"), role=Role.LIAISON)
    assert missing.code == 3


async def test_a_fault_of_a_footage_request_is_named_by_its_option(house: House):
    window = ("--start", "2026-03-01T08:00", "--for", "10m")
    told = await gatewayctl(house, "footage", "request", "--camera", "nowhere", "--badge", "1", *window, role=Role.LIAISON)
    assert (told.code, told.out) == (2, "")
    assert "--requester: " in told.err
    assert "→ gatewayctl footage request --help" in told.err
    for wrong in (
        ("--circle", "36.4,115.9"),
        ("--start", "yesterday"),
        ("--start", "2026-03-01T08:00", "--end", "2026-03-01T09:00", "--for", "1h"),
    ):
        assert (await gatewayctl(house, "footage", "request", *wrong, role=Role.LIAISON)).code == 2
    for wrong in ((), ("F-1", "--camera", CAMERA), ("--camera", CAMERA)):
        assert (await gatewayctl(house, "footage", "coverage", *wrong, role=Role.LIAISON)).code == 2


def test_how_much_of_a_camera_is_done_with_and_how_a_window_is_drawn():
    def period(start: int, end: int) -> dict[str, str]:
        return {"start": f"2026-03-01T08:{start:02}:00+08:00", "end": f"2026-03-01T08:{end:02}:00+08:00"}

    camera = {"camera": "a", "state": "exporting", "recorded": [period(2, 8)]}
    found = {**period(0, 10), "files": [{"camera": "a", **period(1, 4)}, {"camera": "b", **period(0, 9)}]}
    assert fetched(found, camera) == 7 * 60
    assert fetched(found, {**camera, "state": "nothing"}) == 600
    assert drawn(period(0, 10), [("r", [period(0, 6)]), ("x", [period(4, 8)])], width=10) == "rrrrxxxx··"
    assert [length_of(seconds) for seconds in (0.5, 59, 61, 3600, 90_061)] == ["0.5s", "59s", "1m 1s", "1h", "1d 1h"]
    assert (
        window_of("2026-03-01T08:00:00+08:00", None, None)["end"]
        == window_of("2026-03-01T08:00:00+08:00", "2026-03-01T08:10+08:00", None)["end"]
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--route", "36.4561,115.9852 36.4570"), "'36.4570' is no corner of a route"),
        (("--camera", "cam-1", "--corridor", "80"), "no route to go along"),
    ],
)
async def test_a_route_that_is_none_is_told_before_anybody_is_asked(given: tuple[str, ...], words: str):
    told = await gatewayctl(None, "footage", "request", *given)
    assert told.code == 2
    assert words in told.err


async def test_what_ends_after_so_long_ends_by_the_gateways_clock_whatever_this_machine_believes():
    async with in_2031() as (url, asked):
        env = {"GATEWAY_URL": url, "GATEWAY_KEY": "k"}
        held = await gatewayctl(
            None, "footage", "hold", "--camera", "c", "--start", "2031-01-01T00:00Z", "--why", "x", "--days", "1", **env
        )
        said = await gatewayctl(None, "say", "你好", "--speaker", "s", "--within", "60", "--no-wait", **env)
        way = ("--route", "36.1,115.1 36.2,115.2", "--direction", "forward", "--corridor", "80", "--slowest", "4")
        filed = await gatewayctl(None, "footage", "request", *way, "--start", "2031-01-01T00:00Z", **env)
    assert (held.code, said.code, filed.code) == (0, 0, 0), held.err + said.err + filed.err
    hold, order, request = asked
    assert hold["expires_at"] == "2031-05-02T08:00:00+00:00"
    assert order["not_after"] == "2031-05-01T08:01:00+00:00"
    points = [{"latitude": 36.1, "longitude": 115.1}, {"latitude": 36.2, "longitude": 115.2}]
    assert request["route"] == {"points": points, "direction": "forward", "corridor_m": 80, "slowest_kmh": 4}


@contextlib.asynccontextmanager
async def in_2031() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A gateway whose clock stands in 2031, and what it was asked for."""
    asked: list[dict[str, Any]] = []

    async def post(request: web.Request) -> web.Response:
        asked.append(await request.json())
        filed = dict.fromkeys(("id", "state", "reason", "case_number", "requester", "cameras", "start", "end", "submitted_at"), "")
        return web.json_response({**filed, "missing": [], "keeps": [], "owner": {"name": "x"}, "expires_at": ""})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Date": "Thu, 01 May 2031 08:00:00 GMT"})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.post("/{rest:.*}", post)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def test_a_bulk_edit_is_shown_and_then_made(house: House, tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("id,kind,name,address,vendor\nA-1,camera,甲,10.9.0.1,Dahua\nA-2,camera,乙,10.9.0.2,Axis\n", encoding="utf-8")
    assert (await gatewayctl(house, "import", str(file))).code == 0
    shown = await gatewayctl(house, "edit", "--where", "vendor=dahua", "--set", "maintainer=联通", "--dry-run")
    assert (shown.code, shown.out.splitlines()) == (
        0,
        ["~ camera A-1 甲  maintainer: (empty) → 联通", "0 added, 1 changed, 0 removed"],
    )
    made = await gatewayctl(
        house, "edit", "--where", "id=A-1", "--where", "id=A-2", "--set", "maintainer=联通", "--comment", "new contract"
    )
    assert (made.code, made.out.splitlines()[-1], made.err) == (0, "0 added, 2 changed, 0 removed", "done\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "colour=red", "--set", "a=b"], "knows no 'colour'"),
        (["--where", "vendor", "--set", "a=b"], "no FIELD=VALUE"),
        (["--where", "vendor=x", "--set", "password=y"], "a secret"),
        (["--where", "vendor=x", "--where", "vendor=y", "--set", "a=b"], "stands twice"),
        (["--where", "vendor=x", "--set", "maintainr=y"], "No device fits"),
    ],
)
async def test_a_bulk_edit_that_cannot_be_meant_is_refused(house: House, arguments: list[str], words: str):
    done = await gatewayctl(house, "edit", *arguments)
    assert (done.code, words in done.err) == (2, True), done.err


async def test_the_uplinks_are_shown_with_the_reason_why_nothing_is_proposed(house: House):
    shown = await gatewayctl(house, "uplinks", "list", "--switch", "sw-1")
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines()][:2] == [
        ["DEVICE", "STATUS", "INVENTORY", "PROPOSED", "REASON"],
        ["cam-1", "unknown", "sw-1", "-", "no-hardware-address"],
    ]
    taken = await gatewayctl(house, "uplinks", "accept", "cam-1")
    assert (taken.code, "no proposed uplink for cam-1" in taken.err) == (2, True)


async def test_a_person_listens_and_says_which_loudspeaker_is_heard_where_a_camera_looks(house: House):
    street = await with_street(house)
    nothing = await gatewayctl(street, "bindings", "confirm", "CAM-2")
    assert (nothing.code, "Nothing is proposed" in nothing.err) == (4, True)
    shown = await gatewayctl(street, "speakers", "CAM-1")
    assert [line.split() for line in shown.out.splitlines()][1:3] == [
        ["SPK-2", "0", "m", "proposed", "unknown", "-", "only-proposed"],
        ["SPK-3", "0", "m", "nature", "unknown", "yes", "-"],
    ]
    done = await gatewayctl(street, "bindings", "confirm", "CAM-1", "--reach", "60", "--note", "heard")
    assert (done.code, "2 decided: confirm" in done.err) == (0, True), done.err
    refused = await gatewayctl(street, "bindings", "reject", "CAM-1", "SPK-2", role=Role.OPERATOR)
    assert refused.code == 4
    assert (await gatewayctl(street, "bindings", "reject", "CAM-1", "SPK-2")).code == 0
    listed = await gatewayctl(street, "bindings", "list", "--camera", "CAM-1", "-o", "json")
    assert {one["speaker"]: (one["state"], one["reach_m"], one["note"]) for one in json.loads(listed.out)} == {
        "SPK-1": ("confirmed", 60.0, "heard"),
        "SPK-2": ("rejected", 60.0, "heard"),
    }
    again = await gatewayctl(street, "bindings", "propose", "--dry-run", "-o", "json")
    assert json.loads(again.out) == {"added": 0, "removed": 0}


async def test_an_administrator_makes_a_day_quiet_and_takes_it_back(house: House):
    shown = await gatewayctl(house, "quiet-hours", "show", "--at", "2026-06-08T23:00:00+08:00", role=Role.OPERATOR)
    assert [line.split()[:4] for line in shown.out.splitlines()][1:] == [
        ["(the", "city)", "22:00-06:00", "2026-06-08T22:00:00Z"], ["z-1", "22:00-06:00", "2026-06-08T22:00:00Z", "-"],
    ]  # fmt: skip
    exam = ("quiet-hours", "add", "高考", "--first", "2026-06-07", "--last", "2026-06-09", "--zone", "z-1", "--reason", "notice 12")
    assert (await gatewayctl(house, *exam, role=Role.OPERATOR)).code == 4
    added = await gatewayctl(house, *exam, "--start", "07:00", "--end", "19:00", "-o", "json")
    assert added.code == 0, added.err
    id_ = json.loads(added.out)["id"]
    listed = await gatewayctl(house, "quiet-hours", "exceptions")
    assert listed.out.splitlines()[1].split() == [
        id_, "高考", "2026-06-07", "2026-06-09", "07:00", "19:00", "quiet", "z-1", "notice", "12",
    ]  # fmt: skip
    assert (await gatewayctl(house, "quiet-hours", "withdraw", id_)).code == 0
    assert (await gatewayctl(house, "quiet-hours", "withdraw", id_)).code == 4
    refused = await gatewayctl(house, "quiet-hours", "reload")
    assert (refused.code, "hours_file" in refused.err) == (1, True)


async def test_broadcasts_are_counted_and_taken_as_a_spreadsheet(house: House, tmp_path: Path):
    days = ("--from", "2026-01-01T00:00:00+08:00", "--to", "2026-01-02T00:00:00+08:00")
    counted = await gatewayctl(house, "broadcasts", "statistics", *days)
    assert counted.out.splitlines()[1].split()[:3] == ["2026-01-01", "-", "0"], counted.err
    for command in (("statistics", *days, "--file"), ("export",)):
        file = tmp_path / "figures.xlsx"
        assert (await gatewayctl(house, "broadcasts", *command, str(file))).code == 0
        assert file.read_bytes()[:2] == b"PK"
        assert (await gatewayctl(house, "broadcasts", *command, str(tmp_path / "figures.doc"))).code == 2


async def test_an_operator_has_a_clip_heard_every_school_day_and_takes_it_back(house: House, tmp_path: Path):
    clip = tmp_path / "放学.wav"
    clip.write_bytes(sound())
    when = ("--start", "2026-03-02T16:30:00+08:00", "--rrule", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "--days", "working")
    made = await gatewayctl(
        house, "schedules", "add", "放学", "--clip", str(clip), "--speaker", "spk-1", *when, "-o", "json", role=Role.OPERATOR
    )
    assert made.code == 0, made.err
    id_ = json.loads(made.out)["id"]
    listed = await gatewayctl(house, "schedules", "list")
    assert listed.out.splitlines()[1].split()[:4] == [id_, "放学", "active", "2026-03-02T08:30:00Z"]
    ahead = await gatewayctl(house, "schedules", "next", id_, "-o", "json")
    assert [one["due"] for one in json.loads(ahead.out)][:2] == ["2026-03-02T08:30:00Z", "2026-03-03T08:30:00Z"]
    assert (await gatewayctl(house, "schedules", "pause", id_)).code == 0
    assert (await gatewayctl(house, "schedules", "resume", id_)).code == 0
    assert (await gatewayctl(house, "schedules", "runs", id_)).code == 0
    assert (await gatewayctl(house, "schedules", "withdraw", id_)).code == 0
    assert (await gatewayctl(house, "schedules", "withdraw", id_)).code == 1


async def test_a_second_person_decides_on_what_reaches_further_than_one_may(house: House):
    await waiting(house)
    declined = await gatewayctl(house, "decline", "b-1", "-o", "wide", role=Role.APPROVER)
    assert declined.code == 0, declined.err
    assert [line.split()[:3] for line in declined.out.splitlines()][1:] == [[one, "cancelled", "declined"] for one in ("spk-1", "spk-2")]
    again = await gatewayctl(house, "approve", "b-1", role=Role.APPROVER)
    assert (again.code, "does not wait for approval" in again.err) == (1, True)
    assert (await gatewayctl(house, "approve", "b-1", role=Role.OPERATOR)).code == 4


async def test_a_search_is_waited_for_and_what_it_found_is_listed(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template, clock=SystemClock()) as house:
        found = await gatewayctl(house, "discover", "run", "127.9.9.0/31", "-o", "json")
        assert found.code == 0, found.err
        assert json.loads(found.out)["asked"] == 2
        listed = await gatewayctl(house, "discover", "list")
        assert " ".join(listed.out.split()) == "ID KIND DEVICE ADDRESS VENDOR MODEL CHANGES TROUBLE"
        beyond = await gatewayctl(house, "discover", "run", "10.0.0.0/8")
        assert (beyond.code, "does not allow" in beyond.err) == (2, True)
        for wrong in ([], ["P-1", "--kind", "moved"], ["--kind", "moved"], ["P-1", "P-2", "--set", "name=x"]):
            assert (await gatewayctl(house, "discover", "accept", *wrong)).code in (2, 4)
        secret = await gatewayctl(house, "discover", "accept", "P-1", "--set", "password=x")
        assert (secret.code, "a secret" in secret.err) == (2, True)
        survey = await gatewayctl(house, "uplinks", "survey", "-o", "json")
        assert json.loads(survey.out)["state"] == "done"


# -- reports


async def test_a_report_is_a_table_a_spreadsheet_and_a_page(house: House, tmp_path: Path) -> None:
    month = f"{house.clock.now():%Y-%m}"
    told = await gatewayctl(house, "report", "--month", month, "--by", "kind", role=Role.VIEWER)
    assert told.code == 0
    rows = told.out.splitlines()
    assert rows[0].split()[:3] == ["KEY", "NAME", "DEVICES"]
    assert [row.split()[0] for row in rows[1:]] == ["camera", "recorder", "speaker", "switch", "total"]
    assert "left out: nothing" in told.err
    sheet, page = tmp_path / "r.xlsx", tmp_path / "r.html"
    saved = await gatewayctl(house, "report", "--month", month, "--xlsx", str(sheet), "--html", str(page), "--lang", "en", role=Role.VIEWER)
    assert saved.code == 0
    assert sheet.read_bytes().startswith(b"PK")
    assert "Availability report" in page.read_text(encoding="utf-8")


async def test_a_report_that_cannot_be_made_says_why(house: House, tmp_path: Path) -> None:
    for arguments, words in (
        (["--month", "October"], "2026-10"),
        (["--from", "2026-01-01", "--to", "2026-01-02", "--xlsx", str(tmp_path / "r.xlsx")], "--month"),
        (["--from", "2019-01-01", "--to", "2019-01-02"], "24 months"),
    ):
        failed = await gatewayctl(house, "report", *arguments, role=Role.VIEWER)
        assert failed.code == 2
        assert words in failed.err


async def test_a_port_is_not_cycled_without_a_reason_nor_by_a_viewer_nor_while_nobody_would_switch_it_on_again(house: House):
    assert (await gatewayctl(house, "power-cycle", "cam-1")).code == 2
    refused = await gatewayctl(house, "power-cycle", "cam-1", "--reason", "hangs", role=Role.VIEWER)
    assert refused.code == 4
    refused = await gatewayctl(house, "power-cycle", "cam-1", "--reason", "hangs", role=Role.ENGINEER)
    assert refused.code == 1 and "while the gateway starts or ends" in refused.err
