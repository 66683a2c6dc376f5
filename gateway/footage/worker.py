"""The export worker: a process of its own that replays one stretch of footage into files, and the way to run it.

Footage is heavy and comes from devices, so neither its cost nor what it may do to a parser reaches the daemon. Protocol: the job as one
JSON line on the worker's standard input, which then stays open; JSON lines come back: `reached` every second or so, `file` for each file
that is safe on the disk, then `done` or `error`. A `file` is answered by a line when its row is committed, and the worker goes on after
that, so that whoever dies when, no more than one file is fetched again. When its input closes, because the daemon is gone, the worker ends.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway import errors
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.footage import TimeSource
from gateway.drivers.base import Span, Target
from gateway.drivers.rtsp.replay import replay
from gateway.errors import DeviceError, DeviceFault, GatewayError, Unreachable
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Cutter, Stretch
from gateway.footage.exporting import fetch
from gateway.footage.space import DiskFull
from gateway.processes import put_down

SETUP_TIMEOUT_S: Final = 15.0
NICENESS: Final = 10
MEMORY_BYTES: Final = 1 << 30
"""Address space of a worker; it needs about 60 MiB and at most three pictures of the largest size."""
_LINE_LIMIT: Final = 1 << 20
_SLOWEST: Final = 2
"""A recorder that paces its replay takes as long as the footage; twice that is too long."""
_FAREWELL_S: Final = 5.0
_TELL_S: Final = 1.0
_KEPT: Final = b"kept\n"
_GRACE: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a worker is: the recorder's time of the latest picture, and the bytes written for its stretch so far."""

    at: datetime
    size: int


def unheeded(_reached: Reached) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Job:
    """Which recorder, which of its recordings (the path of its replay), and what of it; `on_reached` hears about once a second of it."""

    target: Target
    path: str
    stretch: Stretch
    on_reached: Callable[[Reached], None] = field(default=unheeded, compare=False, repr=False)

    @property
    def deadline_s(self) -> float:
        return ((self.stretch.end - self.stretch.start) * _SLOWEST + _GRACE).total_seconds()


async def run_worker(job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
    """Fetch `job` in a worker process; `on_file` is awaited for each finished file, in order, before more is fetched.

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
        await put_down(process)


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
            process.stdin.write(_KEPT)
        elif "reached" in message:
            job.on_reached(Reached(datetime.fromisoformat(message["reached"]["at"]), message["reached"]["size"]))
        else:
            failure = _error(message["error"]) if "error" in message else None
            break
    await _ended(process)
    if failure is not None:
        raise failure


# -- messages ---------------------------------------------------------------------------------------------------------


def _job_line(job: Job) -> bytes:
    target, stretch = job.target, job.stretch
    ports = asdict(target.ports)
    login = {"username": target.credentials.username, "password": target.credentials.password}
    what = {
        "start": stretch.start.isoformat(),
        "end": stretch.end.isoformat(),
        "segment_s": stretch.segment.total_seconds(),
        "folder": str(stretch.folder),
        "prefix": stretch.prefix,
        "first": stretch.first,
        "after": stretch.after.isoformat() if stretch.after else None,
        "grid": stretch.grid.isoformat() if stretch.grid else None,
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
        grid=datetime.fromisoformat(what["grid"]) if what["grid"] else None,
    )
    return Job(target, message["path"], stretch)


def _file_message(finished: Finished) -> dict[str, Any]:
    told = ("name", "number", "sha256", "size", "frames", "damaged", "sound_left_out", "time_source", "sound_refused", "set_backs")
    same = {name: getattr(finished, name) for name in told}
    return {"file": same | {"runs": [[start.isoformat(), end.isoformat()] for start, end in finished.runs]}}


def _finished(message: Mapping[str, Any]) -> Finished:
    runs = tuple((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in message["runs"])
    return Finished(**{**message, "runs": runs, "time_source": TimeSource(message["time_source"])})


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


async def _work(job: Job, kept: Callable[[], Awaitable[object]], watch: Callable[[Cutter], None] = lambda _: None) -> dict[str, Any]:
    """Fetch `job` and say what comes of it; `kept` returns when the file that was said last is in the daemon's books."""

    async def report(finished: Finished) -> None:
        _say(_file_message(finished))
        await kept()

    window = Span(job.stretch.start, job.stretch.end)
    try:
        session = await replay(job.target, job.path, window, timeout_s=SETUP_TIMEOUT_S, kinds=("video", "audio"), bursts=True)
        await fetch(session, job.stretch, report, watch)
    except (DeviceError, OSError) as error:
        return _error_message(error)
    return {"done": True}


async def _tell(watched: Sequence[Cutter]) -> None:
    while True:
        await asyncio.sleep(_TELL_S)
        if watched:
            _say({"reached": {"at": watched[-1].latest.isoformat(), "size": watched[-1].size}})


async def _main() -> None:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line = await reader.readline()
    if not line.endswith(b"\n"):
        return  # the daemon is gone before it had said what to do
    job = _job(line)
    answers = asyncio.Semaphore(0)
    watched: list[Cutter] = []
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(_tell(watched), name="reached")
        orphaned = group.create_task(_listen(reader, answers), name="daemon-gone")
        work = group.create_task(_work(job, answers.acquire, watched.append), name="work")
        done, _ = await asyncio.wait((orphaned, work), return_when=asyncio.FIRST_COMPLETED)
        for task in (orphaned, telling, work):
            task.cancel()
    if work in done:
        _say(work.result())


async def _listen(reader: asyncio.StreamReader, answers: asyncio.Semaphore) -> None:
    """Until the daemon is gone: each line is an answer."""
    while await reader.readline():
        answers.release()


def _say(message: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the daemon is gone; its end of our input tells us to stop
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def _limit_self() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit_self()
    asyncio.run(_main())
