"""The street that all simulated cameras look at, drawn with rectangles, and the caption below it: a camera's id and its clock.

A picture has three parts from top to bottom: the street with all that moves, flat ground, and the band with the caption. The ground keeps
what moves far from the band, so that street and caption can be encoded apart and put together again (`simulators.video`).
"""

from functools import lru_cache
from typing import Final

import av

from simulators.frames import Size
from simulators.views import View

LOOP_FRAMES: Final = 125
"""Frames in the loop: 10 s; everything that moves is back where it began after them."""
GROUND_ROWS: Final = 32
BAND_LUMA: Final = 16
INK: Final = b"\xeb\xeb"
LINES: Final = (3, 10)
"""Where the lines of the caption begin, in rows below the upper edge of the band."""
MARGIN: Final = 4
CELL: Final = 8
"""Pixels from one letter to the next."""


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

    def caption(self, lines: tuple[str, ...]) -> None:
        """Write into the band with a font of 3 × 5 dots, two pixels a dot wide and one high; other characters leave a blank."""
        self.box(0, self.size.band_top, self.size.width, self.size.height, (BAND_LUMA, 128, 128))
        for below, words in zip(LINES, lines, strict=False):
            for position, letter in enumerate(words.upper()):
                self._glyph(MARGIN + position * CELL, self.size.band_top + below, FONT.get(letter, 0))

    def _glyph(self, x: int, y: int, dots: int) -> None:
        if x + 6 > self.size.width:
            return
        for dot in range(15):
            if dots >> (14 - dot) & 1:
                start = (y + dot // 3) * self.size.width + x + dot % 3 * 2
                self.planes[0][start : start + 2] = INK

    def frame(self, pixel_format: str) -> av.VideoFrame:
        frame = av.VideoFrame(self.size.width, self.size.height, pixel_format)
        for plane, data, scale in zip(frame.planes, self.planes, (1, 2, 2), strict=True):
            plane.update(_padded(data, self.size.width // scale, plane.line_size))
        return frame


def picture(size: Size, frame: int, view: View) -> Canvas:
    """Frame `frame` of the loop, its band empty."""
    if view in {View.BLACK, View.COVERED, View.DAZZLED}:
        canvas = blank(size, view)
        if view is View.COVERED:
            canvas.box(0, 0, size.width, _street_rows(size), (ground_luma(view) + frame % 3, 128, 128))
        return canvas
    still = _street(size)
    canvas = Canvas(size, *still.planes)
    width, height = size.width, _street_rows(size)
    car = (width + 60) * frame // LOOP_FRAMES - 60
    canvas.box(car, height * 3 // 4, 56, height // 8, (110, 90, 190))
    canvas.box(width - (2 * (width + 80) * frame // LOOP_FRAMES) % (width + 80), height * 7 // 8, 72, height // 10, (190, 150, 110))
    lamp = (16, 128, 128) if frame % 25 < 12 else (230, 60, 170)
    canvas.box(width - 16, height // 2, 8, 16, lamp)
    if view is View.BLURRED:
        return _unfocused(canvas)
    return _turned(canvas) if view is View.MOVED else canvas


def blank(size: Size, view: View) -> Canvas:
    """No street: the ground up to the top, and the empty band."""
    pixels = size.width * size.height
    canvas = Canvas(size, bytes([ground_luma(view)]) * pixels, b"\x80" * (pixels // 4), b"\x80" * (pixels // 4))
    canvas.caption(())
    return canvas


def _street_rows(size: Size) -> int:
    return size.band_top - GROUND_ROWS


def ground_luma(view: View) -> int:
    return {View.BLACK: 16, View.COVERED: 62, View.DAZZLED: 235}.get(view, 100)


def _padded(data: bytearray, stride: int, line_size: int) -> bytes:
    """Rows of `stride` bytes at the distance that the encoder wants."""
    if stride == line_size:
        return bytes(data)
    gap = bytes(line_size - stride)
    return b"".join(bytes(data[at : at + stride]) + gap for at in range(0, len(data), stride))


@lru_cache(maxsize=2)
def _street(size: Size) -> Canvas:
    """What does not move: sky, house fronts with windows, the road, and a little grain that keeps the picture from being too clean."""
    width, height = size.width, _street_rows(size)
    canvas = blank(size, View.STREET)
    canvas.box(0, 0, width, height, (170, 140, 118))
    for house in range(5):
        canvas.box(house * width // 5, height // 6 + house % 3 * 8, width // 5 - 4, height // 2, (90 + 20 * house, 120, 136 + house))
        for window in range(6):
            at_x, at_y = house * width // 5 + 8 + window % 3 * width // 18, height // 4 + window // 3 * height // 7
            canvas.box(at_x, at_y, width // 32, height // 14, (200, 120, 130))
    canvas.box(0, height * 2 // 3, width, height - height * 2 // 3, (70, 128, 128))
    for index in range(0, width * height, 7):
        canvas.planes[0][index] ^= (index * 2_654_435_761 >> 24) & 3
    return canvas


def _turned(canvas: Canvas) -> Canvas:
    """The street of a camera that was pushed aside: half a picture to the left, and looking up by an eighth."""
    size = canvas.size
    planes = []
    for plane, scale in zip(canvas.planes, (1, 2, 2), strict=True):
        width, rows = size.width // scale, _street_rows(size) // scale
        lines = [
            plane[row * width + width // 2 : row * width + width] + plane[row * width : row * width + width // 2] for row in range(rows)
        ]
        up = rows // 8
        planes.append(b"".join([lines[0]] * up + lines[: rows - up]) + plane[rows * width :])
    return Canvas(size, *planes)


def _unfocused(canvas: Canvas) -> Canvas:
    """The street through a lens that lost its focus; the caption, which no lens sees, stays sharp."""
    size, rows = canvas.size, _street_rows(canvas.size)
    street = av.VideoFrame(size.width, rows, "gray")
    street.planes[0].update(_padded(canvas.planes[0][: size.width * rows], size.width, street.planes[0].line_size))
    small = street.reformat(width=size.width // 10, height=rows // 10, interpolation="AREA")
    plane = small.reformat(width=size.width, height=rows, interpolation="BILINEAR").planes[0]
    data = bytes(plane)
    luma = b"".join(data[row * plane.line_size : row * plane.line_size + size.width] for row in range(rows))
    return Canvas(size, luma + canvas.planes[0][size.width * rows :], canvas.planes[1], canvas.planes[2])


FONT: Final = {
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
