"""What is said in the street, when it may be, and who hears it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.clock import SystemClock
from gateway.config import Limits
from gateway.ctl.commands.speak import CLIP_LIMIT
from gateway.domain.access import Role
from gateway.domain.broadcast import DeliveryState, Programme, Speech, Talk, Targets
from gateway.domain.devices import DeviceId
from gateway.domain.remarks import Remark, RemarkKind
from gateway.storage.writer import Lane
from tests.api.house import House, open_house
from tests.api.test_bindings import with_street
from tests.api.test_broadcasts import EXAM, sound, waiting
from tests.ctl.running import breaking_off, gatewayctl
from tests.storage.test_broadcasts import order, queued


async def test_a_voice_that_nobody_hears_is_a_failure_and_stop_all_silences(tmp_path: Path, template: Path):
    file = tmp_path / "clip.wav"
    file.write_bytes(sound())
    async with open_house(tmp_path, template, clock=SystemClock()) as house:
        done = await gatewayctl(house, "say", "--clip", str(file), "--speaker", "spk-1", role=Role.OPERATOR)
        assert (done.code, "0 of 1 loudspeakers" in done.err) == (1, True)
        assert done.out.splitlines()[1].split()[:2] == ["spk-1", "failed"]
        stopped = await gatewayctl(house, "stop-all", role=Role.OPERATOR)
        assert (stopped.code, "silenced" in stopped.err) == (0, True)


async def test_a_gateway_that_goes_away_in_the_midst_is_no_traceback_and_names_what_was_ordered():
    ordered = {"id": "B-1", "open": True, "counts": {"playing": 1}}
    async with breaking_off({("GET", "/healthz"): {}, ("POST", "/v1/broadcasts"): ordered}) as url:
        env = {"GATEWAY_URL": url, "GATEWAY_KEY": "gwk_000000000000_x"}
        said = await gatewayctl(None, "say", "请离开", "--speaker", "spk-1", **env)
        listed = await gatewayctl(None, "get", "devices", **env)
    assert (said.code, listed.code) == (3, 3), said.err
    assert "Traceback" not in said.err + listed.err
    assert said.err.splitlines() == [
        f"gatewayctl: {url} broke off before it had answered.",
        "  → It was ordered: gatewayctl broadcasts describe B-1 tells what became of it. Do not order it again before.",
    ]
    assert "may be done all the same" in listed.err


async def test_what_was_silenced_is_said_to_be_so_and_no_loudspeaker_is_blamed():
    ended = {"id": "B-1", "open": False, "counts": {"cancelled": 2}, "targets": {"speakers": ["s-1", "s-2"]}}
    row = {"state": "cancelled", "reason": "stop-all", "reason_en": "was silenced", "remarks": [], "packets": 226}
    ended["deliveries"] = [{**dict.fromkeys(("path", "lost", "first_packet_at")), **row, "speaker": one} for one in ("s-1", "s-2")]
    async with breaking_off({("GET", "/healthz"): {}, ("POST", "/v1/broadcasts"): ended}) as url:
        said = await gatewayctl(None, "say", "请离开", "--speaker", "s-1", GATEWAY_URL=url, GATEWAY_KEY="gwk_000000000000_x")
    assert (said.code, said.err) == (1, "gatewayctl: 0 of 2 loudspeakers played it to its end; it was silenced at 2.\n")


async def test_a_refusal_names_the_option_that_helps(tmp_path: Path, template: Path):
    file = tmp_path / "clip.wav"
    file.write_bytes(sound())
    async with open_house(tmp_path, template, clock=SystemClock()) as house:
        around = {"first": str(house.clock.now().date() - timedelta(days=1)), "last": str(house.clock.now().date() + timedelta(days=1))}
        await house.json("POST", "/v1/quiet-hours/exceptions", role=Role.ADMIN, json={**EXAM, **around, "start": "00:00", "end": "24:00"})
        refused = await gatewayctl(house, "say", "--clip", str(file), "--speaker", "spk-1", role=Role.OPERATOR)
    assert (refused.code, "name the reason in --override if you may" in refused.err) == (4, True), refused.err


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


async def test_what_stop_all_silenced_is_counted_in_the_singular_and_the_plural():
    answers = {("GET", "/healthz"): {}}
    for silenced, said in (
        ({"broadcasts": 1, "speakers": 1, "may_still_sound": ["spk-1"]}, "silenced 1 broadcast at 1 loudspeaker"),
        ({"broadcasts": 2, "speakers": 40, "may_still_sound": []}, "silenced 2 broadcasts at 40 loudspeakers"),
    ):
        async with breaking_off(answers | {("POST", "/v1/broadcasts/stop-all"): silenced}) as url:
            stopped = await gatewayctl(None, "stop-all", GATEWAY_URL=url, GATEWAY_KEY="gwk_000000000000_x")
        assert stopped.err.splitlines()[0] == said
        assert ("1 loudspeaker plays by itself and may still sound: spk-1" in stopped.err) == bool(silenced["may_still_sound"])


async def test_broadcasts_are_counted_and_taken_as_a_spreadsheet(house: House, tmp_path: Path):
    days = ("--from", "2026-01-01T00:00:00+08:00", "--to", "2026-01-02T00:00:00+08:00")
    counted = await gatewayctl(house, "broadcasts", "statistics", *days)
    assert counted.out.splitlines()[1].split()[:3] == ["2026-01-01", "-", "0"], counted.err
    today = await gatewayctl(house, "broadcasts", "statistics", "--from", (datetime.now(UTC) - timedelta(hours=1)).isoformat())
    assert today.code == 0, today.err
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


async def test_a_record_shows_the_remarks_of_the_gateway_on_each_delivery(house: House):
    remark = Remark(RemarkKind.END_REFUSED, reason="rtsp-500", said="500 Oops")
    delivery = replace(queued(), state=DeliveryState.FAILED, reason="closed", remarks=(remark,))
    talk = order(programme=Programme(Talk()), sender="王工")
    await house.services.store.writer.write(lambda tx: tx.broadcasts.add(talk, [delivery]), lane=Lane.BROADCAST)
    listed = (await gatewayctl(house, "broadcasts", "list")).out.splitlines()
    assert (listed[0].split()[-1], talk.sender in listed[1], str(talk.actor) in listed[1]) == ("BY", True, False)
    told = await gatewayctl(house, "broadcasts", "describe", "b1")
    assert remark.words.en in told.out, told.err
    _, shown = await house.json("GET", "/v1/broadcasts/b1")
    assert shown["deliveries"][0]["remarks"] == [{"remark": "end-refused", "remark_zh": remark.words.zh, "remark_en": remark.words.en}]


async def test_a_long_text_and_many_places_are_listed_in_short_and_whole_where_that_is_asked_for(house: House):
    text, speakers = "请勿占道经营" * 50, tuple(DeviceId(f"spk-{number}") for number in range(20))
    long = order(programme=Programme(Speech(text)), targets=Targets(speakers=speakers))
    await house.services.store.writer.write(lambda tx: tx.broadcasts.add(long, [queued()]), lane=Lane.BROADCAST)
    listed = (await gatewayctl(house, "broadcasts", "list")).out
    assert text[:39] + "…" in listed and text[:40] not in listed and "spk-19" not in listed
    wide = (await gatewayctl(house, "broadcasts", "list", "-o", "wide")).out
    assert text in wide and "spk-19" in wide


async def test_a_second_person_decides_on_what_reaches_further_than_one_may(house: House):
    await waiting(house)
    declined = await gatewayctl(house, "decline", "b-1", "-o", "wide", role=Role.APPROVER)
    assert declined.code == 0, declined.err
    assert [line.split()[:3] for line in declined.out.splitlines()][1:] == [[one, "cancelled", "declined"] for one in ("spk-1", "spk-2")]
    again = await gatewayctl(house, "approve", "b-1", role=Role.APPROVER)
    assert (again.code, "does not wait for approval" in again.err) == (1, True)
    assert (await gatewayctl(house, "approve", "b-1", role=Role.OPERATOR)).code == 4


async def test_a_polygon_is_a_place_to_be_heard_at(house: House):
    around, elsewhere = "-89,-179 -89,179 89,179 89,-179", "1,1 1,2 2,2"
    told = await gatewayctl(house, "broadcasts", "explain", "--polygon", around, "-o", "json", role=Role.OPERATOR)
    assert {one["speaker"] for one in json.loads(told.out)["choices"]} >= {"spk-1"}, told.err
    nobody = await gatewayctl(house, "broadcasts", "explain", "--polygon", elsewhere, role=Role.OPERATOR)
    assert (nobody.code, "no loudspeaker" in nobody.err) == (1, True), nobody.err


async def test_a_clip_that_the_gateway_would_refuse_for_its_size_is_not_sent(house: House, tmp_path: Path):
    assert Limits().clip_bytes == CLIP_LIMIT
    file = tmp_path / "long.wav"
    with file.open("wb") as long:
        long.truncate(CLIP_LIMIT + 1)
    done = await gatewayctl(house, "say", "--clip", str(file), "--speaker", "spk-1")
    assert (done.code, "larger than 20 MiB" in done.err) == (2, True), done.err
