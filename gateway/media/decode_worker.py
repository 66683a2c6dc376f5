"""A program of its own that turns sounds into what loudspeakers take: it alone touches untrusted audio, within limits of its own.

It takes jobs on standard input until that ends: one line of JSON (`size`, `rate`, `longest_s`, `level`, `measure`, `encodings`), then
`size` bytes of sound. Each is answered on standard output by one line of JSON, and when that says `"ok"`, by the PCM (signed 16 bit,
little endian, mono, `rate` Hz) and the encodings in the order asked for. It imports nothing of the gateway.
"""

import io
import json
import resource
import sys
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

MEMORY_BYTES = 768 << 20
CPU_S = 20  # for one job
_WIDE = 16_000
_RATES = range(4_000, 192_001)
_MOST_CHANNELS = 8
_MOST_TAGS = 8
_MOST_DAMAGED = 2  # packets, of some 25 ms each
_WHOLE = 0.98  # of a sound: who misses less of it hears no difference
_ENDLESS = 0x7FFF_0000  # a length from there on is a placeholder of one who wrote into a pipe
_STEP = 1 << 16  # samples that pass the filters at a time
# For horns: what they cannot play is taken out, quiet speech raised towards loud speech, and what remains above cut off softly.
CHAIN = (("highpass", "f=200"), ("speechnorm", "p=0.95:e=12.5:r=0.0001:l=1"), ("alimiter", "limit=0.85:level=0"))
_PLAIN_PCM = "pcm_s16le,pcm_u8,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw,adpcm_ima_wav,adpcm_ms"
_CODECS = {
    "wav": f"{_PLAIN_PCM},mp3float,mp3",
    "mp3": "mp3float,mp3",
    "flac": "flac",
    "ogg": "libopus,opus,vorbis,flac",
    "aac": "aac",
    "mov": f"aac,alac,{_PLAIN_PCM}",
}
"""What may be decoded out of each container: nothing else that FFmpeg knows is ever started."""
_CONTEXTS = {"PCMA": ("pcm_alaw", None), "PCMU": ("pcm_mulaw", None), "G722": ("g722", _WIDE), "L16": ("pcm_s16be", None)}
"""RTP encoding name → FFmpeg's encoder, and the sampling rate that it wants, if not the clip's (RFC 3551, 4.5)."""


class Refused(Exception):
    """The sound cannot be used: a stable code, and why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    import av  # noqa: F401 -- loaded after the limits are set, and before the first job comes

    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        _allow(CPU_S)
        job = json.loads(line)
        try:
            parts, told = work(source.read(job["size"]), job)
            answer: dict[str, object] = {"ok": True, "sizes": [len(part) for part in parts], **told}
        except Refused as refusal:
            parts, answer = [], {"ok": False, "code": refusal.code, "why": str(refusal)}
        except MemoryError:
            parts, answer = [], {"ok": False, "code": "clip-damaged", "why": "the clip cannot be decoded: it takes too much memory"}
        answers.write(json.dumps(answer).encode() + b"\n" + b"".join(parts))
        answers.flush()


def _allow(seconds: int) -> None:
    """Be killed when the next job takes more than `seconds` of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def work(data: bytes, job: dict[str, Any]) -> tuple[list[bytes], dict[str, object]]:
    """The PCM and the encodings of one sound, and how loud it was and is (LUFS, ITU-R BS.1770). Raises Refused."""
    rate, encodings = job["rate"], job["encodings"]
    wide = any(_CONTEXTS[name][1] for name in encodings)
    pcm, base = decode(data, rate, _WIDE if wide else rate, job["longest_s"])
    before = _loudness(pcm, base) if job["measure"] else None
    if job["level"]:
        pcm = _filtered(pcm, base, CHAIN, base)[0]
    after = _loudness(pcm, base) if job["measure"] and job["level"] else before
    at = {base: pcm}
    for wanted in (rate, *([_WIDE] if wide else [])):
        if wanted not in at:
            at[wanted] = _filtered(pcm, base, (), wanted)[0]
    parts = [at[rate], *(encode(at[_CONTEXTS[name][1] or rate], _CONTEXTS[name][0], _CONTEXTS[name][1] or rate) for name in encodings)]
    return parts, {"lufs": [before, after] if job["measure"] else None}


def container_of(data: bytes) -> tuple[str, bytes]:
    """The demuxer for a sound by its first bytes, and the sound without an ID3 tag.

    FFmpeg is never left to guess, since some formats that it knows open other files. Raises Refused (clip-format).
    """
    for _ in range(_MOST_TAGS):
        if data[:3] != b"ID3" or len(data) <= 10:
            break
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        data = data[10 + size + (10 if data[5] & 0x10 else 0) :]
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav", data
    if data[:4] in (b"fLaC", b"OggS"):
        return ("flac" if data[:4] == b"fLaC" else "ogg"), data
    if data[4:8] == b"ftyp":
        return "mov", data
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        layer = data[1] & 0x06
        if layer or data[1] & 0xF6 == 0xF0:
            return ("mp3" if layer else "aac"), data
    raise Refused("clip-format", "the clip is neither WAV, MP3, FLAC, Ogg, AAC nor M4A")


def decode(data: bytes, rate: int, most: int, longest_s: float) -> tuple[bytes, int]:
    """The sound as PCM, and its rate: `rate`, or up to `most` where it has more. Raises Refused."""
    import av

    kind, data = container_of(data)
    if kind == "wav" and _breaks_off(data):
        raise Refused("clip-damaged", "the file breaks off before its sound ends")
    if kind == "wav" and (plain := _plain_wav(data)) is not None:
        return _in_pieces(*plain, rate, most, longest_s)
    options = {"protocol_whitelist": "", "codec_whitelist": _CODECS[kind]}
    try:
        with av.open(io.BytesIO(data), format=kind, options=options) as container:
            if not container.streams.audio:
                raise Refused("clip-empty", "the clip holds no sound that can be played")
            base = most if _checked(container.streams.audio[0]).rate > rate else rate
            pcm = b"".join(_bounded(_samples(container, base), int(longest_s * base) * 2, longest_s))
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise Refused("clip-damaged", f"the clip cannot be decoded: {error.__class__.__name__}") from error
    if not pcm:
        raise Refused("clip-empty", "the clip holds no sound")
    return pcm, base


def _breaks_off(wav: bytes) -> bool:
    """Whether a good part of the sound that a WAV says to hold is missing; one that was written without knowing its length says nothing."""
    at = 12
    while at + 8 <= len(wav):
        name, size = wav[at : at + 4], int.from_bytes(wav[at + 4 : at + 8], "little")
        if name == b"data":
            return size < _ENDLESS and len(wav) - at - 8 < size * _WHOLE
        at += 8 + size + size % 2
    return False


def _plain_wav(data: bytes) -> tuple[bytes, int] | None:
    """The samples and the rate of a WAV of 16 bit mono, which most are: a third of the time that FFmpeg takes for its small packets."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            if (file.getnchannels(), file.getsampwidth()) == (1, 2) and file.getframerate() in _RATES and file.getnframes():
                pcm = file.readframes(file.getnframes())
                return pcm[: len(pcm) & ~1], file.getframerate()
    except (wave.Error, EOFError):
        pass
    return None


def _in_pieces(pcm: bytes, at_rate: int, rate: int, most: int, longest_s: float) -> tuple[bytes, int]:
    base = most if at_rate > rate else rate
    if len(pcm) / 2 / at_rate > longest_s:
        raise Refused("clip-too-long", f"the clip is longer than {longest_s:g} s")
    if not pcm:
        raise Refused("clip-empty", "the clip holds no sound")
    return (pcm if at_rate == base else _filtered(pcm, at_rate, (), base)[0]), base


def _checked(stream: Any) -> Any:
    """The stream, when it is one that a resampler of bounded size can take."""
    context = stream.codec_context
    if context is None:
        raise Refused("clip-format", "the clip is made with a codec that is not taken")
    if not context.sample_rate:
        raise Refused("clip-damaged", "the clip does not say how fast it is to be played")
    if context.sample_rate not in _RATES or not 1 <= context.channels <= _MOST_CHANNELS:
        raise Refused("clip-format", f"a clip of {context.sample_rate} Hz with {context.channels} channels is not taken")
    return context


def _samples(container: Any, rate: int) -> Iterator[bytes]:
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    for frame in _decoded(container):
        if frame.sample_rate not in _RATES:
            raise Refused("clip-damaged", "the clip changes to a rate that is not taken")
        yield from map(_plain, resampler.resample(frame))
    yield from map(_plain, resampler.resample(None))


def _decoded(container: Any) -> Iterator[Any]:
    """All frames of the first sound. Files often end in padding or a frame that was cut off: a few packets may be damaged."""
    import av

    damaged = 0
    for packet in container.demux(audio=0):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            if damaged > _MOST_DAMAGED:
                raise
            continue
        yield from frames


def _plain(frame: Any) -> bytes:
    """A plane without the padding behind its samples."""
    return bytes(frame.planes[0])[: frame.samples * 2]


def _bounded(pieces: Iterator[bytes], limit: int, longest_s: float) -> Iterator[bytes]:
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise Refused("clip-too-long", f"the clip is longer than {longest_s:g} s")
        yield piece


def _filtered(pcm: bytes, rate: int, filters: Sequence[tuple[str, str]], out_rate: int) -> tuple[bytes, dict[str, str]]:
    """`pcm` after `filters`, at `out_rate`, and what the last filter told of it."""
    from av import filter as avfilter
    from av.error import BlockingIOError as Hungry
    from av.error import EOFError as Ended

    graph = avfilter.Graph()
    last = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))
    shape = ("aformat", f"sample_fmts=s16:channel_layouts=mono:sample_rates={out_rate}")
    for name, arguments in (*filters, shape):
        following = graph.add(name, arguments)
        last.link_to(following)
        last = following
    last.link_to(graph.add("abuffersink"))
    graph.configure()
    out: list[bytes] = []
    told: dict[str, str] = {}
    for frame in (*_frames(pcm, rate), None):
        graph.push(frame)
        try:
            while True:
                ready: Any = graph.pull()
                out.append(_plain(ready))
                told = dict(ready.metadata) or told
        except (Hungry, Ended):
            continue
    return b"".join(out), told


def _frames(pcm: bytes, rate: int) -> Iterator[Any]:
    for at in range(0, len(pcm) // 2, _STEP):
        yield _frame(pcm[2 * at : 2 * (at + _STEP)], rate, at)


def _frame(pcm: bytes, rate: int, at: int) -> Any:
    import av

    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate, frame.pts = rate, at
    frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
    return frame


def _loudness(pcm: bytes, rate: int) -> float | None:
    """Integrated loudness in LUFS; None for what is too short or too quiet to be measured."""
    told = _filtered(pcm, rate, (("ebur128", "metadata=1:framelog=quiet"),), rate)[1]
    measured = float(told.get("lavfi.r128.I", "-70"))
    return round(measured, 1) if measured > -70 else None  # the absolute gate


def encode(pcm: bytes, codec: str, rate: int) -> bytes:
    """`pcm` in a codec whose packets can be put one behind the other."""
    import av

    context: Any = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    return b"".join(bytes(packet) for packet in (*context.encode(_frame(pcm, rate, 0)), *context.encode(None)))


if __name__ == "__main__":
    main()
