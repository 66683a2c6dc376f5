"""Fetching footage: 600 s of 1080p25 H.264 at 4 Mbit/s, replayed over interleaved TCP on loopback by a process that only calls sendfile.

    figures.cpu_s_per_gb             CPU of the export worker, imports left out, for 10^9 bytes of MP4, SHA-256 and fsync included
    figures.cpu_s_per_gb_least       the same of the cheapest turn: what others on the same silicon take from caches and clock only adds
    figures.times_real_time          seconds of footage for a second of waiting, from one source
    figures.vcl_bytes_identical_pct  NAL units of pictures in the files, compared one by one with those sent
    figures.nal_bytes_identical_pct  the same with SEI, delimiters and parameter sets
    figures.worker_rss_mib           the worker's largest resident memory above what its imports took
    figures.ffmpeg_cpu_s_per_gb      `ffmpeg -c copy`, then `sha256sum`, on the same replay, less what starting ffmpeg costs
    figures.floor_cpu_s_per_gb       what nobody can do without: receiving the same bytes, SHA-256 of them, writing them, fsync
    ratios.vs_ffmpeg_copy_and_sha256 CPU of those two for the worker's
    ratios.vs_floor                  the worker's CPU for the floor's: what the machine's load does to both, it does not do to this

The median of nine turns of each, by turns. Takes about a minute.
"""

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import tape
from bench.health import line_of
from bench.tape import Tape

SECONDS, TURNS = 600, 9
SEGMENT = timedelta(minutes=5)
_LONGEST_S = 120


def measure() -> dict[str, Any]:
    """Run it all."""
    with tempfile.TemporaryDirectory(prefix="bench-export-") as made:
        folder = Path(made)
        recorded = tape.record(folder, SECONDS)
        with _played(recorded) as port:
            turns = [(_worker(port, recorded, folder / f"w{turn}"), _ffmpeg(port, folder), _floor(port, folder)) for turn in range(TURNS)]
        return _figures(recorded, *zip(*turns, strict=True))


def _figures(
    recorded: Tape, ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]], floors: Sequence[float]
) -> dict[str, Any]:
    cost = statistics.median(turn["cpu_s_per_gb"] for turn in ours)
    foreign = statistics.median(turn["cpu_s_per_gb"] for turn in theirs)
    floor = statistics.median(floors)
    figures = {
        "cpu_s_per_gb": round(cost, 3),
        "cpu_s_per_gb_least": round(min(turn["cpu_s_per_gb"] for turn in ours), 3),
        "times_real_time": round(recorded.span.total_seconds() / statistics.median(turn["wall_s"] for turn in ours), 1),
        "vcl_bytes_identical_pct": min(turn["vcl_pct"] for turn in ours),
        "nal_bytes_identical_pct": min(turn["nal_pct"] for turn in ours),
        "worker_rss_mib": round(max(turn["rss_mib"] for turn in ours), 1),
        "worker_start_cpu_s": round(statistics.median(turn["start_s"] for turn in ours), 2),
        "ffmpeg_cpu_s_per_gb": round(foreign, 3),
        "floor_cpu_s_per_gb": round(floor, 3),
        "mbit_per_s": round(recorded.media_bytes * 8 / recorded.span.total_seconds() / 1e6, 2),
    }
    return {"figures": figures, "ratios": {"vs_ffmpeg_copy_and_sha256": round(foreign / cost, 3), "vs_floor": round(cost / floor, 3)}}


@contextmanager
def _played(recorded: Tape) -> Iterator[int]:
    """The tape's server in a process of its own; its port."""
    command = (sys.executable, "-m", "bench.tape", str(recorded.wire), str(recorded.sdp))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield int(line_of(server))
        finally:
            assert server.stdin is not None
            server.stdin.close()


def _worker(port: int, recorded: Tape, folder: Path) -> dict[str, float]:
    """One export in a process of its own, and what of it is true."""
    folder.mkdir()
    command = (sys.executable, "-m", "bench.export", str(port), str(folder), str(recorded.span.total_seconds()))
    said: dict[str, float] = json.loads(
        subprocess.run(command, check=True, timeout=_LONGEST_S, stdout=subprocess.PIPE).stdout.splitlines()[-1]
    )
    files = sorted(folder.glob("*.mp4"))
    size = sum(path.stat().st_size for path in files)
    said["cpu_s_per_gb"] = said["cpu_s"] / size * 1e9
    said["vcl_pct"], said["nal_pct"] = _identical_pct(recorded, files)
    for path in files:
        path.unlink()
    return said


def _identical_pct(recorded: Tape, files: Sequence[Path]) -> tuple[float, float]:
    """Percent of the bytes sent that stand in the files at their place: of slices, and of all NAL units."""
    found = (nal for path in files for nal in _nals(path.read_bytes()))
    sent = same = sent_slices = same_slices = 0
    for index in range(recorded.count):
        for nal in recorded.pictures[index % len(recorded.pictures)]:
            equal = len(nal) if next(found, None) == nal else 0
            sent, same = sent + len(nal), same + equal
            if 1 <= nal[0] & 0x1F <= 5:
                sent_slices, same_slices = sent_slices + len(nal), same_slices + equal
    if next(found, None) is not None:
        return 0.0, 0.0  # more than was sent
    return 100 * same_slices / sent_slices, 100 * same / sent


def _nals(movie: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(movie):
        size, name = int.from_bytes(movie[position : position + 4]), movie[position + 4 : position + 8]
        at, end = position + 8, position + size
        while name == b"mdat" and at < end:
            length = int.from_bytes(movie[at : at + 4])
            yield movie[at + 4 : at + 4 + length]
            at += 4 + length
        position = end


def _ffmpeg(port: int, folder: Path) -> dict[str, float]:
    """`ffmpeg -c copy` into an MP4 of the same kind, then `sha256sum`."""
    out = folder / "ffmpeg.mp4"
    quiet = ("ffmpeg", "-nostdin", "-loglevel", "error", "-y")
    source = ("-rtsp_transport", "tcp", "-i", f"rtsp://127.0.0.1:{port}/replay", "-c", "copy")
    started = _cpu_of((*quiet, "-version"))
    used = _cpu_of((*quiet, *source, "-movflags", "frag_keyframe+empty_moov", str(out))) + _cpu_of(("sha256sum", str(out)))
    size = out.stat().st_size
    out.unlink()
    return {"cpu_s_per_gb": (used - started) / size * 1e9}


def _floor(port: int, folder: Path) -> float:
    """CPU seconds for 10^9 bytes of wire that are received in large pieces, hashed and written as they are, by a bare loop."""
    out = folder / "floor.bin"
    used = _cpu_of((sys.executable, "-S", "-c", _BARE, str(port), str(out))) - _cpu_of((sys.executable, "-S", "-c", _BARE))
    size = out.stat().st_size
    out.unlink()
    return used / size * 1e9


_BARE = """
import hashlib, os, socket, sys
if len(sys.argv) > 1:
    peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    peer.sendall(b"PLAY rtsp://tape/ RTSP/1.0\\r\\nCSeq: 1\\r\\n\\r\\n")
    peer.settimeout(1.0)
    room, digest = bytearray(1 << 18), hashlib.sha256()
    view = memoryview(room)
    with open(sys.argv[2], "wb", buffering=0) as out:
        tail = b""
        while not tail.endswith(bytes.fromhex("81cb000100000c17")):
            count = peer.recv_into(room)
            if not count:
                break
            digest.update(view[:count])
            out.write(view[:count])
            tail = (tail + bytes(view[max(0, count - 8):count]))[-8:]
        os.fsync(out.fileno())
"""


def _cpu_of(command: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, timeout=_LONGEST_S, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# -- the worker's own process --------------------------------------------------------------------------------------------


def _export(port: int, folder: Path, seconds: float) -> dict[str, float]:
    """What the worker does with a job, and what it takes beyond its imports."""
    from gateway.domain.devices import Credentials, DeviceId, Ports  # noqa: PLC0415 -- here, so that their cost is the worker's
    from gateway.drivers.base import Target  # noqa: PLC0415 -- as above
    from gateway.footage import worker  # noqa: PLC0415 -- as above
    from gateway.footage.cutting import Stretch  # noqa: PLC0415 -- as above

    ports = Ports(rtsp=port)
    target = Target(DeviceId("tape"), "127.0.0.1", ports, Credentials("", ""), "")
    end = tape.BEGIN + timedelta(seconds=seconds)
    job = worker.Job(target, "/replay", Stretch(tape.BEGIN, end, SEGMENT, folder, "f_"))
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew (proc(5)): imports leave one of their own
    memory, started, began = _memory_mib("VmRSS"), _own_cpu(), time.monotonic()
    said = asyncio.run(worker._work(job, _nothing))
    assert said == {"done": True}, said
    return {"cpu_s": _own_cpu() - started, "wall_s": time.monotonic() - began, "rss_mib": _memory_mib("VmHWM") - memory, "start_s": started}


async def _nothing() -> None:
    pass


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory_mib(row: str) -> float:
    """By the kernel's account of this program; `ru_maxrss` would remember what started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(row))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(_export(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))))
