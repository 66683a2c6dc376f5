"""What every camera sees and sends: one short looped street scene, as H.264 or H.265 access units and as JPEG snapshots.

The wall clock chooses the frame: frame `n` is captured n · 80 ms after the UNIX epoch, which makes footage of any past moment repeatable
without storing it. A camera enters the loop at its own place (`phase_of`), and its id and its own clock stand below the picture.

The street is encoded once for all cameras, at first use; the caption for each camera whenever its clock moves on. Both are slices of one
picture that refer to nothing in each other: no deblocking, motion too short to reach across the flat ground between them, the same
quantiser, groups of the same length. So a camera's picture is the street's upper slices followed by its own last one.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Final, cast

import av

from simulators.drawing import LOOP_FRAMES, Canvas, blank, picture
from simulators.frames import FRAME_NS, GOP_FRAMES, MAIN, AccessUnit, Codec, Sight, Size, frame_at
from simulators.views import Seen, View

NAL_START: Final = b"\x00\x00\x00\x01"

_SEI_UUID: Final = bytes.fromhex("8f1d6b5ac7e24a3f9b6e5d2c41a7f3e8")
"""Marks our own SEI message (user_data_unregistered): the camera's id and the capture time as ASCII."""

Change = tuple[int, tuple[str, ...]]
"""From which frame of its group on a caption says what."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The encoded loop of one size, without captions. `units`: the slices of each picture, the last one of them the band's."""

    size: Size
    codec: Codec
    sets: tuple[bytes, ...]
    units: tuple[tuple[bytes, ...], ...]


class Reel:
    """The pictures of one camera in one size, cheapest when asked for one after another."""

    def __init__(self, sight: Sight, codec: Codec, size: Size) -> None:
        self._sight, self._codec, self._size = sight, codec, size
        self._phase = phase_of(sight.name)
        self._first = -1
        self._units: tuple[AccessUnit, ...] = ()

    def unit(self, frame: int) -> AccessUnit:
        """The picture `frame`, counted from the epoch. Key pictures say in an SEI whose they are and when."""
        first = frame - frame % GOP_FRAMES
        if first != self._first:
            self._first, self._units = first, tuple(self._group(first))
        return self._units[frame - first]

    def _group(self, first: int) -> Iterator[AccessUnit]:
        seen = self._sight.view(first * FRAME_NS / 1e9)
        shown, still = shown_frame(first, seen), seen.view is View.FROZEN
        start = (shown + self._phase) % LOOP_FRAMES
        street = scene(self._size, self._codec, View.STREET if still else seen.view, start if still else None)
        offset_s = self._sight.offset_s()
        moments = [shown if still else first + index for index in range(GOP_FRAMES)]
        captions = [caption(self._sight.name, moment, offset_s) for moment in moments]
        changes = tuple((index, lines) for index, lines in enumerate(captions) if index == 0 or lines != captions[index - 1])
        position = 0 if still else start
        bands = _bands(self._codec, self._size, View.STREET if still else seen.view, position // GOP_FRAMES % 2, changes)
        for index in range(GOP_FRAMES):
            *upper, band = street.units[position + index]
            slices = (*upper, bands.get(index, band))
            head = (*street.sets, _sei(self._codec, self._sight.name, first)) if index == 0 else ()
            yield AccessUnit((*head, *slices), key=index == 0)


def parameter_sets(size: Size, codec: Codec) -> tuple[bytes, ...]:
    """SPS and PPS of H.264; VPS, SPS and PPS of H.265."""
    return _band_encoder(codec, size).sets


def phase_of(name: str) -> int:
    """Where a camera enters the loop, in frames; whole groups of pictures, so that key pictures stay on even seconds."""
    return zlib.crc32(name.encode()) % (LOOP_FRAMES // GOP_FRAMES) * GOP_FRAMES


def shown_frame(frame: int, seen: Seen) -> int:
    """Which frame a camera shows when `frame` is due: a frozen one the key picture of the group in which it froze."""
    if seen.view is not View.FROZEN:
        return frame
    frozen = frame_at(int(seen.since * 1000) * 1_000_000)
    return frozen - frozen % GOP_FRAMES


def caption(name: str, frame: int, offset_s: float) -> tuple[str, str]:
    """What stands below a picture: the camera's id, and its own clock in UTC."""
    moment = datetime.fromtimestamp((frame * FRAME_NS // 1_000_000 + round(offset_s * 1000)) // 1000, UTC)
    return name, moment.strftime("%Y-%m-%d %H:%M:%S")


def split_annex_b(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 annex B), without start codes and trailing zeros."""
    parts = stream.replace(NAL_START, b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


def jpeg(sight: Sight, now: float, *, size: Size = MAIN) -> bytes:
    """A snapshot: what the camera sees at `now` (seconds since the epoch by the city's clock)."""
    seen = sight.view(now)
    frame = shown_frame(frame_at(int(now * 1000) * 1_000_000), seen)
    view = View.STREET if seen.view is View.FROZEN else seen.view
    canvas = picture(size, (frame + phase_of(sight.name)) % LOOP_FRAMES, view)
    canvas.caption(caption(sight.name, frame, sight.offset_s()))
    return bytes(_jpeg_encoder(size).encode(_mjpeg_frame(canvas))[0])


# -- encoding ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def scene(size: Size = MAIN, codec: Codec = Codec.H264, view: View = View.STREET, still: int | None = None) -> Scene:
    """The loop, encoded at the first call (a fraction of a CPU second) and kept; `still`: one group of nothing but that frame."""
    encoder = _Encoder(codec, size)
    frames = range(LOOP_FRAMES) if still is None else [still] * GOP_FRAMES
    units: list[tuple[bytes, ...]] = []
    for first in range(0, len(frames), GOP_FRAMES):
        units += encoder.group([picture(size, frame, view) for frame in frames[first : first + GOP_FRAMES]])
    return Scene(size, codec, encoder.sets, tuple(units))


@lru_cache(maxsize=64)
def _bands(codec: Codec, size: Size, view: View, parity: int, changes: tuple[Change, ...]) -> dict[int, bytes]:
    """The last slices of a group up to the last change of its caption, by frame; after it nothing moves, as in the scene itself.

    `parity`: H.264 numbers its key pictures by turns (idr_pic_id), and both parts of a picture must agree.
    """
    encoder = _band_encoder(codec, size)
    if encoder.keys % 2 != parity:
        encoder.group([blank(size, view)])
    canvases: list[Canvas] = []
    for (start, lines), (stop, _) in zip(changes, (*changes[1:], (changes[-1][0] + 1, ())), strict=True):
        canvas = blank(size, view)
        canvas.caption(lines)
        canvases += [canvas] * (stop - start)
    return {index: slices[-1] for index, slices in enumerate(encoder.group(canvases))}


@lru_cache(maxsize=4)
def _band_encoder(codec: Codec, size: Size) -> "_Encoder":
    """Kept: its parameter sets and its ways are those of the scene's encoder."""
    return _Encoder(codec, size)


_COMMON: Final = (
    f"qp=24:keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}:scenecut=0:bframes=0:open-gop=0:info=0:ref=1:no-deblock=1:weightp=0:aq-mode=0:"
    "me=dia:merange=4:subme=0:"
)
_H264: Final = _COMMON + "sliced-threads=0:8x8dct=1:slice-max-mbs={macroblocks}"
_H265: Final = _COMMON + (
    "log-level=none:frame-threads=1:wpp=1:pools=1:rc-lookahead=0:repeat-headers=0:aud=0:ctu=32:slices={rows}:no-sao=1:no-tmvp=1"
)
_ENCODERS: Final = {Codec.H264: ("libx264", "x264-params", _H264), Codec.H265: ("libx265", "x265-params", _H265)}


class _Encoder:
    """One codec context. `keys`: how many key pictures it has made."""

    def __init__(self, codec: Codec, size: Size) -> None:
        name, parameters, values = _ENCODERS[codec]
        context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
        context.width, context.height, context.pix_fmt = size.width, size.height, "yuv420p"
        context.time_base, context.framerate = Fraction(2, 25), Fraction(25, 2)
        context.thread_count = 1
        told = values.format(macroblocks=size.width * size.band_top // 256, rows=-(-size.height // 32))
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", parameters: told}
        if codec is Codec.H264:
            context.options |= {"profile": "high"}
        context.flags |= 0x00400000  # AV_CODEC_FLAG_GLOBAL_HEADER: parameter sets in the extradata, not before every key picture
        context.open()
        self.keys = 0
        self.sets = tuple(nal for nal in split_annex_b(context.extradata or b"") if _kind(codec, nal) in _SETS[codec])
        self._codec, self._context, self._pts = codec, context, 0

    def group(self, canvases: Sequence[Canvas]) -> list[tuple[bytes, ...]]:
        """The slices of each picture from top to bottom; the first picture is a key picture."""
        self.keys += 1
        units: list[tuple[bytes, ...]] = []
        for index, canvas in enumerate(canvases):
            units += self._encoded(canvas, key=index == 0, late=index)
        if len(units) < len(canvases):  # x265 keeps a picture back: one more pushes it out, and comes out before the next group
            units += self._encoded(canvases[-1], key=False, late=1)
        return units

    def _encoded(self, canvas: Canvas, *, key: bool, late: int) -> list[tuple[bytes, ...]]:
        """What comes out when a picture goes in, except what went in more than `late` pictures before it."""
        frame = canvas.frame("yuv420p")
        frame.pts, frame.pict_type = self._pts, 1 if key else 0  # AV_PICTURE_TYPE_I; left to the encoder
        self._pts += 1
        packets = [bytes(packet) for packet in self._context.encode(frame) if packet.pts is not None and packet.pts >= frame.pts - late]
        return [tuple(nal for nal in split_annex_b(data) if _kind(self._codec, nal) in _SLICES[self._codec]) for data in packets]


_SETS: Final[dict[Codec, Sequence[int]]] = {Codec.H264: (7, 8), Codec.H265: (32, 33, 34)}
_SLICES: Final[dict[Codec, Sequence[int]]] = {Codec.H264: (1, 5), Codec.H265: range(32)}


def _kind(codec: Codec, nal: bytes) -> int:
    """The type of a NAL unit (H.264 table 7-1, H.265 table 7-1)."""
    return nal[0] & 0x1F if codec is Codec.H264 else nal[0] >> 1 & 0x3F


def _sei(codec: Codec, name: str, frame: int) -> bytes:
    """An SEI NAL unit; ASCII holds no zero bytes, so no emulation prevention is needed (H.264 §7.4.1)."""
    seconds, millis = divmod(frame * FRAME_NS // 1_000_000, 1000)
    text = f"{name} {seconds}.{millis:03d}".encode("ascii", "replace")[:200]
    head = b"\x06" if codec is Codec.H264 else b"\x4e\x01"
    return head + b"\x05" + bytes([len(_SEI_UUID) + len(text)]) + _SEI_UUID + text + b"\x80"


@lru_cache(maxsize=2)
def _jpeg_encoder(size: Size) -> av.VideoCodecContext:
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = size.width, size.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = 4
    encoder.open()
    return encoder


def _mjpeg_frame(canvas: Canvas) -> av.VideoFrame:
    frame = canvas.frame("yuvj420p")
    frame.color_range = 2  # full range, as JPEG has it
    return frame
