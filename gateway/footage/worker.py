"""The export worker: a process of its own that replays one stretch of footage into files, and the way to run it.

Footage is heavy and comes from devices, so neither its cost nor what it may do to a parser reaches the daemon. Protocol: the job as one
JSON line on the worker's standard input, which then stays open; JSON lines come back: `file` for each file that is safe on the disk, then
`done` or `error`. When its input closes, because the daemon is gone, the worker ends.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway import errors
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Span, Target
from gateway.drivers.rtsp.replay import replay
from gateway.errors import DeviceError, DeviceFault, GatewayError, Unreachable
from gateway.footage.exporting import DiskFull, Finished, Stretch, fetch

SETUP_TIMEOUT_S: Final = 15.0
NICENESS: Final = 10
MEMORY_BYTES: Final = 1 << 30
"""Address space of a worker; it needs about 60 MiB and at most three pictures of the largest size."""
_LINE_LIMIT: Final = 1 << 20
_SLOWEST: Final = 2
"""A recorder that paces its replay takes as long as the footage; twice that is too long."""
_FAREWELL_S: Final = 5.0
_GRACE: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Job:
    """Which recorder, which of its recordings (the path of its replay), and what of it."""

    target: Target
    path: str
    stretch: Stretch

    @property
    def deadline_s(self) -> float:
        return ((self.stretch.end - self.stretch.start) * _SLOWEST + _GRACE).total_seconds()


async def run_worker(job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
    """Fetch `job` in a worker process; `on_file` is awaited for each finished file, in order.

    Raises the DeviceErrors of the replay, DiskFull when the disk does not take the files, Unreachable (`worker-died`) when the
    process dies, DeadlineExceeded when the whole takes longer than any recorder may. Files that were reported stay.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.footage.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
    )
    try:
        async with asyncio.timeout(job.deadline_s):
            await _converse(process, job, on_file)
    except TimeoutError as error:
        message = f"{job.target.device}: the export took longer than {job.deadline_s:g} s"
        raise errors.DeadlineExceeded(message, code="too-slow") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Let a worker that has said its last word go by itself: to kill one that is just ending would confuse asyncio's child watcher."""
    try:
        async with asyncio.timeout(_FAREWELL_S):
            await process.wait()
    except TimeoutError:
        pass  # the caller kills it


async def _converse(process: asyncio.subprocess.Process, job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_job_line(job))
    failure: GatewayError | None = Unreachable(f"{job.target.device}: the export worker died", code="worker-died")
    async for line in process.stdout:
        message = json.loads(line)
        if "file" in message:
            await on_file(_finished(message["file"]))
        else:
            failure = _error(message["error"]) if "error" in message else None
            break
    await _ended(process)
    if failure is not None:
        raise failure


# -- messages ---------------------------------------------------------------------------------------------------------


def _job_line(job: Job) -> bytes:
    target, stretch = job.target, job.stretch
    ports = {"onvif": target.ports.onvif, "rtsp": target.ports.rtsp, "snmp": target.ports.snmp}
    login = {"username": target.credentials.username, "password": target.credentials.password}
    what = {
        "start": stretch.start.isoformat(),
        "end": stretch.end.isoformat(),
        "segment_s": stretch.segment.total_seconds(),
        "folder": str(stretch.folder),
        "prefix": stretch.prefix,
        "first": stretch.first,
        "after": stretch.after.isoformat() if stretch.after else None,
    }
    where = {"device": target.device, "address": target.address, "ports": ports, "login": login, "profile": target.profile}
    return json.dumps({"target": where, "path": job.path, "stretch": what}).encode() + b"\n"


def _job(line: bytes) -> Job:
    message = json.loads(line)
    where, what = message["target"], message["stretch"]
    target = Target(DeviceId(where["device"]), where["address"], Ports(**where["ports"]), Credentials(**where["login"]), where["profile"])
    stretch = Stretch(
        start=datetime.fromisoformat(what["start"]),
        end=datetime.fromisoformat(what["end"]),
        segment=timedelta(seconds=what["segment_s"]),
        folder=Path(what["folder"]),
        prefix=what["prefix"],
        first=what["first"],
        after=datetime.fromisoformat(what["after"]) if what["after"] else None,
    )
    return Job(target, message["path"], stretch)


def _file_message(finished: Finished) -> dict[str, Any]:
    same = {name: getattr(finished, name) for name in ("name", "number", "sha256", "size", "frames", "damaged")}
    return {"file": same | {"runs": [[start.isoformat(), end.isoformat()] for start, end in finished.runs]}}


def _finished(message: Mapping[str, Any]) -> Finished:
    runs = tuple((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in message["runs"])
    return Finished(**{**message, "runs": runs})


_KINDS: Final[Mapping[str, type[GatewayError]]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DeviceError) and kind is not DeviceError
} | {DiskFull.__name__: DiskFull}


def _error_message(error: GatewayError | OSError) -> dict[str, Any]:
    if isinstance(error, GatewayError):
        return {"error": {"kind": type(error).__name__, "message": str(error), "code": error.code}}
    return {"error": {"kind": DiskFull.__name__, "message": f"the disk does not take the footage: {error.strerror}", "code": "disk"}}


def _error(message: Mapping[str, str]) -> GatewayError:
    kind = _KINDS.get(message["kind"], DeviceFault)
    return kind(message["message"], code=message["code"])


# -- the worker itself ------------------------------------------------------------------------------------------------


async def _work(job: Job) -> dict[str, Any]:
    window = Span(job.stretch.start, job.stretch.end)
    try:
        session = await replay(job.target, job.path, window, timeout_s=SETUP_TIMEOUT_S)
        await fetch(session, job.stretch, lambda finished: _say(_file_message(finished)))
    except (DeviceError, OSError) as error:
        return _error_message(error)
    return {"done": True}


async def _main() -> None:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    job = _job(await reader.readline())
    async with asyncio.TaskGroup() as group:
        orphaned = group.create_task(reader.read(), name="daemon-gone")
        work = group.create_task(_work(job), name="work")
        done, _ = await asyncio.wait((orphaned, work), return_when=asyncio.FIRST_COMPLETED)
        orphaned.cancel()
        work.cancel()
    if work in done:
        _say(work.result())


def _say(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _limit_self() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit_self()
    asyncio.run(_main())
