"""Every code that the gateway can give stands in the operator's table of reasons, with its next step."""

import ast
import json
import re
from collections.abc import Collection
from pathlib import Path

from gateway import errors
from gateway.api.problems import _WORDS
from gateway.broadcast import routing
from gateway.domain import hearing, pictures
from gateway.domain.broadcast_rules import Refusal
from gateway.domain.policy import FLAPPING
from gateway.domain.reasons import PHRASES, phrase
from gateway.domain.talk import TalkEnd
from gateway.health import alarms, service, streams
from gateway.health.checks import clock, events, identity, media, ports, reach, recording, snmp

ROOT = Path(__file__).resolve().parent.parent
STATUS = re.compile(r"^(rtsp|sip)-\d{3}$")
"""The code of an answer with that status, which stands in the tables as `rtsp-NNN` or `sip-NNN`."""
CODE = re.compile(r'\bcode(?:: str)? ?= ?"([a-z0-9-]+)"')


def test_every_reason_code_has_its_next_step() -> None:
    given = {code for path in (ROOT / "gateway").rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}
    given |= {service.LAGGING, service.BLIND, service.OUR_FAULT, FLAPPING}
    given |= {reach.SERVICE_SILENT, reach.HOST_ALIVE, clock.DRIFT, identity.SWAPPED, snmp.ENGINE_CHANGED, snmp.RESTARTED, snmp.BOOTS_STUCK}
    given |= {streams.NO_STREAM, streams.NO_PICTURE, media.LATE, media.OTHER_SIZE, media.OTHER_RATE, ports.DOWN, ports.POE_FAULT}
    given |= {pictures.BLACK, pictures.DAZZLED, pictures.COVERED, pictures.FROZEN, pictures.BLURRED, pictures.MOVED}
    given |= {events.NO_EVENTS, *(reason for _, reason in alarms.ALARMS.values())}
    given |= {routing.DOWN, routing.MUTED, routing.DISABLED, routing.BUSY, routing.SECOND, hearing.OUT_OF_REACH, *hearing.UNBOUND.values()}
    given |= {recording.STOPPED, recording.MISSING, recording.SHORT}
    explained = set(re.findall(r"`([a-z0-9-]+|(?:rtsp|sip)-NNN)`", (ROOT / "docs" / "operate" / "reasons.md").read_text(encoding="utf-8")))
    assert len(given) > 100
    assert not sorted({STATUS.sub(r"\1-NNN", one) for one in given} - explained)


def test_every_reason_why_a_device_is_not_up_is_said_in_both_languages() -> None:
    page = (ROOT / "docs" / "operate" / "reasons.md").read_text(encoding="utf-8")
    rows = page.split("## Why a device is not up")[1].split("\n## ")[0].splitlines()
    told = {code for row in rows if row.startswith("|") for code in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    assert len(told) > 40
    assert sorted(told - PHRASES.keys()) == []
    assert [code for code, said in PHRASES.items() if not said.zh or not said.en or said.zh == said.en] == []


def test_every_problem_that_the_console_says_in_chinese_is_one_of_the_table() -> None:
    said = json.loads((ROOT / "console" / "src" / "locales" / "problems.zh.json").read_text(encoding="utf-8"))
    explained = set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs" / "operate" / "reasons.md").read_text(encoding="utf-8")))
    assert not sorted(said.keys() - explained)
    page = (ROOT / "docs" / "operate" / "reasons.md").read_text(encoding="utf-8").split("| `bad-request` |")[1].split("\n## ")[0]
    footage = {code for row in page.splitlines()[1:] if row.startswith("|") for code in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])}
    assert len(footage) > 20
    assert not sorted(footage - said.keys())


def test_every_fault_that_has_a_code_is_said_in_chinese_by_the_console() -> None:
    given = set()
    for source in (ROOT / "gateway").rglob("*.py"):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Fault" and len(call.args) > 2:
                code = call.args[2]
                given |= {
                    one.value
                    for one in ([code.body, code.orelse] if isinstance(code, ast.IfExp) else [code])
                    if isinstance(one, ast.Constant)
                }
    said = json.loads((ROOT / "console" / "src" / "locales" / "faults.zh.json").read_text(encoding="utf-8"))
    assert len(given) > 25
    assert sorted(given - said.keys() - {""}) == []
    assert sorted(set(_WORDS) - {kind.replace("-", "_") for kind in said}) == []


def test_every_reason_of_a_delivery_or_a_schedules_run_is_said_in_both_languages() -> None:
    drivers = ROOT / "gateway" / "drivers"
    sources = [*(ROOT / "gateway" / "broadcast").rglob("*.py"), *(drivers / "sip").glob("*.py"), *(drivers / "rtsp").glob("*.py")]
    sources += [drivers / "speaker.py", drivers / "deadlines.py", drivers / "onvif" / "clips.py"]
    kinds = {name: kind.code for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.GatewayError)}
    given = {*kinds.values(), *TalkEnd, *Refusal, routing.DOWN, routing.MUTED, routing.DISABLED, routing.BUSY, routing.SECOND}
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            given |= _codes_of(node, kinds.keys())
    given -= {""}
    assert {"pacer-died", "clip-unanswered", "clip-cut-short", "unanswered", "owner-withdrawn"} <= given
    assert sorted({STATUS.sub(r"\1-NNN", one) for one in given} - PHRASES.keys()) == []
    assert all(phrase(f"{protocol}-404").en.endswith(" 404") and "404" in phrase(f"{protocol}-404").zh for protocol in ("sip", "rtsp"))


def _codes_of(node: ast.AST, errors_: Collection[str]) -> set[str]:
    """The codes that a piece of source gives: of an error, beside a step of a delivery, of a refused run, or returned."""
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=named) if name in errors_:
            parts: list[ast.expr] = [one.value for one in named if one.arg == "code"]
        case ast.Call(func=ast.Attribute(attr="_refused"), args=[_, _, code, *_]):
            parts = [code]
        case ast.Call(args=args, keywords=named) if any(map(_is_step, args)):
            parts = [*args, *(one.value for one in named if one.arg == "reason")]
        case ast.Tuple(elts=[step, reason]) if _is_step(step):
            parts = [reason]
        case ast.Return(value=ast.Constant(value=str() as said) as code) if "-" in said:
            parts = [code]
        case _:
            parts = []
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def _is_step(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="Step")):
            return True
        case ast.IfExp(body=body):
            return _is_step(body)
    return False
