"""Reading an import file in a process of its own: the parsers are C and hold the interpreter, and the file may be hostile.

Protocol on the child's pipes: in, one line of JSON (`name`) and then the file; out, JSON lines: first the head, then a line a row, so
that the parent can decode them one by one without holding up its loop. A refusal is a single line with `refused`.
"""

import asyncio
import json
import resource
import sys
from typing import Any, BinaryIO, Final

from gateway.errors import Fault, InvalidInput
from gateway.inventory.importing import MAX_BYTES, read
from gateway.inventory.raw import Header, Noun, RawFile, RawRow
from gateway.processes import put_down

TIMEOUT_S: Final = 60.0
MEMORY_BYTES: Final = 1 << 30
"""Address space of the child. The largest file allowed needs about half of it."""
_MAX_ANSWER: Final = 4 * MAX_BYTES


async def read_aside(data: bytes, name: str, *, timeout_s: float = TIMEOUT_S) -> RawFile:
    """What `importing.read` returns or raises; InvalidInput as well when the reader dies, or takes more than `timeout_s`."""
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"the file has {len(data)} bytes, at most {MAX_BYTES} are taken", code="too-large")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.inventory.aside"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await process.communicate(json.dumps({"name": name}).encode() + b"\n" + data)
    except TimeoutError as error:
        raise InvalidInput(f"the file took more than {timeout_s:g} s to read", code="too-slow") from error
    finally:
        await put_down(process)
    if process.returncode != 0 or len(answer) > _MAX_ANSWER:
        raise InvalidInput("the file makes its reader fail: it is damaged or hostile", code="unreadable")
    return await asyncio.to_thread(_decode, answer)


def _decode(answer: bytes) -> RawFile:
    head, *lines = answer.splitlines()
    facts = json.loads(head)
    if refused := facts.get("refused"):
        faults = [Fault(where, why) for where, why in refused["faults"]]
        raise InvalidInput(refused["message"], faults=faults, code=refused["code"], hint=refused["hint"])
    rows = [RawRow(Noun(noun), where, values) for noun, where, values in map(json.loads, lines)]
    headers = tuple(Header(where, Noun(noun) if noun else None, tuple(columns)) for where, noun, columns in facts["headers"])
    return RawFile(facts["coordinates"], frozenset(map(Noun, facts["nouns"])), rows, headers)


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    """The child: one file in, its rows or its refusal out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    name = json.loads(source.readline())["name"]
    try:
        found = read(source.read(), name)
    except InvalidInput as error:
        faults = [(fault.where, fault.why) for fault in error.faults]
        _put(sink, {"refused": {"message": str(error), "code": error.code, "hint": error.hint, "faults": faults}})
        return
    headers = [(header.where, header.noun, header.columns) for header in found.headers]
    _put(sink, {"coordinates": found.coordinates, "nouns": sorted(found.nouns), "headers": headers})
    for row in found.rows:
        _put(sink, (row.noun, row.where, row.values))


def _put(sink: BinaryIO, value: Any) -> None:
    sink.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout.flush()
