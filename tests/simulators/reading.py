"""Reads the caption of a simulated picture back from its pixels, as a person would: dot by dot."""

import av

from simulators.drawing import FONT

_LETTERS = {dots: letter for letter, dots in FONT.items()} | {0: " "}


def caption_of(frame: av.VideoFrame) -> tuple[str, str]:
    """The camera's id and its clock, as written below the picture; "?" for what is no letter."""
    grey = frame.reformat(format="gray")
    plane = grey.planes[0]
    data, stride = bytes(plane), plane.line_size
    top = {180: 160, 96: 80}[frame.height]
    return _line(data, stride, frame.width, top + 3), _line(data, stride, frame.width, top + 10)


def _line(data: bytes, stride: int, width: int, y: int) -> str:
    return "".join(_letter(data, stride, x, y) for x in range(4, width - 6, 8)).rstrip()


def _letter(data: bytes, stride: int, x: int, y: int) -> str:
    dots = 0
    for dot in range(15):
        at = (y + dot // 3) * stride + x + dot % 3 * 2
        dots = dots << 1 | (data[at] + data[at + 1] > 256)
    return _LETTERS.get(dots, "?")
