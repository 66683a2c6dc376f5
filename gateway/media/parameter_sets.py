"""What a decoder must know before the first picture: H.264 and H.265 parameter sets, as MP4 files carry them (ISO/IEC 14496-15)."""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gateway.errors import ProtocolError

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


@dataclass(frozen=True, slots=True)
class Configuration:
    """A sample entry's name, its configuration box (name and content), and the picture's size in pixels."""

    entry: str
    box: str
    content: bytes
    width: int
    height: int


def from_format(encoding: str, parameters: Mapping[str, str]) -> tuple[bytes, ...]:
    """The parameter sets that an SDP gives (RFC 6184, 8.1: sprop-parameter-sets; RFC 7798, 7.1: sprop-vps, -sps, -pps)."""
    names = ("sprop-parameter-sets",) if encoding == "H264" else ("sprop-vps", "sprop-sps", "sprop-pps")
    texts = [text for name in names for text in parameters.get(name, "").split(",") if text.strip()]
    try:
        return tuple(base64.b64decode(text, validate=True) for text in texts)
    except ValueError as error:
        raise ProtocolError("the parameter sets in the SDP are not base64") from error


def configure(encoding: str, nals: Iterable[bytes]) -> Configuration | None:
    """The configuration from the parameter sets among `nals`; None while one is missing. Raises ProtocolError for garbage."""
    try:
        return _configure_h264(list(nals)) if encoding == "H264" else _configure_h265(list(nals))
    except (IndexError, ValueError, OverflowError) as error:
        raise ProtocolError("a parameter set of the footage is malformed") from error


def _configure_h264(nals: list[bytes]) -> Configuration | None:
    sps = _of_kind(nals, 7, lambda nal: nal[0] & 0x1F)
    pps = _of_kind(nals, 8, lambda nal: nal[0] & 0x1F)
    if not sps or not pps:
        return None
    first = sps[0]
    width, height, chroma, luma_depth, chroma_depth = _read_h264(first)
    content = bytes((1, first[1], first[2], first[3], 0xFF, 0xE0 | len(sps))) + _counted(sps) + bytes((len(pps),)) + _counted(pps)
    if first[1] in _HIGH_PROFILES:
        content += bytes((0xFC | chroma, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0))
    return Configuration("avc1", "avcC", content, width, height)


def _configure_h265(nals: list[bytes]) -> Configuration | None:
    """Named `hev1`: under `hvc1` parameter sets stand in the sample entry only (ISO/IEC 14496-15, 8.3.2), and here they stay where the
    device sent them, too. That they will not come is not known when the name is written, nor are they taken out of what is evidence.
    """
    sets = {kind: _of_kind(nals, kind, lambda nal: nal[0] >> 1 & 0x3F) for kind in (32, 33, 34)}
    if not all(sets.values()):
        return None
    width, height, chroma, luma_depth, chroma_depth, profile = _read_h265(sets[33][0])
    # min_spatial_segmentation 0, parallelism unknown, frame rate unknown, one temporal layer, four-byte lengths
    fixed = bytes((0xF0, 0, 0xFC, 0xFC | chroma, 0xF8 | luma_depth, 0xF8 | chroma_depth, 0, 0, 0x0F, len(sets)))
    arrays = b"".join(bytes((kind,)) + len(found).to_bytes(2) + _counted(found) for kind, found in sets.items())
    return Configuration("hev1", "hvcC", b"\x01" + profile + fixed + arrays, width, height)


def _of_kind(nals: list[bytes], kind: int, kind_of: Callable[[bytes], int]) -> list[bytes]:
    """The distinct NAL units of one kind, at most 31 as the box can count, each short enough for its length field."""
    found = dict.fromkeys(nal for nal in nals if nal and kind_of(nal) == kind and len(nal) < 65536)
    return list(found)[:31]


def _counted(nals: list[bytes]) -> bytes:
    return b"".join(len(nal).to_bytes(2) + nal for nal in nals)


def _read_h264(nal: bytes) -> tuple[int, int, int, int, int]:
    """Width, height, chroma format, luma and chroma depth less eight (ITU-T H.264, 7.3.2.1.1)."""
    bits = Bits(nal[1:])
    profile = bits.take(8)
    bits.take(16)
    bits.unsigned()
    chroma, luma_depth, chroma_depth, separate = 1, 0, 0, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.unsigned()
        separate = bits.take(1) if chroma == 3 else 0
        luma_depth, chroma_depth = bits.unsigned(), bits.unsigned()
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    bits.unsigned()
    _skip_picture_order(bits)
    bits.unsigned()
    bits.take(1)
    columns, rows = bits.unsigned() + 1, bits.unsigned() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    left, right, top, bottom = (bits.unsigned() for _ in range(4)) if bits.take(1) else (0, 0, 0, 0)
    across, down = _chroma_units(0 if separate else chroma)
    width = 16 * columns - across * (left + right)
    height = 16 * rows * (2 - frames_only) - down * (2 - frames_only) * (top + bottom)
    return *_sane(width, height), chroma & 3, luma_depth & 7, chroma_depth & 7


def _skip_picture_order(bits: "Bits") -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.take(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()


def _skip_scaling_lists(bits: "Bits", count: int) -> None:
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _read_h265(nal: bytes) -> tuple[int, int, int, int, int, bytes]:
    """As `_read_h264`, and the twelve bytes of general profile, tier and level (ITU-T H.265, 7.3.2.2 and 7.3.3)."""
    bits = Bits(nal[2:])
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    profile = bytes(bits.take(8) for _ in range(12))
    _skip_layers(bits, layers)
    bits.unsigned()
    chroma = bits.unsigned()
    separate = bits.take(1) if chroma == 3 else 0
    width, height = bits.unsigned(), bits.unsigned()
    if bits.take(1):
        across, down = _chroma_units(0 if separate else chroma)
        width -= across * (bits.unsigned() + bits.unsigned())
        height -= down * (bits.unsigned() + bits.unsigned())
    return *_sane(width, height), chroma & 3, bits.unsigned() & 7, bits.unsigned() & 7, profile


def _skip_layers(bits: "Bits", layers: int) -> None:
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)


def _chroma_units(chroma: int) -> tuple[int, int]:
    """How many luma samples one unit of cropping takes, across and down (H.264 table 6-1)."""
    return {1: (2, 2), 2: (2, 1)}.get(chroma, (1, 1))


def _sane(width: int, height: int) -> tuple[int, int]:
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise ValueError("no such picture size")
    return width, height


class Bits:
    """Reads a parameter set bit by bit, emulation prevention taken out (H.264, 7.3.1). ValueError at its end."""

    def __init__(self, data: bytes) -> None:
        data = data[:4096].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the parameter set is too short")
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        """ue(v), H.264, 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v), H.264, 9.1.1."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)
