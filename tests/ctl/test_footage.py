"""Footage by gatewayctl, from the request to the evidence."""

import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml

from gateway.ctl.commands.footage_progress import drawn, fetched, next_step
from gateway.ctl.commands.footage_times import length_of, window_of
from gateway.domain.access import Role
from gateway.domain.imports import ImportId
from gateway.errors import Overloaded
from tests.api.house import CAMERA, House, open_street
from tests.api.test_broadcasts import sound
from tests.api.test_brought_files import liaison
from tests.api.test_footage import filing
from tests.api.test_holds import checked, placed
from tests.ctl.running import gatewayctl, in_2031, on_a_terminal
from tests.footage.shelf import unavailable


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


async def test_a_request_for_what_lies_years_back_is_filed_and_doubted(house: House):
    camera = (await house.json("GET", "/v1/devices?kind=camera&limit=1"))[1]["items"][0]["id"]
    for year, doubted in ((2001, True), (house.clock.now().year, False)):
        start = house.clock.now().replace(year=year) - timedelta(hours=1)
        citizen = ("--kind", "citizen", "--requester", "孙大娘", "--badge", "371502195003071234", "--purpose", "找孩子")
        when = ("--camera", camera, "--start", start.isoformat(), "--for", "10m")
        filed = await gatewayctl(house, "footage", "request", *citizen, *when, role=Role.LIAISON)
        assert (filed.code, "Is the year right?" in filed.out + filed.err) == (0, doubted), filed.err + filed.out


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
    to = await _fetched(house, request["id"], folder)
    await _held(house, request["id"])
    await _linked(house, request["id"])
    await _viewed(house, request["id"])
    await _brought(house, request["id"], folder)
    await _delivered(house, request["id"], folder)
    await _verified(to, folder)


async def _fetched(house: House, request: str, folder: Path) -> Path:
    """What was begun before is gone on with, what is there is not fetched again; as a folder and as one file. The folder."""
    to = folder / "handed over"
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request}", role=Role.LIAISON)
    name = dossier["files"][0]["name"]
    async with house.call("GET", f"/v1/footage-requests/{request}/files/{name}", role=Role.LIAISON) as answer:
        whole = await answer.read()
    to.mkdir()
    (to / f".{name}.part").write_bytes(whole[:1000])
    code, screen = await on_a_terminal(house, "footage", "fetch", request, "--to", str(to), role=Role.LIAISON)
    assert (code, name in screen, "100" in screen or "━" in screen) == (0, True, True), screen
    assert ((to / name).read_bytes() == whole, list(to.glob(".*"))) == (True, [])
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request}", role=Role.LIAISON)
    taken = dossier["files"][0]["downloads"]
    assert (await gatewayctl(house, "footage", "fetch", request, "--to", str(to), role=Role.LIAISON)).code == 0
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request}", role=Role.LIAISON)
    assert dossier["files"][0]["downloads"] == taken, "what is there already is not fetched again"
    assert (await gatewayctl(None, "footage", "verify", str(to))).code == 0
    whole = folder / "whole.zip"
    fetched = await gatewayctl(house, "footage", "fetch", request, "--zip", "--to", str(whole), role=Role.LIAISON)
    assert fetched.code == 0, fetched.err
    checked = await gatewayctl(None, "footage", "verify", str(whole))
    assert (checked.code, "VERIFIED  4 files" in checked.out) == (0, True)
    return to


async def _verified(to: Path, folder: Path) -> None:
    """The page that verifies is the package's own; a file of which one bit is another is named."""
    page = folder / "page.html"
    assert (await gatewayctl(None, "footage", "verify-page", "--to", str(page))).code == 0
    assert page.read_bytes() == (to / "verify.html").read_bytes()
    name = _altered(to)
    altered = await gatewayctl(None, "footage", "verify", str(to))
    assert (altered.code, f"ALTERED  {name}: " in altered.out) == (1, True)


def _altered(to: Path) -> str:
    """The name of a file of footage in which one bit is another now."""
    file = next(to.glob("*.mp4"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    return file.name


async def test_a_request_that_is_not_there_is_answered_with_the_command_that_lists_them(house: House):
    absent = await gatewayctl(house, "footage", "status", "F-NOPE", role=Role.LIAISON)
    assert (absent.code, absent.err.splitlines()[1:]) == (4, ["  → gatewayctl get footage lists what there is."])


async def test_the_list_of_deliveries_says_what_is_not_in_it(house: House):
    assert "without a medium" in (await gatewayctl(house, "footage", "deliveries", "--help")).out


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


@pytest.mark.parametrize("option", [("--request", "F-1"), ("--state", "active")])
async def test_one_hold_is_not_chosen_from_a_list(option: tuple[str, str]):
    refused = await gatewayctl(None, "footage", "holds", "H-1", *option)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.endswith("and HOLD is one.\n  → Leave HOLD out for a list, or --request and --state for the one.\n")


@pytest.mark.parametrize("option", [("--camera", "CAM-1"), ("--start", "2026-03-01T08:00Z"), ("--for", "10m")])
async def test_a_request_is_held_with_cameras_and_times_of_its_own(option: tuple[str, str]):
    refused = await gatewayctl(None, "footage", "hold", "F-1", *option, "--why", "x")
    assert (refused.code, refused.out) == (2, "")
    assert "A request has cameras and times of its own.\n  → Leave REQUEST out, or --camera and the times." in refused.err


async def test_one_hold_is_shown_with_what_was_found_when_its_files_were_read_again(house: House):
    hold = await placed(house)
    await checked(house, hold, {"a_001.mp4": "", "a_002.mp4": "is missing", "gone.mp4": ""})
    one = await gatewayctl(house, "footage", "holds", hold["id"], role=Role.LIAISON)
    told = [line.split("  ")[-1].strip() for line in one.out.splitlines() if ".mp4" in line]
    assert (one.code, told) == (0, ["as it was stored", "is missing"]), one.err


async def test_a_package_of_brought_files_alone_is_fetched_and_proved(house: House, tmp_path: Path):
    await unavailable(house.services.store, now=house.clock.now(), by=liaison(house))
    early = await gatewayctl(house, "footage", "fetch", "F-1", "--to", str(tmp_path / "early"), role=Role.LIAISON)
    assert (early.code, "gatewayctl footage bring F-1" in early.err) == (1, True), early.err
    film = tmp_path / "通道03.dav"
    film.write_bytes(os.urandom(100_000))
    said = ("--brought-by", "赵工", "--badge", "HK-0091", "--device", "DS-8632N, 10.3.0.7", "--client", "iVMS-4200 3.11")
    assert (await gatewayctl(house, "footage", "bring", "F-1", str(film), *said, role=Role.LIAISON)).code == 0
    for more in (("--to", str(tmp_path / "F-1")), ("--zip", "--to", str(tmp_path / "F-1.zip"))):
        fetched = await gatewayctl(house, "footage", "fetch", "F-1", *more, role=Role.LIAISON)
        assert fetched.code == 0, fetched.err
        assert "zip" in more[-1] or "1 file with its proof" in fetched.err
        assert (await gatewayctl(None, "footage", "verify", more[-1])).code == 0
    assert (tmp_path / "F-1" / "brought_01_03.dav").read_bytes() == film.read_bytes()


async def test_a_brought_file_for_which_there_is_no_room_yet_goes_on_by_itself(house: House, tmp_path: Path):
    await unavailable(house.services.store, now=house.clock.now(), by=liaison(house))
    imports, receive = house.services.footage.imports, house.services.footage.imports.receive
    others = {ImportId(f"B-{number}") for number in range(4)}
    imports._busy |= others
    refused: list[str] = []

    async def received(*args: object, **options: object) -> object:
        try:
            return await receive(*args, **options)
        except Overloaded as error:
            refused.append(error.code)
            imports._busy.difference_update(others)
            raise

    imports.receive = received
    film = tmp_path / "a.dav"
    film.write_bytes(os.urandom(1_000))
    said = ("--brought-by", "赵工", "--badge", "HK-0091", "--device", "DS-8632N, 10.3.0.7", "--client", "iVMS-4200 3.11")
    done = await gatewayctl(house, "footage", "bring", "F-1", str(film), *said, "-o", "json", role=Role.LIAISON)
    assert (done.code, refused) == (0, ["overloaded"]), done.err
    assert json.loads(done.out)[0]["state"] == "kept"


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


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({}, "gatewayctl footage fetch F-1"),
        ({"kind": "citizen"}, "shown here, no copy: gatewayctl footage view F-1 --viewer … --identity …"),
        ({"emergency": "hot-pursuit"}, "viewed only, until a second person has confirmed it: gatewayctl footage confirm F-1"),
        ({"emergency": "hot-pursuit", "decided_by": {"name": "李敏"}}, "gatewayctl footage fetch F-1"),
        ({"missing": ["second_officer"]}, "nothing leaves before the register has second_officer: gatewayctl footage amend F-1"),
    ],
)
def test_what_is_told_next_of_a_ready_request_is_what_the_gateway_allows(one: dict, said: str):
    assert next_step({"id": "F-1", "kind": "police", "emergency": None, "decided_by": None, "missing": []} | one) == said
