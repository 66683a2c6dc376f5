"""A refusal as a page, in both languages and with what to do, for who opened the address of a page in a browser."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.api.problems import Problem
from gateway.api.replies import content_reply
from gateway.markup import text

HTML: Final = "text/html"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
body { font: 16px/1.6 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; max-width: 40rem; margin: 4rem auto;
  padding: 0 1rem; color: #16202b; background: #fff; }
h1 { font-size: 1.4rem; } small { color: #56636f; display: block; font-weight: 400; }
"""
_TO_DO: Final[Mapping[str, tuple[str, str]]] = {
    "unauthenticated": (
        "请先在本浏览器中登录控制台，再打开此地址；查看页须用监看人的密钥登录。",
        "Sign in at the console in this browser, then open this address again; a viewing needs the key of who supervises it.",
    ),
    "not-yours": (
        "只有开始本次查看的监看人可以打开：请用其密钥登录控制台，再打开此地址。",
        "Only who started this viewing may open it: sign in at the console with their key, then open this address again.",
    ),
    "forbidden": (
        "登录所用的密钥无此权限：请用监看人的密钥登录控制台，再打开此地址。",
        "The key of this session may not do this: sign in at the console with the key of who supervises, then open this address again.",
    ),
    "viewing-over": ("本次查看已结束：请在控制台另开一次。", "This viewing is over: begin another at the console."),
    "not-found": ("没有此页：请核对地址。", "There is no such page: check the address."),
}
_ELSE: Final = ("请联系给您此地址的人。", "Ask who gave you this address.")


def wants_page(request: web.Request) -> bool:
    """Whether it comes from a browser that shows its answer to a person: programs ask for anything, or for JSON."""
    return HTML in request.headers.get("Accept", "")


def refusal_page(problem: Problem) -> web.Response:
    """`problem` for a person to read, with the status and the headers that it has as JSON."""
    zh, en = _TO_DO.get(problem.code, _ELSE)
    body = (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>不能打开</title><style>{_STYLE}</style></head><body>"
        f"<h1>此页不能打开<small>This page cannot be opened</small></h1><p>{zh}<small>{en}</small></p>"
        f'<p><a href="/">控制台 Console</a></p><p><small>{text(problem.code)}: {text(problem.detail)}</small></p></body></html>\n'
    ).encode()
    reply = content_reply(body, content_type=HTML, headers={"Content-Security-Policy": _POLICY, **problem.headers})
    reply.set_status(problem.status)
    return reply
