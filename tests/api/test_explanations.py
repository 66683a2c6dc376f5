"""Why this loudspeaker: the same answer as the order gets, for everything that targets can hold, and never a sound."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.talker import talking
from gateway.domain.access import Role
from gateway.domain.bindings import Binding, BindingState
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM
from gateway.domain.health import HealthState, Standing
from gateway.inventory.raw import Noun, RawFile, RawRow
from tests.api.house import CAMERA, SPEAKER, House, open_street
from tests.api.test_broadcasts import clip_of, order, talks
from tests.waiting import until

SPK_2, CAM_3 = DeviceId("spk-2"), DeviceId("cam-3")
HERE = {"latitude": 36.65, "longitude": 117.12}
SQUARE = [{"latitude": 36.65 + y, "longitude": 117.12 + x} for x, y in ((-0.001, -0.001), (0.001, -0.001), (0.001, 0.001), (-0.001, 0.001))]


@pytest.fixture
def bound(house: House) -> House:
    """The small city: cam-1 has spk-1 by nature, and spk-2 confirmed for its preset p; cam-3 has only a proposal."""
    confirmed = Binding(CAMERA, SPK_2, "p").decided(BindingState.CONFIRMED, by="user:li", at=house.clock.now(), note="听过")
    house.services.city.bind(put=[confirmed, Binding(CAM_3, SPK_2)])
    return house


async def explain(house: House, targets: Any, *, role: Role = Role.OPERATOR, **options: Any) -> Any:
    status, told = await house.json("POST", "/v1/broadcasts/explain", role=role, json={"targets": targets}, **options)
    assert status == 200, told
    return told


@pytest.mark.parametrize(
    ("targets", "speakers"),
    [
        ({"speakers": ["spk-1"]}, ["spk-1"]),
        ({"zones": ["z-1"]}, ["spk-1", "spk-2"]),
        ({"groups": ["g-2"]}, ["spk-2"]),
        ({"districts": ["历下"]}, ["spk-1"]),
        ({"polygon": SQUARE}, ["spk-1"]),
        ({"circle": {"centre": HERE, "radius_m": 50}}, ["spk-1"]),
        ({"views": [{"camera": "cam-1"}]}, ["spk-1"]),
        ({"views": [{"camera": "cam-1", "preset": "p"}], "groups": ["g-2"]}, ["spk-1", "spk-2"]),
    ],
)
async def test_every_kind_of_target_is_explained_and_ordered_alike(bound: House, targets: Any, speakers: list[str]):
    told = await explain(bound, targets)
    assert (told["speakers"], told["refusal"]) == (speakers, None)
    assert sorted({choice["speaker"] for choice in told["choices"] if choice["chosen"]}) == speakers
    _, page = await bound.json("GET", "/v1/broadcasts")
    assert page["items"] == [], "nothing was sent"
    body = order(bound, await clip_of(bound), id="b-1", targets=targets)
    status, made = await bound.json("POST", "/v1/broadcasts", json=body)
    assert status == 202
    assert sorted(delivery["speaker"] for delivery in made["deliveries"]) == speakers


async def test_what_would_be_refused_is_said_with_the_same_words(bound: House):
    targets = {"views": [{"camera": "cam-3"}]}
    told = await explain(bound, targets)
    body = order(bound, await clip_of(bound), id="b-1", targets=targets)
    status, problem = await bound.json("POST", "/v1/broadcasts", json=body)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "no-speaker-reaches")
    assert told["speakers"] == []
    assert (told["refusal"]["type"], told["refusal"]["detail"]) == (problem["type"], problem["detail"])
    assert [(choice["speaker"], choice["reason"]) for choice in told["choices"]] == [("spk-2", "only-proposed")]
    assert "spk-2 (only-proposed)" in problem["detail"]


async def test_a_camera_shows_its_loudspeakers_with_distance_bond_and_reason(bound: House):
    bound.services.board.put(Standing(SPEAKER, HealthState.DOWN))
    status, found = await bound.json("GET", "/v1/cameras/cam-1/speakers?preset=p", role=Role.VIEWER)
    assert status == 200
    own, other = found["items"]
    assert found["seen"] == HERE
    assert (own["speaker"], own["chosen"], own["reason"], own["state"], own["name"]) == ("spk-1", False, "speaker-down", "down", "东门音柱")
    assert (own["view"]["bond"], own["view"]["distance_m"], own["view"]["reach_m"]) == ("nature", 0.0, None)
    assert (other["speaker"], other["chosen"], other["reason"], other["target"]) == ("spk-2", True, "", "view cam-1 preset p")
    assert other["view"] == {
        **{"bond": "confirmed", "distance_m": None, "bearing_deg": None, "preset": "p", "reach_m": 100.0},
        **{"decided_by": "user:li", "decided_at": other["view"]["decided_at"], "note": "听过"},
    }
    assert (await bound.json("GET", "/v1/cameras/spk-1/speakers"))[0] == 404


@pytest.mark.parametrize(
    "polygon",
    [
        SQUARE[:2],
        [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]],
        [SQUARE[0], SQUARE[1], SQUARE[1], SQUARE[2]],
        [{"latitude": 36 + n / 1e4, "longitude": 117 + n * n / 1e6} for n in range(201)],
        [{"latitude": 91, "longitude": 0}] * 4,
    ],
)
async def test_a_polygon_that_is_none_is_refused(bound: House, polygon: Any):
    status, problem = await bound.json("POST", "/v1/broadcasts/explain", json={"targets": {"polygon": polygon}})
    assert status == 422
    assert "polygon" in problem["errors"][0]["pointer"]


async def test_a_key_with_scopes_is_told_and_given_only_what_it_reaches(bound: House):
    bound.services.city.bind(put=[Binding(CAMERA, SPK_2, reach_m=50).decided(BindingState.CONFIRMED, by="user:li", at=bound.clock.now())])
    _, made = await bound.json("POST", "/v1/keys", json={"name": "half", "roles": ["operator"], "scopes": ["g-2"]})
    half = {"Authorization": f"Bearer {made['key']}"}
    told = await explain(bound, {"views": [{"camera": "cam-1"}]}, headers=half)
    assert told["speakers"] == ["spk-2"]
    assert [(choice["speaker"], choice["reason"]) for choice in told["choices"]] == [("spk-1", "out-of-scope"), ("spk-2", "")]
    _, beside = await bound.json("GET", "/v1/cameras/cam-1/speakers", headers=half)
    assert [(one["speaker"], one["reason"]) for one in beside["items"]] == [("spk-1", "out-of-scope"), ("spk-2", "")]
    body = order(bound, await clip_of(bound), id="b-1", targets={"views": [{"camera": "cam-1"}]})
    status, made = await bound.json("POST", "/v1/broadcasts", json=body, headers=half)
    assert (status, [delivery["speaker"] for delivery in made["deliveries"]]) == (202, ["spk-2"])
    status, problem = await bound.json("POST", "/v1/broadcasts/explain", json={"targets": {"polygon": SQUARE}}, headers=half)
    assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")


async def test_a_key_with_scopes_speaks_live_to_a_view_only_where_it_reaches(bound: House):
    _, made = await bound.json("POST", "/v1/keys", json={"name": "half", "roles": ["operator"], "scopes": ["g-2"]})
    wanted = {"targets": {"views": [{"camera": "cam-1"}]}}
    async with talking(bound.session, bound.url, made["key"], wanted) as talker:
        assert talker.words[0]["problem"]["type"].endswith(":no-speaker-reaches")
    bound.services.city.bind(put=[Binding(CAMERA, SPK_2, reach_m=50).decided(BindingState.CONFIRMED, by="user:li", at=bound.clock.now())])
    async with talking(bound.session, bound.url, made["key"], wanted) as talker:
        accepted = await talker.word("accepted")
        assert [one["speaker"] for one in accepted["broadcast"]["deliveries"]] == ["spk-2"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.LIAISON])
async def test_who_may_not_read_broadcasts_is_told_nothing_of_orders(bound: House, role: Role):
    status, _ = await bound.json("POST", "/v1/broadcasts/explain", role=role, json={"targets": {"zones": ["z-1"]}})
    assert status == 403


async def test_a_view_is_heard_by_its_own_horn_and_by_the_next_one_when_that_is_silent(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        first, second, other = [DeviceId(speaker.id) for speaker in city.of_kind("speaker")]
        camera = next(one.id for one in city.of_kind("camera") if one.group == city.of_kind("speaker")[0].group)
        bound = [{"camera": camera, "speaker": speaker} for speaker in (first, second)]
        body = {"bindings": bound, "decision": "confirm", "reach_m": 2000}
        place = house.services.city.devices[first].position
        assert place is not None
        beside = {"id": second, "latitude": f"{place.latitude + 0.002}", "longitude": f"{place.longitude}"}
        moved = RawFile(nouns=frozenset({Noun.DEVICES}), rows=[RawRow(Noun.DEVICES, "row 1", beside)])
        await house.services.inventory.import_rows(moved, "moved", actor=SYSTEM)
        assert (await house.json("POST", "/v1/bindings/decisions", json=body))[0] == 200
        clip, there = await clip_of(house), {"views": [{"camera": camera}]}

        async def say(name: str) -> dict[str, str]:
            status, _ = await house.json("POST", "/v1/broadcasts", json=order(house, clip, id=name, targets=there, again=True))
            assert status == 202
            await until(lambda: _ended(house, name))
            _, done = await house.json("GET", f"/v1/broadcasts/{name}")
            return {delivery["speaker"]: delivery["state"] for delivery in done["deliveries"]}

        async def heard() -> list[int]:
            return [len(await talks(street, control, speaker)) for speaker in (first, second, other)]

        assert await say("b-1") == {first: "done"}
        assert await heard() == [1, 0, 0]
        async with street.post(f"{control}/devices/{first}/fault", json={"answer": "refuse"}) as answer:
            assert answer.status == 200
        assert await say("b-2") == {first: "failed", second: "done"}
        assert await heard() == [1, 1, 0]


async def _ended(house: House, name: str) -> bool:
    _, found = await house.json("GET", f"/v1/broadcasts/{name}")
    return not found["open"]
