"""The demo's duty desk: a webhook of its own that takes the gateway's alerts, believes only signed ones, and counts them."""

import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

SECRET: Final = "the-demo-tells-itself"
RECOVERY: Final = "recovery"


@dataclass(slots=True)
class DutyDesk:
    """What came, each message once. `said`: whether to print it as it comes."""

    port: int
    aloud: bool = False
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def since(self, mark: int) -> dict[str, Any]:
        """How many problems and recoveries came after the first `mark` messages, and their texts."""
        came = self.messages[mark:]
        recoveries = sum(1 for message in came if message["kind"] == RECOVERY)
        return {"problem": len(came) - recoveries, "recovery": recoveries, "texts": [message["text"] for message in came]}

    async def take(self, request: web.Request) -> web.Response:
        body, at = await request.read(), request.headers.get("X-Gateway-Timestamp", "")
        right = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v1={right}", request.headers.get("X-Gateway-Signature", "")):
            return web.Response(status=403)
        message = json.loads(body)
        if message["id"] not in self.seen:
            self.seen.add(message["id"])
            self.messages.append(message)
            if self.aloud:
                _print(message)
        return web.Response(status=204)


@asynccontextmanager
async def duty_desk(port: int) -> AsyncIterator[DutyDesk]:
    """The desk, listening on 127.0.0.1."""
    desk = DutyDesk(port)
    app = web.Application()
    app.router.add_post("/alerts", desk.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield desk
    finally:
        await runner.cleanup()


def write_alerts(folder: Path, port: int, *, interval_s: float) -> Path:
    """The gateway's alerts file: everything to the desk, at a pace that fits the checks' interval."""
    secret, path = folder / "duty-desk-secret", folder / "alerts.yaml"
    secret.write_text(SECRET + "\n", encoding="utf-8")
    secret.chmod(0o600)
    path.write_text(
        f"""\
# The demo's alerts; every key is explained in configs/alerts.yaml.
language: both
channels:
  duty-desk:
    kind: webhook
    url: http://127.0.0.1:{port}/alerts
    secret_file: {secret}
routes:
  - name: everything
    channels: [duty-desk]
    to: on-duty
    group_wait_s: {interval_s:g}
    group_interval_s: {4 * interval_s:g}
footage:
  - {{channels: [duty-desk], tell: approvers}}
  - {{channels: [duty-desk], tell: requesters}}
""",
        encoding="utf-8",
    )
    return path


def _print(message: Mapping[str, Any]) -> None:
    indented = "\n".join(f"    {line}" for line in str(message["text"]).split("\n"))
    print(f"demo: an alert\n{indented}", file=sys.stderr, flush=True)
