"""A program of its own that shows a film with a mark burnt into every picture, so that no original leaves for a screen.

Usage: marking_worker.py DESCRIPTOR. On standard input comes one line of JSON: `lines`, the mark in letters of ASCII, `from_s`, where to
begin, and `begins`, what the clock shows at the film's start. The film, a fragmented MP4, is read from DESCRIPTOR. On standard output goes
a fragmented MP4: H.264 of at most 1280 x 720, and AAC where there is sound; it is made no faster than it is read. A gap in the film is
jumped over, and the mark says so for a while. Without a picture it ends with 1. It imports nothing of the gateway.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO

MEMORY_BYTES = 1 << 30
CPU_S = 3_600
NICENESS = 10
PIXELS_LIMIT = 40_000_000
WIDEST, HIGHEST = 1280, 720
_FOR_ONE_THREAD = 1920 * 1088  # larger pictures take more than a core to decode in time
HELD_BYTES = 64 << 20  # between two key pictures, while what lies before `from_s` is passed over
_FILMED, _HEARD = ("h264", "hevc"), ("aac", "pcm_alaw", "pcm_mulaw")
_KEY_EVERY_S = 2
_GAP_S = 2.0  # pictures farther apart have a gap between them
_STEP_S = 0.04  # and so long the last one before it is seen
_TOLD_S = 8.0  # so long the mark tells of it
_RATE, _AAC_FRAME = 48_000, 1_024
_VIDEO = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "crf": "26", "maxrate": "3M", "bufsize": "3M"}
_PIECES = {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"}  # a second each, in microseconds
# Two of them, each at the other's opposite, so that no part of the picture is free of both for long.
_WAYS = ("{0}*(0.5+0.5*sin(t/9)):y={1}*(0.5+0.5*sin(t/6+1))", "{0}*(0.5-0.5*sin(t/9)):y={1}*(0.5-0.5*sin(t/6+1))")
_FONT_ROWS = 7
# Seven rows of five dots each, two hexadecimal digits a row.
_FONT = {
    "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010608101f", "3": "0e11010601110e", "4": "02060a121f0202",
    "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204040404", "8": "0e11110e11110e", "9": "0e11110f01020c",
    "A": "0e11111f111111", "B": "1e11111e11111e", "C": "0e11101010110e", "D": "1c12111111121c", "E": "1f10101e10101f",
    "F": "1f10101e101010", "G": "0e11101711110f", "H": "1111111f111111", "I": "0e04040404040e", "J": "0702020202120c",
    "K": "11121418141211", "L": "1010101010101f", "M": "111b1515111111", "N": "11191513111111", "O": "0e11111111110e",
    "P": "1e11111e101010", "Q": "0e11111115120d", "R": "1e11111e141211", "S": "0f10100e01011e", "T": "1f040404040404",
    "U": "1111111111110e", "V": "11111111110a04", "W": "11111115151b11", "X": "11110a040a1111", "Y": "11110a04040404",
    "Z": "1f01020408101f", "-": "0000001f000000", "*": "00150e1f0e1500", ":": "00040400040400", "/": "01010204081010",
}  # fmt: skip


def main(descriptor: int) -> int:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    job = json.loads(sys.stdin.buffer.readline())
    with open(descriptor, "rb") as film:
        try:
            shown = show(film, job, sys.stdout.buffer)
        except (ValueError, OSError, EOFError, MemoryError):  # FFmpeg's errors are among them; so is a reader who has gone
            return 1
    return 0 if shown else 1


def show(film: BinaryIO, job: Mapping[str, Any], out: BinaryIO) -> bool:
    """Write `film` with the mark into `out`, as `job` has it; whether there was a picture.

    FFmpeg's errors; ValueError for pictures that are too large.
    """
    import av  # loaded after the limits are set

    source: Any = av.open(film, format="mov")
    with source:
        video = source.streams.video[0]
        sound = next((one for one in source.streams.audio if one.codec_context.name in _HEARD), None)
        if video.codec_context.name not in _FILMED:
            raise ValueError("no film that is shown")
        video.codec_context.thread_count = 1 if video.width * video.height <= _FOR_ONE_THREAD else 2
        screen = Screen(out, job["lines"], video, sound)
        begins = datetime.fromisoformat(job["begins"])

        def tell(start_s: float, end_s: float) -> None:
            start, end = (f"{begins + timedelta(seconds=at_s):%H:%M:%S}" for at_s in (start_s, end_s))
            screen.tell(f"NO RECORDING {start}-{end}")

        packets = after(source.demux([video, sound] if sound else [video]), video, job["from_s"])
        for packet in closed_up(packets, video, tell):
            screen.take(packet)
        return screen.close()


def after(packets: Iterable[Any], video: Any, from_s: float) -> Iterator[Any]:
    """`packets` from the last key picture on that is not later than `from_s`."""
    held: list[Any] = []
    size, passed = 0, from_s <= 0
    for packet in packets:
        if passed:
            yield packet
            continue
        if packet.pts is None:
            return  # it ends before
        filmed = packet.stream is video
        if filmed and packet.is_keyframe and packet.pts * packet.time_base <= from_s:
            held, size = [], 0
        held.append(packet)
        size += packet.size
        if (filmed and packet.pts * packet.time_base >= from_s) or size > HELD_BYTES:
            passed = True
            yield from held
            held = []


def closed_up(packets: Iterable[Any], video: Any, jumped: Callable[[float, float], None]) -> Iterator[Any]:
    """`packets` without the time in which nothing was recorded; `jumped` is told from when to when that was, in seconds of the film."""
    last_s: float | None = None
    skipped_s = 0.0
    for packet in packets:
        if packet.dts is None or packet.pts is None:
            yield packet
            continue
        at_s, filmed = float(packet.dts * packet.time_base), packet.stream is video
        if last_s is not None and at_s - last_s > _GAP_S:
            if not filmed:
                continue  # sound that nobody sees where it belongs
            jumped(last_s, at_s)
            skipped_s += at_s - last_s - _STEP_S
        last_s = at_s if filmed else last_s
        back = round(skipped_s / packet.time_base)
        packet.pts, packet.dts = packet.pts - back, packet.dts - back
        yield packet


class Screen:
    """Takes what a film holds, and writes what is shown of it."""

    def __init__(self, out: BinaryIO, lines: Sequence[str], video: Any, sound: Any) -> None:
        self._out = out
        self._lines = lines
        self._video = video
        self._sound = sound
        self._marker: Marker | None = None
        self._file: Any = None
        self._speaker: Speaker | None = None
        self._began: Any = None
        self._next_key: Any = 0
        self._news, self._shown_s, self._told_s = "", 0.0, 0.0

    def tell(self, news: str) -> None:
        """Have the mark say this for a while."""
        self._news, self._told_s = news, self._shown_s + _TOLD_S

    def take(self, packet: Any) -> None:
        """Decode a packet and show what comes of it; a damaged one is passed over."""
        import av

        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return
        for frame in frames:
            if frame.pts is None:
                continue
            if packet.stream is self._video:
                self._see(frame)
            elif self._began is not None and self._speaker is not None:
                self._hear(frame)

    def close(self) -> bool:
        """Write what is left; whether there was a picture."""
        if self._marker is None:
            return False
        if self._speaker is not None:
            self._file.mux(self._speaker.said(None))
        self._file.mux(self._encoder.encode(None))
        self._file.close()
        return True

    def _see(self, frame: Any) -> None:
        if frame.width * frame.height > PIXELS_LIMIT:
            raise ValueError("too large a picture")
        if self._marker is None:
            self._began = frame.pts * frame.time_base
            self._open(*fitted(frame.width, frame.height))
        frame.pts -= round(self._began / frame.time_base)
        for marked in self._marked(frame):
            at_s = marked.pts * marked.time_base
            due = at_s >= self._next_key
            marked.pict_type = 1 if due else 0  # intra-coded, or as the encoder likes
            self._next_key = at_s + _KEY_EVERY_S if due else self._next_key
            self._file.mux(self._encoder.encode(marked))

    def _marked(self, frame: Any) -> Iterator[Any]:
        self._shown_s = float(frame.pts * frame.time_base)
        news = [self._news] if self._news and self._shown_s < self._told_s else []
        shape, lines = (frame.width, frame.height, frame.format.name), [*self._lines, *news]
        if self._marker is None or self._marker.shape != shape or self._marker.lines != lines:
            self._marker = Marker(shape, (self._encoder.width, self._encoder.height), frame.time_base, lines)
        return self._marker.marked(frame)

    def _hear(self, frame: Any) -> None:
        assert self._speaker is not None
        begins = round(self._began / frame.time_base)
        if frame.pts >= begins:
            frame.pts -= begins
            self._file.mux(self._speaker.said(frame))

    def _open(self, width: int, height: int) -> None:
        import av

        self._file = av.open(Written(self._out), "w", format="mp4", options=_PIECES)
        self._encoder: Any = self._file.add_stream("libx264", rate=self._video.average_rate or 25, options=_VIDEO)
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = width, height, "yuv420p"
        self._encoder.codec_context.time_base = self._video.time_base
        self._encoder.codec_context.thread_count = 1
        if self._sound is not None:
            self._speaker = Speaker(self._file)


class Written:
    """Where a film is written to: nothing of it is looked at again."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._out.flush()
        return len(data)


class Speaker:
    """Sound for a browser: AAC, one channel."""

    def __init__(self, file: Any) -> None:
        import av

        self._encoder: Any = file.add_stream("aac", rate=_RATE, layout="mono")
        self._encoder.bit_rate = _RATE
        self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=_RATE, frame_size=_AAC_FRAME)

    def said(self, frame: Any) -> list[Any]:
        """What becomes of `frame`; None for the last."""
        even = [*self._resampler.resample(frame), *([None] if frame is None else [])]
        packets = [packet for piece in even for packet in self._encoder.encode(piece)]
        return [packet for packet in packets if packet.pts >= 0]  # the encoder's run-up would have all pictures wait for it


class Marker:
    """Scales pictures of one shape and lays the mark over them."""

    def __init__(self, shape: tuple[int, int, str], size: tuple[int, int], time_base: Any, lines: Sequence[str]) -> None:
        import av

        self.shape, self.lines = shape, lines
        mark = bitmap(lines, max(1, size[0] // 400))
        width, height, form = shape
        graph: Any = av.filter.Graph()
        self._in = graph.add_buffer(width=width, height=height, format=av.VideoFormat(form), time_base=time_base)
        small, even = graph.add("scale", f"{size[0]}:{size[1]}:flags=fast_bilinear"), graph.add("format", "pix_fmts=yuv420p")
        self._in.link_to(small)
        small.link_to(even)
        last, marks = even, list[Any]()
        for way in _WAYS:
            laid = graph.add_buffer(width=mark.width, height=mark.height, format=mark.format, time_base=time_base)
            over = graph.add("overlay", f"x={way.format('(W-w)', '(H-h)')}")
            last.link_to(over, 0, 0)
            laid.link_to(over, 0, 1)
            marks.append(laid)
            last = over
        self._sink = graph.add("buffersink")
        last.link_to(self._sink)
        graph.configure()
        for laid in marks:
            mark.pts, mark.time_base = 0, time_base
            laid.push(mark)
            laid.push(None)
        self._graph = graph

    def marked(self, frame: Any) -> Iterator[Any]:
        """`frame` and what was waiting before it, with the mark."""
        import av

        self._in.push(frame)
        while True:
            try:
                yield self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def fitted(width: int, height: int) -> tuple[int, int]:
    """The size that is shown: in proportion, even, no larger than the picture nor than WIDEST x HIGHEST."""
    scale = min(1.0, WIDEST / width, HIGHEST / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def bitmap(lines: Sequence[str], dot: int) -> Any:
    """The mark as a picture that one sees through: light dots of `dot` pixels with a dark shadow. Letters without a form are left out."""
    import av

    rows = dots(lines)
    width, height = len(rows[0]) * dot, len(rows) * dot
    frame: Any = av.VideoFrame(width + width % 2, height + height % 2, "yuva420p")
    for plane, values in zip(frame.planes, (b"\x10\x10\xeb", None, None, b"\x00\x70\xa0"), strict=True):
        if values is None:
            plane.update(b"\x80" * plane.buffer_size)  # without colour
            continue
        look = bytes.maketrans(b"\0\1\2", values)
        drawn = [bytes(value for value in row for _ in range(dot)).translate(look).ljust(plane.line_size, b"\0") for row in rows]
        plane.update(b"".join(line for line in drawn for _ in range(dot)).ljust(plane.buffer_size, b"\0"))
    return frame


def dots(lines: Sequence[str]) -> list[bytearray]:
    """The mark dot by dot: 0 where there is nothing, 1 shadow, 2 light."""
    told = ["".join(letter for letter in line.upper() if letter in _FONT or letter == " ") for line in lines]
    rows = [bytearray(6 * max(map(len, told)) + 2) for _ in range((_FONT_ROWS + 2) * len(told) + 1)]
    lit = [
        (top + row, left + column)
        for top, line in zip(range(1, len(rows), _FONT_ROWS + 2), told, strict=False)
        for left, letter in zip(range(1, 6 * len(line) + 1, 6), line, strict=True)
        for row, bits in enumerate(bytes.fromhex(_FONT.get(letter, "00" * _FONT_ROWS)))
        for column in range(5)
        if bits >> (4 - column) & 1
    ]
    for row, column in lit:
        rows[row + 1][column + 1] = 1
    for row, column in lit:
        rows[row][column] = 2
    return rows


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
