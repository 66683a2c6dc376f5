"""Other sides of the channels, on loopback: each checks what the vendor checks, and answers as the vendor does."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DING_TOKEN, DING_SECRET = "d1ng-t0ken-canary", "SECd1ng-canary"
WECOM_KEY = "wec0m-key-canary"
FEISHU_TOKEN, FEISHU_SECRET = "fe1shu-t0ken-canary", "fe1shu-secret-canary"
HOOK_SECRET = "h00k-secret-canary"
CANARIES = (DING_TOKEN, DING_SECRET, WECOM_KEY, FEISHU_TOKEN, FEISHU_SECRET, HOOK_SECRET)
PER_MINUTE = 20


@dataclass
class Vendors:
    """A server that is DingTalk, WeCom, Feishu and somebody's webhook. `faults`: answers to give instead, one after the other."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: deque[web.Response | None] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    indigestible: str = ""  # the id of a message for which the webhook always fails
    mute: bool = False  # takes what comes, and does not say so
    unanswered: int = 0
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=PER_MINUTE))

    async def until(self, count: int) -> list[Any]:
        async with asyncio.timeout(60):
            while len(self.got) < count:
                self.news.clear()
                await self.news.wait()
        return self.got

    def _take(self, body: Any, id_: str = "") -> None:
        self.got.append(body)
        self.ids.append(id_)
        self.news.set()

    def _refuse(self, why: str, answer: dict[str, Any]) -> web.Response:
        self.refused.append(why)
        return web.json_response(answer)

    def _fault(self) -> web.Response | None:
        return self.faults.popleft() if self.faults else None

    async def hook(self, request: web.Request) -> web.StreamResponse:
        if fault := self._fault():
            return fault
        if request.headers["X-Gateway-Id"] == self.indigestible:
            return web.Response(status=500)
        body = await request.read()
        at = request.headers["X-Gateway-Timestamp"]
        wanted = hmac.new(HOOK_SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest("v1=" + wanted, request.headers.get("X-Gateway-Signature", "")):
            return web.json_response({}, status=403)
        self._take(json.loads(body), request.headers["X-Gateway-Id"])
        if self.mute:
            self.unanswered += 1
            await asyncio.Event().wait()
        return web.Response(status=204)

    async def dingtalk(self, request: web.Request) -> web.StreamResponse:
        if fault := self._fault():
            return fault
        query = request.query
        if query.get("access_token") != DING_TOKEN:
            return self._refuse("token", {"errcode": 300005, "errmsg": "token is not exist"})
        wanted = hmac.new(DING_SECRET.encode(), f"{query['timestamp']}\n{DING_SECRET}".encode(), hashlib.sha256).digest()
        if base64.b64encode(wanted).decode() != query.get("sign") or abs(time.time() * 1000 - int(query["timestamp"])) > 3_600_000:
            return self._refuse("sign", {"errcode": 310000, "errmsg": "sign not match"})
        if self._too_fast():
            return self._refuse("rate", {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"})
        raw = await request.read()
        body = json.loads(raw)
        if len(raw) > 20_000 or not body["markdown"]["title"] or body["msgtype"] != "markdown":
            return self._refuse("body", {"errcode": 400102, "errmsg": "bad body"})
        self._take(body)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    async def wecom(self, request: web.Request) -> web.StreamResponse:
        if fault := self._fault():
            return fault
        if request.query.get("key") != WECOM_KEY:
            return self._refuse("key", {"errcode": 93000, "errmsg": "invalid webhook url"})
        body = await request.json()
        if len(body["markdown"]["content"].encode()) > 4_096:
            return self._refuse("length", {"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"})
        self._take(body)
        return web.json_response({"errcode": 0, "errmsg": "ok"})

    async def feishu(self, request: web.Request) -> web.StreamResponse:
        if fault := self._fault():
            return fault
        if request.match_info["token"] != FEISHU_TOKEN:
            return self._refuse("token", {"code": 19001, "msg": "param invalid: incoming webhook access token invalid"})
        raw = await request.read()
        body = json.loads(raw)
        wanted = hmac.new(f"{body['timestamp']}\n{FEISHU_SECRET}".encode(), b"", hashlib.sha256).digest()
        if base64.b64encode(wanted).decode() != body.get("sign") or abs(time.time() - int(body["timestamp"])) > 3_600:
            return self._refuse("sign", {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"})
        if len(raw) > 20_000:
            return self._refuse("length", {"code": 9499, "msg": "Bad Request"})
        self._take(body)
        return web.json_response({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})

    def _too_fast(self) -> bool:
        full = len(self._times) == PER_MINUTE and time.monotonic() - self._times[0] < 60
        if not full:
            self._times.append(time.monotonic())
        return full


@asynccontextmanager
async def vendors() -> AsyncIterator[Vendors]:
    """All of them, listening."""
    it = Vendors()
    app = web.Application()
    app.router.add_post("/hook", it.hook)
    app.router.add_post("/robot/send", it.dingtalk)
    app.router.add_post("/cgi-bin/webhook/send", it.wecom)
    app.router.add_post("/open-apis/bot/v2/hook/{token}", it.feishu)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield it
    finally:
        await runner.cleanup()
