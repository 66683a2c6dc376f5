"""What the demo's observer waits for, at a gateway that is a script of answers."""

from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from demo import observer


@pytest.mark.parametrize("state", ["submitted", "approved", "locating", "holding", "exporting"])
async def test_a_footage_request_is_waited_for_in_every_state_before_its_end(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "POLL_S", 0.0)
    states = iter((state, "ready"))

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({"id": "r-1"})
        return web.json_response({"state": next(states), "files": []})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        keys = {"liaison": "one", "approver": "another"}
        seen = observer.Observer(http, str(server.make_url("/")).rstrip("/"), "", keys, 0, Mock())
        assert (await seen.footage("camera"))["state"] == "READY"
