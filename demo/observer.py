"""The observer: judges the running demo from outside, by the public API and by what the simulated devices themselves recorded."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from demo import sound, usage
from demo.alerts import DutyDesk

POLL_S = 0.5
BROADCAST_SPEAKERS = 12
CLIP_S = 4.0
FOOTAGE_MINUTES = 2
UNDER_WAY = frozenset({"submitted", "approved", "locating", "holding", "exporting"})
"""States of a footage request that the gateway is still at work on."""


class NotAsPromised(Exception):
    """The demo did not do what it should; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Observer:
    """Looks at one demo. `keys`: role → API key; `gateway`, `control`: base URLs; `daemon`: its process id; `desk`: who gets its alerts."""

    http: aiohttp.ClientSession
    gateway: str
    control: str
    keys: dict[str, str]
    daemon: int
    desk: DutyDesk

    async def call(self, role: str, method: str, path: str, **options: Any) -> Any:
        """One request to the gateway with the key of `role`; the JSON answer, or `NotAsPromised` with the problem."""
        headers = {"Authorization": f"Bearer {self.keys[role]}", **options.pop("headers", {})}
        async with self.http.request(method, self.gateway + path, headers=headers, **options) as answer:
            body = await answer.read()
            if answer.status >= 400:
                raise NotAsPromised(f"{method} {path} was answered {answer.status}: {body.decode(errors='replace')[:500]}")
            return await answer.json() if answer.content_type.endswith("json") else body

    async def new_key(self, role: str) -> str:
        """A key for `role`, made by the administrator."""
        answer = await self.call("admin", "POST", "/v1/keys", json={"name": f"demo {role}", "roles": [role]})
        text: str = answer["key"]
        return text

    async def put_on_duty(self, person: str, *, phone: str) -> None:
        """Put somebody on the duty roster for a day."""
        shift = {"person": person, "start": _in(minutes=-1), "end": _in(minutes=1_440), "contacts": {"phone": phone}}
        await self.call("admin", "POST", "/v1/duty-roster", json=shift)

    async def street(self, path: str) -> Any:
        """One answer of the simulators' control API."""
        async with self.http.get(self.control + path) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else await answer.read()

    # -- every device verified ----------------------------------------------------------------------------------------

    async def until_verified(self, expected: int, *, within_s: float) -> float:
        """Seconds until the gateway calls all devices up and every simulated device has seen it authenticate."""
        start = time.monotonic()
        while True:
            up = (await self.call("viewer", "GET", "/v1/health/summary"))["states"]["up"]
            taken = time.monotonic() - start
            if up == expected and not (unseen := await self._never_asked()):
                return taken
            if taken > within_s:
                raise NotAsPromised(
                    f"after {within_s:.0f} s only {up} of {expected} devices are up; never asked: {unseen[:5] if up == expected else '-'}"
                )
            await asyncio.sleep(POLL_S)

    async def _never_asked(self) -> list[str]:
        return [device["id"] for device in (await self.street("/devices"))["devices"] if not device["verified"]]

    # -- the cost of the daemon ---------------------------------------------------------------------------------------

    async def cost(self, *, over_s: float) -> dict[str, float]:
        """The daemon's memory, and its share of one core over `over_s` seconds, children included."""
        before, start = usage.cpu_seconds(self.daemon), time.monotonic()
        await asyncio.sleep(over_s)
        used, elapsed = usage.cpu_seconds(self.daemon) - before, time.monotonic() - start
        return {"rss_mib": round(usage.rss_mib(self.daemon), 1), "cpu_pct_of_core": round(100 * used / elapsed, 2)}

    # -- a broadcast --------------------------------------------------------------------------------------------------

    async def broadcast(self) -> dict[str, float]:
        """Speak a clip through some loudspeakers and compare what each heard with what was to be said, levelled for horns."""
        speakers = [device["id"] for device in (await self.call("viewer", "GET", "/v1/devices?kind=speaker&limit=1000"))["items"]]
        chosen = speakers[:: max(1, len(speakers) // BROADCAST_SPEAKERS)][:BROADCAST_SPEAKERS]
        spoken = sound.speech_like(CLIP_S)
        clip = await self.call("operator", "POST", "/v1/clips?name=demo", data=sound.wav(spoken), headers={"Content-Type": "audio/wav"})
        meant = sound.read_wav(await self.call("operator", "GET", f"/v1/clips/{clip['id']}/sound"))
        if abs(len(meant) - len(spoken)) > sound.RATE_HZ // 50 or sound.loudness(meant) < sound.loudness(spoken):
            raise NotAsPromised("levelling made the clip shorter or quieter")
        asked_ns = time.time_ns()
        order = {"clip": clip["id"], "targets": {"speakers": chosen}, "priority": "notice", "not_after": _in(minutes=1)}
        answer = await self.call("operator", "POST", "/v1/broadcasts", json=order, headers={"Idempotency-Key": f"demo-{asked_ns}"})
        await self._until_done(answer["id"])
        heard = {speaker: await self.street(f"/speakers/{speaker}/heard") for speaker in chosen}
        silent = [speaker for speaker, what in heard.items() if not what["packets"]]
        if silent:
            raise NotAsPromised(f"these loudspeakers heard nothing: {silent}")
        ratios = [sound.snr_db(meant, sound.read_wav(await self.street(f"/speakers/{speaker}/heard.wav"))) for speaker in chosen]
        delays = sorted((what["first_ns"] - asked_ns) / 1e6 for what in heard.values())
        p99 = delays[min(len(delays) - 1, int(len(delays) * 0.99))]
        return {"speakers": len(chosen), "snr_db_min": round(min(ratios), 1), "first_packet_ms_p99": round(p99, 1)}

    async def _until_done(self, broadcast: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            deliveries = (await self.call("operator", "GET", f"/v1/broadcasts/{broadcast}"))["deliveries"]
            states = {delivery["state"] for delivery in deliveries}
            if states == {"done"}:
                return
            if time.monotonic() > deadline or not states & {"queued", "connecting", "playing", "done"}:
                raise NotAsPromised(f"the broadcast ended as {deliveries[:3]}")
            await asyncio.sleep(POLL_S)

    # -- a footage request --------------------------------------------------------------------------------------------

    async def footage(self, camera: str) -> dict[str, object]:
        """Request footage as the liaison, approve it as somebody else, download it and check its hash."""
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
        request = await self.call(
            "liaison", "POST", "/v1/footage-requests", json=_request(camera, start), headers={"Idempotency-Key": f"demo-{time.time_ns()}"}
        )
        await self.call("approver", "POST", f"/v1/footage-requests/{request['id']}/approve", json={})
        state = await self._until_exported(request["id"])
        files = state["files"]
        digest, size = hashlib.sha256(), 0
        right = bool(files)
        for file in files:
            data = await self.call("liaison", "GET", f"/v1/footage-requests/{request['id']}/files/{file['name']}")
            digest.update(data)
            size += len(data)
            right &= hashlib.sha256(data).hexdigest() == file["sha256"] and data[4:8] == b"ftyp"
        return {"state": state["state"].upper(), "bytes": size, "sha256_ok": right}

    async def _until_exported(self, request: str) -> Any:
        deadline = time.monotonic() + 90
        while True:
            answer = await self.call("liaison", "GET", f"/v1/footage-requests/{request}")
            if answer["state"] not in UNDER_WAY or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(POLL_S)


def _in(*, minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def _request(camera: str, start: datetime) -> dict[str, object]:
    return {
        "requester": "王建国",
        "unit": "东昌府分局治安大队",
        "badge": "371502-0417",
        "second_officer": "李敏",
        "case_number": "DEMO-2026-0001",
        "case_kind": "public-order",
        "legal_basis": "criminal-procedure-evidence",
        "authorising_document": "调取证据通知书〔2026〕0001号",
        "purpose": "demonstration of a footage request",
        "destination": "case file",
        "cameras": [camera],
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=FOOTAGE_MINUTES)).isoformat(),
    }
