"""Random sequences of calls at the footage desk, by people who may and who may not: policies, scopes, service and store are the real ones.

Only the recorders are stood in for: one says that it has everything, another nothing, a third fails; what is fetched is a small file.
Afterwards the store's rows are judged by plain SQL that knows nothing of the table of states.
"""

import asyncio
import contextlib
import functools
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, ValidationError
from sqlalchemy import text

from gateway.api.routes import footage, footage_decisions, footage_downloads, footage_filing, footage_papers, handover
from gateway.api.routing import Call, Media, Operation, allowed
from gateway.api.services import Caller, Services
from gateway.clock import SimulatedClock
from gateway.domain.access import ApiKey, KeyId, Role
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Channel, Credentials, Device, DeviceId, DeviceKind, GroupId, Ports
from gateway.domain.footage import WORKING
from gateway.domain.health import Board
from gateway.drivers.base import Span, Target
from gateway.errors import GatewayError, Unreachable
from gateway.footage.cut_file import Finished
from gateway.footage.fetching import Fetching
from gateway.footage.ledger import EVENT
from gateway.footage.register import load_register, shipped_register
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import FootageService
from gateway.footage.space import Space
from gateway.footage.worker import Job
from gateway.storage.store import Store

START: Final = datetime(2026, 9, 21, 6, 0, tzinfo=UTC)
DISTRICTS: Final = ("D-1", "D-2")
_OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation
    for noun in (footage_filing, footage_decisions, footage, footage_downloads, footage_papers, handover)
    for operation in noun.routes
}
_GATEWAY_KEYS: Final = {
    "wang": (("liaison",), "王建国", ()),
    "sun": (("liaison",), "孙丽", ("D-1",)),
    "zhao": (("approver",), "赵敏", ()),
    "li": (("approver",), "李 敏", ()),
    "both": (("liaison", "approver"), "周宇", ()),
    "platform": (("platform",), "", ("D-2",)),
    "admin": (("admin",), "管理员", ()),
}
_NAMES: Final = ("王建国", "李敏", "赵敏", "周宇", "王 建国", "")


class Recorder:
    """A recorder that has all, nothing or an error, by its number."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:  # noqa: ARG002 -- a recorder's signature
        if self._number % 8 == 7:
            raise Unreachable("no route")
        return [window] if self._number % 8 == 0 else []

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:  # noqa: ARG002 -- a recorder's signature
        return "/replay"


async def fetch(job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
    """One small file for the whole stretch."""
    stretch = job.stretch
    name, data = f"{stretch.prefix}{stretch.first:03d}.mp4", b"film"
    (stretch.folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    await on_file(Finished(name, stretch.first, digest, len(data), 1, 0, ((stretch.start, stretch.end),)))


def city_of(groups: int = 8) -> City:
    """Two districts, a group of two cameras and a recorder each."""
    made, devices, kept = City(), [], []
    for number in range(groups):
        group = GroupId(f"G-{number}")
        kept.append(CameraGroup(group, group, district=DISTRICTS[number % 2]))
        names = [DeviceId(f"CAM-{number}-{one}") for one in range(2)]
        devices += [Device(name, DeviceKind.CAMERA, name, "127.0.0.1", group=group) for name in names]
        channels = tuple(Channel(one, name, f"rec-{one}") for one, name in enumerate(names, start=1))
        devices.append(Device(DeviceId(f"NVR-{number}"), DeviceKind.RECORDER, "nvr", "127.0.0.1", group=group, channels=channels))
    made.replace(devices=devices, groups=kept)
    return made


@dataclass
class Desk:
    """The desk that is called, and what was answered."""

    service: FootageService
    store: Store
    city: City
    clock: SimulatedClock
    answers: Counter[str] = field(default_factory=Counter)
    states: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        """Keep `states` as the events tell them."""
        async for event in self.store.events.follow(after=0):
            if event.type == EVENT:
                async with self.changed:
                    self.states[event.subject] = event.data["state"]
                    self.changed.notify_all()

    async def pass_time(self) -> None:
        """Let seconds pass, so that what failed is tried again."""
        while True:
            await asyncio.sleep(0.02)
            await self.clock.advance(2.5)

    async def call(self, who: str, deed: str, /, body: Mapping[str, Any] | None = None, **path: str) -> BaseModel | None:
        """Call an operation as its dispatch does: policy, models, handler. None when it was refused; the answer is counted."""
        operation, caller = _OPERATIONS[deed], _caller(who)
        asked = SimpleNamespace(match_info=path, method=operation.method, path=operation.path)
        request = _asking(path) if isinstance(operation.answers, Media) else cast("web.Request", asked)
        services = cast("Services", SimpleNamespace(footage=self.service, city=self.city, clock=self.clock, store=self.store))
        call = Call(request, services, caller, cast("Any", None))
        given: dict[str, Any] = {}
        try:
            allowed(caller, operation.policy)
            if operation.body is not None:
                given["body"] = operation.body.model_validate(body or {})
            if operation.query is not None:
                given["query"] = operation.query()
            if operation.takes is not None:
                given["content"] = (body or {})["content"]
            answer = await operation.handler(call, **given)
        except ValidationError:
            self.answers[f"{deed}: invalid"] += 1
            return None
        except GatewayError as error:
            self.answers[f"{deed}: {error.code}"] += 1
            return None
        except ConnectionError:  # the request ended while its footage was going out
            self.answers[f"{deed}: cut off"] += 1
            return None
        self.answers[f"{deed}: done"] += 1
        return answer if isinstance(answer, BaseModel) else None


def _asking(path: Mapping[str, str]) -> web.Request:
    """A request whose answer goes nowhere: what is sent is not looked at here."""
    return make_mocked_request("GET", "/", match_info=dict(path))


@functools.cache
def _caller(name: str) -> Caller:
    roles, username, scopes = _GATEWAY_KEYS[name]
    key = ApiKey(KeyId(name), f"{name} key", frozenset(map(Role, roles)), b"", START, username=username, scopes=frozenset(scopes))
    return Caller.of_key(key)


@contextlib.asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    """A desk with a new store in `folder`, at work until the end of the block."""
    clock, city = SimulatedClock(START), city_of()
    numbers = iter(range(1 << 30))
    async with Store.open(f"sqlite:///{folder}/desk.db", clock=clock, key=bytes(32)) as store:
        service = FootageService(
            store=store,
            city=city,
            board=Board(),
            clock=clock,
            register=load_register(shipped_register()),
            search_of=lambda device: Recorder(int(device.removeprefix("NVR-"))),
            target_of=lambda device: Target(device, "127.0.0.1", Ports(), Credentials("", "")),
            new_id=lambda: f"F-{next(numbers)}",
            fetching=Fetching(folder / "footage", folder / "keys", Space(folder, floor=1 << 20), exports=8),
            evidence=EvidenceStore(folder / "holds"),
            worker=fetch,
        )
        (folder / "footage").mkdir(exist_ok=True)
        desk = Desk(service, store, city, clock)
        async with asyncio.TaskGroup() as group:  # a part that breaks ends the sequences: they would wait for it for ever
            tasks = [group.create_task(part()) for part in (store.writer.run, service.run, desk.follow, desk.pass_time)]
            yield desk
            for task in reversed(tasks):
                task.cancel()
                await asyncio.wait([task])


# -- one sequence -----------------------------------------------------------------------------------------------------


def drawn_filing(chance: random.Random, now: datetime) -> dict[str, Any]:
    """A request that is in order more often than not."""
    start = now - timedelta(minutes=chance.choice((30, 90, 300)))
    end = start + timedelta(minutes=chance.choice((1, 10, 30, 200)) if chance.random() < 0.2 else 5)
    words = {
        "kind": chance.choices(("police", "authority", "citizen"), (6, 2, 2))[0],
        "requester": chance.choice(_NAMES[:4]),
        "unit": "东昌府分局",
        "badge": "371502",
        "second_officer": chance.choice(("", "李敏", "陈强")),
        "case_number": chance.choice(("聊公 1", "聊公 2", "")) if chance.random() < 0.4 else "聊公 3",
        "case_kind": chance.choice(("", "criminal")),
        "legal_basis": chance.choice(("", "criminal-procedure-evidence")),
        "authorising_document": "" if chance.random() < 0.2 else "D-1",
        "purpose": "查明经过",
        "destination": chance.choice(("", "入卷")),
        "emergency": chance.choice(("missing-person", "hot-pursuit")) if chance.random() < 0.25 else None,
        "tolerance_s": chance.choice((0, 300)),
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
    group = chance.choice((0, 0, 1, 2, 3, 7))
    place = {"groups": [f"G-{group}"]} if chance.random() < 0.2 else {"cameras": [f"CAM-{group}-0"]}
    return words | place


async def act_out(desk: Desk, chance: random.Random) -> None:
    """One request and what people try with it, in any order."""
    filed = await desk.call(
        _who(chance, "wang", "wang", "wang", "sun", "both"), "submit_footage_request", drawn_filing(chance, desk.clock.now())
    )
    name = str(getattr(filed, "id", f"F-{chance.randrange(50)}"))
    for what in _plan(chance):
        await what(desk, name, chance)


def _plan(chance: random.Random) -> list[Callable[[Desk, str, random.Random], Awaitable[None]]]:
    """What is tried, in order: the usual way with a quarter of it changed, or anything."""
    if chance.random() < 0.4:
        return [chance.choice(_DEEDS) if chance.random() < 0.25 else deed for deed in _USUAL]
    return chance.choices(_DEEDS, k=chance.randrange(3, 9))


async def _decide(desk: Desk, name: str, chance: random.Random) -> None:
    deed = chance.choices(("approve", "reject", "confirm", "revoke"), (6, 1, 3, 1))[0]
    await desk.call(
        _who(chance, "zhao", "zhao", "li", "both"), f"{deed}_footage_request", {"note": chance.choice(("", "why", "why"))}, request_id=name
    )


async def _change(desk: Desk, name: str, chance: random.Random) -> None:
    deed = chance.choices(("cancel", "retry", "give_up"), (1, 2, 2))[0]
    body = None if deed == "retry" else {"note": chance.choice(("", "why"))}
    await desk.call(_who(chance, "wang", "wang", "wang", "sun", "both"), f"{deed}_footage_request", body, request_id=name)


async def _amend(desk: Desk, name: str, chance: random.Random) -> None:
    rest = {"second_officer": "陈强", "case_kind": "criminal", "legal_basis": "criminal-procedure-evidence", "destination": "入卷"}
    whole = rest | {"authorising_document": "D-1"}
    words = whole if chance.random() < 0.6 else {"second_officer": chance.choice(_NAMES), "destination": "elsewhere"}
    await desk.call(_who(chance, "wang", "wang", "wang", "sun", "both"), "amend_footage_request", words, request_id=name)


async def _upload(desk: Desk, name: str, chance: random.Random) -> None:
    content = chance.choice((b"%PDF-1", b"GIF", b"%PDF-1"))
    await desk.call(_who(chance, "wang", "wang", "wang", "sun", "both"), "add_footage_document", {"content": content}, request_id=name)


async def _fetch(desk: Desk, name: str, chance: random.Random) -> None:
    file = chance.choice((f"01_CAM-{chance.choice((0, 7))}-0_001.mp4", "manifest.json", "../desk.db"))
    await desk.call(_who(chance, "wang", "wang", "wang", "sun", "both"), "download_footage", request_id=name, name=file)


async def _link(desk: Desk, name: str, chance: random.Random) -> None:
    await desk.call(
        _who(chance, "wang", "wang", "wang", "sun", "both"), "make_footage_link", {"receiver": "x", "badge": "1"}, request_id=name
    )


async def _hand_over(desk: Desk, name: str, chance: random.Random) -> None:
    if chance.random() < 0.3:
        await desk.call(
            _who(chance, "wang", "wang", "wang", "sun", "both"),
            "close_footage_request",
            {"found_something": chance.random() < 0.5},
            request_id=name,
        )
    else:
        await desk.call(_who(chance, "wang", "wang", "wang", "sun", "both"), "hand_over_footage", {"receiver": "x"}, request_id=name)


async def _wait(desk: Desk, name: str, _chance: random.Random) -> None:
    """Until the gateway has nothing to do with it."""
    async with desk.changed:
        await desk.changed.wait_for(lambda: desk.states.get(name) not in WORKING)


async def _later(desk: Desk, _name: str, chance: random.Random) -> None:
    if chance.random() < 0.02:
        await desk.clock.advance(chance.choice((10, 4 * 3600, 26 * 3600)))


_DEEDS: Final = (_decide, _decide, _decide, _decide, _wait, _wait, _amend, _upload, _fetch, _link, _hand_over, _hand_over, _change, _later)

_USUAL: Final = (_upload, _decide, _amend, _wait, _fetch, _hand_over)


def _who(chance: random.Random, *likely: str) -> str:
    """Mostly one of those whose task it is; else anybody."""
    return chance.choice(likely if chance.random() < 0.75 else tuple(_GATEWAY_KEYS))


# -- judging ----------------------------------------------------------------------------------------------------------

_TOUCHED: Final = """(
    EXISTS (SELECT 1 FROM footage_exports e WHERE e.request = r.id) OR EXISTS (SELECT 1 FROM footage_links l WHERE l.request = r.id)
    OR EXISTS (SELECT 1 FROM footage_custody c WHERE c.request = r.id AND c.step IN ('located', 'exported', 'downloaded', 'handed-over'))
)"""
RULES: Final[Mapping[str, str]] = {
    "touched without a second person": f"""SELECT r.id FROM footage_requests r WHERE {_TOUCHED} AND r.emergency IS NULL AND NOT EXISTS (
        SELECT 1 FROM footage_custody c
        WHERE c.request = r.id AND c.step = 'approved' AND c.actor_kind || ':' || c.actor_id <> r.submitted_by
        AND replace(c.person, ' ', '') NOT IN (replace(r.submitter, ' ', ''), replace(r.requester, ' ', '')))""",
    "the second officer decided": "SELECT r.id FROM footage_requests r WHERE r.second_officer <> ''"
    " AND replace(r.decider, ' ', '') = replace(r.second_officer, ' ', '')",
    "located before it was approved": """SELECT a.request FROM footage_custody a JOIN footage_custody b ON a.request = b.request
        WHERE a.step IN ('approved', 'went-ahead') AND b.step IN ('located', 'exported') AND b.number < a.number""",
    "an emergency by who may not": "SELECT r.id FROM footage_requests r WHERE r.emergency IS NOT NULL"
    " AND r.submitted_by NOT IN ('api-key:wang', 'api-key:sun', 'api-key:both')",
    "no case number": f"SELECT r.id FROM footage_requests r WHERE trim(r.case_number) = '' OR ({_TOUCHED} AND r.kind <> 'citizen'"
    " AND r.case_number = r.id)",
    "a camera that was not asked for": """SELECT e.request FROM footage_exports e WHERE NOT EXISTS (
        SELECT 1 FROM footage_cameras c WHERE c.request = e.request AND c.camera = e.camera)""",
    "out of the key's scope": """SELECT r.id FROM footage_requests r JOIN footage_cameras c ON c.request = r.id
        WHERE (r.submitted_by = 'api-key:sun' AND CAST(substr(c.camera, 5, 1) AS INTEGER) % 2 <> 0)
        OR (r.submitted_by = 'api-key:platform' AND CAST(substr(c.camera, 5, 1) AS INTEGER) % 2 <> 1)""",
    "longer than is allowed": """SELECT c.request FROM footage_cameras c
        WHERE (julianday(c.end_at) - julianday(c.start_at)) * 24 > 2.0001""",
    "a citizen with a copy": """SELECT r.id FROM footage_requests r WHERE r.kind = 'citizen' AND (r.state = 'handed-over' OR EXISTS (
        SELECT 1 FROM footage_custody c WHERE c.request = r.id AND c.step IN ('downloaded', 'linked', 'handed-over')))""",
    "handed over with an empty register": """SELECT r.id FROM footage_requests r JOIN footage_custody c ON c.request = r.id
        AND c.step = 'handed-over' WHERE r.decided_by IS NULL OR '' IN (r.unit, r.badge, r.second_officer, r.case_kind, r.legal_basis,
        r.authorising_document, r.purpose, r.destination) OR (r.emergency IS NOT NULL AND r.papers_at IS NULL)""",
    "a copy of an emergency that nobody had confirmed": """SELECT c.request FROM footage_custody c
        JOIN footage_requests r ON r.id = c.request
        WHERE c.step IN ('downloaded', 'linked', 'handed-over') AND r.emergency IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM footage_custody b WHERE b.request = c.request AND b.step IN ('approved', 'confirmed') AND b.number < c.number)""",
    "a copy before the register was complete": """SELECT r.id FROM footage_requests r JOIN footage_custody c ON c.request = r.id
        AND c.step IN ('downloaded', 'linked') WHERE r.emergency IS NULL AND '' IN (r.second_officer, r.destination, r.legal_basis)""",
}
"""What must find nothing."""
COUNTS: Final[Mapping[str, str]] = {
    "requests": "SELECT count(*) FROM footage_requests",
    "emergencies": "SELECT count(*) FROM footage_requests WHERE emergency IS NOT NULL",
    "looked_up": "SELECT count(DISTINCT request) FROM footage_exports",
    "with_files": "SELECT count(DISTINCT request) FROM footage_files",
    "downloaded": "SELECT count(*) FROM footage_custody WHERE step = 'downloaded'",
    "handed_over": "SELECT count(*) FROM footage_custody WHERE step = 'handed-over'",
    "custody_rows": "SELECT count(*) FROM footage_custody",
}


async def judged(store: Store) -> tuple[list[str], Counter[str]]:
    """What is wrong with what the store has, and how much of everything there is."""
    async with store.read() as tx:
        wrong = [
            f"{rule}: {', '.join(map(str, found[:5]))}"
            for rule, query in RULES.items()
            if (found := list(await tx.conn.scalars(text(query.replace(":' ||", r"\:' ||")))))
        ]
        counts = Counter({name: int(await tx.conn.scalar(text(query)) or 0) for name, query in COUNTS.items()})
    return wrong, counts


async def sequences(first: int, count: int, folder: Path, *, at_once: int = 150) -> tuple[list[str], Counter[str], Counter[str]]:
    """So many sequences from number `first` on, in one store: what was wrong, how much there is, what was answered."""
    async with desk_in(folder) as desk:
        gate = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with gate:
                await act_out(desk, random.Random(number))

        async with asyncio.TaskGroup() as group:
            for number in range(first, first + count):
                group.create_task(one(number))
        wrong, counts = await judged(desk.store)
        return wrong, counts, desk.answers
