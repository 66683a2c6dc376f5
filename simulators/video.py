"""What every camera sees: one short looped street scene, as H.264 access units and as JPEG snapshots.

The scene is drawn and encoded once, at first use, and shared by all cameras; a camera enters it at its own place in the loop (`phase_of`),
so no two neighbours show the same picture at the same moment. The wall clock chooses the frame: frame `n` counts from the UNIX epoch, which
makes footage of any past moment repeatable byte for byte without storing it.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache

import av

from simulators.views import View

CLOCK_RATE = 90_000
"""Hz; the RTP clock of H.264 (RFC 6184 §5.1)."""

FRAME_TICKS = 7_200
"""RTP ticks between two frames: 12.5 frames a second."""

FRAME_NS = 80_000_000
"""Nanoseconds between two frames; frame n is captured n · 80 ms after the UNIX epoch."""

GOP_FRAMES = 25
"""Frames from one IDR picture to the next: closed groups of 2 s, aligned to even seconds of UTC."""

LOOP_FRAMES = 125
"""Frames in the loop: 10 s."""

NAL_START = b"\x00\x00\x00\x01"

_SEI_UUID = bytes.fromhex("8f1d6b5ac7e24a3f9b6e5d2c41a7f3e8")
"""Marks our own SEI message (H.264 D.1.6, user_data_unregistered): the camera's name and the capture time as ASCII."""


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int
    bitrate: int


MAIN = Size(320, 180, 160_000)
SUB = Size(160, 96, 48_000)


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture: its NAL units without start codes, in decoding order. A key picture brings SPS and PPS along."""

    nals: tuple[bytes, ...]
    key: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """The encoded loop of one size."""

    size: Size
    sps: bytes
    pps: bytes
    units: tuple[AccessUnit, ...]

    def unit(self, frame: int, *, name: str, phase: int) -> AccessUnit:
        """The picture `frame` (counted from the epoch) of the camera `name`. Key pictures say in an SEI whose they are and when."""
        unit = self.units[(frame + phase) % LOOP_FRAMES]
        if not unit.key:
            return unit
        return AccessUnit((self.sps, self.pps, _sei(name, frame), *unit.nals), key=True)


@lru_cache(maxsize=4)
def scene(size: Size = MAIN) -> Scene:
    """The loop at `size`, encoded at the first call (a fraction of a CPU second) and kept."""
    encoder = _encoder(size)
    units = []
    for index, picture in enumerate(_pictures(size)):
        picture.pts = index
        units += [_access_unit(bytes(packet)) for packet in encoder.encode(picture)]
    units += [_access_unit(bytes(packet)) for packet in encoder.encode(None)]
    sps, pps = (nal for nal in split_annex_b(encoder.extradata or b"") if nal[0] & 0x1F in {7, 8})
    return Scene(size, sps, pps, tuple(units))


def phase_of(name: str) -> int:
    """Where a camera enters the loop, in frames; whole groups of pictures, so that key pictures stay on even seconds."""
    return zlib.crc32(name.encode()) % (LOOP_FRAMES // GOP_FRAMES) * GOP_FRAMES


def frame_at(unix_ns: int) -> int:
    """The last frame captured at or before a moment."""
    return unix_ns // FRAME_NS


def split_annex_b(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 annex B), without start codes and trailing zeros."""
    parts = stream.replace(NAL_START, b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


def jpeg(name: str, when: datetime, *, view: View = View.STREET, size: Size = MAIN) -> bytes:
    """A snapshot: what the camera `name` sees at `when`, with both drawn into the picture."""
    frame = frame_at(int(when.timestamp() * 1000) * 1_000_000)
    canvas = _draw(size, (frame + phase_of(name)) % LOOP_FRAMES, view)
    if view is View.STREET:
        canvas.text(4, 4, name)
        canvas.text(4, 14, when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-4])
    return bytes(_jpeg_encoder(size).encode(_mjpeg_frame(canvas))[0])


# -- encoding ---------------------------------------------------------------------------------------------------------


def _encoder(size: Size) -> av.VideoCodecContext:
    encoder = av.VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = size.width, size.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(2, 25), Fraction(25, 2)
    encoder.bit_rate = size.bitrate
    encoder.thread_count = 1
    encoder.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "high",
        "x264-params": f"keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}:scenecut=0:bframes=0:open-gop=0:sliced-threads=0:info=0",
    }
    encoder.flags |= 0x00400000  # AV_CODEC_FLAG_GLOBAL_HEADER: SPS and PPS in the extradata, not before every IDR
    encoder.open()
    return encoder


def _access_unit(packet: bytes) -> AccessUnit:
    nals = tuple(nal for nal in split_annex_b(packet) if nal[0] & 0x1F in {1, 5})
    return AccessUnit(nals, key=nals[0][0] & 0x1F == 5)


def _sei(name: str, frame: int) -> bytes:
    """An SEI NAL unit; ASCII holds no zero bytes, so no emulation prevention is needed (H.264 §7.4.1)."""
    seconds, millis = divmod(frame * FRAME_NS // 1_000_000, 1000)
    text = f"{name} {seconds}.{millis:03d}".encode("ascii", "replace")[:200]
    return b"\x06\x05" + bytes([len(_SEI_UUID) + len(text)]) + _SEI_UUID + text + b"\x80"


@lru_cache(maxsize=2)
def _jpeg_encoder(size: Size) -> av.VideoCodecContext:
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = size.width, size.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = 6
    encoder.open()
    return encoder


def _mjpeg_frame(canvas: "Canvas") -> av.VideoFrame:
    frame = canvas.frame("yuvj420p")
    frame.color_range = 2  # full range, as JPEG has it
    return frame


# -- drawing ----------------------------------------------------------------------------------------------------------


class Canvas:
    """Three planes, YUV 4:2:0, and rectangles to fill."""

    def __init__(self, size: Size, luma: bytes | bytearray, chroma_b: bytes | bytearray, chroma_r: bytes | bytearray) -> None:
        self.size = size
        self.planes = (bytearray(luma), bytearray(chroma_b), bytearray(chroma_r))

    def box(self, x: int, y: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        """Fill a rectangle, clipped to the picture."""
        for plane, value, scale in zip(self.planes, colour, (1, 2, 2), strict=True):
            stride, rows = self.size.width // scale, self.size.height // scale
            left, right = max(0, x // scale), min(stride, (x + width) // scale)
            run = bytes([value]) * max(0, right - left)
            for row in range(max(0, y // scale), min(rows, (y + height) // scale)):
                start = row * stride + left
                plane[start : start + len(run)] = run

    def text(self, x: int, y: int, words: str) -> None:
        """Write with a 3 × 5 dot font, two pixels a dot wide and one high; other characters leave a blank."""
        for position, letter in enumerate(words.upper()):
            self._glyph(x + position * 8, y, _FONT.get(letter, 0))

    def _glyph(self, x: int, y: int, dots: int) -> None:
        if x + 6 > self.size.width:
            return
        for dot in range(15):
            if dots >> (14 - dot) & 1:
                start = (y + dot // 3) * self.size.width + x + dot % 3 * 2
                self.planes[0][start : start + 2] = b"\xeb\xeb"

    def frame(self, pixel_format: str) -> av.VideoFrame:
        frame = av.VideoFrame(self.size.width, self.size.height, pixel_format)
        for plane, data, scale in zip(frame.planes, self.planes, (1, 2, 2), strict=True):
            plane.update(_padded(data, self.size.width // scale, plane.line_size))
        return frame


def _padded(data: bytearray, stride: int, line_size: int) -> bytes:
    """Rows of `stride` bytes at the distance that the encoder wants."""
    if stride == line_size:
        return bytes(data)
    gap = bytes(line_size - stride)
    return b"".join(bytes(data[at : at + stride]) + gap for at in range(0, len(data), stride))


def _pictures(size: Size) -> Iterator[av.VideoFrame]:
    for frame in range(LOOP_FRAMES):
        yield _draw(size, frame, View.STREET).frame("yuv420p")


@lru_cache(maxsize=2)
def _street(size: Size) -> Canvas:
    """What does not move: sky, house fronts with windows, the road, and a little grain that keeps the picture from being too clean."""
    width, height = size.width, size.height
    canvas = Canvas(size, bytes([170]) * (width * height), bytes([140]) * (width * height // 4), bytes([118]) * (width * height // 4))
    for house in range(5):
        canvas.box(house * width // 5, height // 6 + house % 3 * 8, width // 5 - 4, height // 2, (90 + 20 * house, 120, 136 + house))
        for window in range(6):
            at_x, at_y = house * width // 5 + 8 + window % 3 * width // 18, height // 4 + window // 3 * height // 7
            canvas.box(at_x, at_y, width // 32, height // 14, (200, 120, 130))
    canvas.box(0, height * 2 // 3, width, height // 3, (70, 128, 128))
    for index in range(0, width * height, 7):
        canvas.planes[0][index] ^= (index * 2_654_435_761 >> 24) & 3
    return canvas


def _draw(size: Size, frame: int, view: View) -> Canvas:
    """Frame `frame` of the loop; everything that moves is back where it began after LOOP_FRAMES."""
    if view is View.BLACK:
        return _flat(size, 16)
    if view is View.COVERED:
        return _flat(size, 62 + frame % 3)
    still = _street(size)
    canvas = Canvas(size, *still.planes)
    width, height = size.width, size.height
    car = (width + 60) * frame // LOOP_FRAMES - 60
    canvas.box(car, height * 3 // 4, 56, height // 8, (110, 90, 190))
    canvas.box(width - (2 * (width + 80) * frame // LOOP_FRAMES) % (width + 80), height * 7 // 8, 72, height // 10, (190, 150, 110))
    lamp = (16, 128, 128) if frame % 25 < 12 else (230, 60, 170)
    canvas.box(width - 16, height // 2, 8, 16, lamp)
    return canvas


def _flat(size: Size, luma: int) -> Canvas:
    pixels = size.width * size.height
    return Canvas(size, bytes([luma]) * pixels, b"\x80" * (pixels // 4), b"\x80" * (pixels // 4))


_FONT = {
    letter: int("".join(rows), 2)
    for letter, rows in {
        "0": ("111", "101", "101", "101", "111"),
        "1": ("010", "110", "010", "010", "111"),
        "2": ("111", "001", "111", "100", "111"),
        "3": ("111", "001", "111", "001", "111"),
        "4": ("101", "101", "111", "001", "001"),
        "5": ("111", "100", "111", "001", "111"),
        "6": ("111", "100", "111", "101", "111"),
        "7": ("111", "001", "010", "010", "010"),
        "8": ("111", "101", "111", "101", "111"),
        "9": ("111", "101", "111", "001", "111"),
        "A": ("010", "101", "111", "101", "101"),
        "B": ("110", "101", "110", "101", "110"),
        "C": ("011", "100", "100", "100", "011"),
        "D": ("110", "101", "101", "101", "110"),
        "E": ("111", "100", "110", "100", "111"),
        "F": ("111", "100", "110", "100", "100"),
        "G": ("011", "100", "101", "101", "011"),
        "H": ("101", "101", "111", "101", "101"),
        "I": ("111", "010", "010", "010", "111"),
        "J": ("001", "001", "001", "101", "010"),
        "K": ("101", "101", "110", "101", "101"),
        "L": ("100", "100", "100", "100", "111"),
        "M": ("101", "111", "111", "101", "101"),
        "N": ("110", "101", "101", "101", "101"),
        "O": ("010", "101", "101", "101", "010"),
        "P": ("110", "101", "110", "100", "100"),
        "Q": ("010", "101", "101", "011", "001"),
        "R": ("110", "101", "110", "101", "101"),
        "S": ("011", "100", "010", "001", "110"),
        "T": ("111", "010", "010", "010", "010"),
        "U": ("101", "101", "101", "101", "111"),
        "V": ("101", "101", "101", "101", "010"),
        "W": ("101", "101", "111", "111", "101"),
        "X": ("101", "101", "010", "101", "101"),
        "Y": ("101", "101", "010", "010", "010"),
        "Z": ("111", "001", "010", "100", "111"),
        "-": ("000", "000", "111", "000", "000"),
        ":": ("000", "010", "000", "010", "000"),
        ".": ("000", "000", "000", "000", "010"),
    }.items()
}
