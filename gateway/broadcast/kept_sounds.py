"""Sounds that were made once and may be wanted again: files by key, checked when read, the longest unused gone first."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import structlog

from gateway.media.clips import PreparedClip
from gateway.storage.shelf import replace_file

log = structlog.get_logger()

MOST_BYTES = 256 << 20


class KeptSounds:
    """A folder that never takes more than `most_bytes`. What is lost or damaged there is made again: nothing depends on it."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def read(self, key: str) -> PreparedClip | None:
        """What was kept under `key` (hexadecimal); None when there is nothing, or nothing sound."""
        path = self._folder / key
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        sound = _unpacked(data)
        if sound is None:
            log.warning("speech.kept_sound_damaged", key=key)
            path.unlink(missing_ok=True)
        return sound

    def keep(self, key: str, sound: PreparedClip) -> None:
        """Have `sound` on the disk, and make room for it. OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = _packed(sound)
        if len(data) <= self._most_bytes:
            self._make_room(self._most_bytes - len(data))
            replace_file(self._folder / key, data)

    def _make_room(self, most: int) -> None:
        files = sorted(((entry.stat(), entry.path) for entry in os.scandir(self._folder)), key=lambda file: file[0].st_mtime_ns)
        total = sum(stat.st_size for stat, _ in files)
        for stat, path in files:
            if total <= most:
                return
            Path(path).unlink(missing_ok=True)
            total -= stat.st_size


def _packed(sound: PreparedClip) -> bytes:
    body = b"".join((sound.pcm, *sound.encodings.values()))
    sizes = {name: len(encoded) for name, encoded in sound.encodings.items()}
    return json.dumps({"sha256": hashlib.sha256(body).hexdigest(), "pcm": len(sound.pcm), "encodings": sizes}).encode() + b"\n" + body


def _unpacked(data: bytes) -> PreparedClip | None:
    line, _, body = data.partition(b"\n")
    try:
        told: dict[str, Any] = json.loads(line)
        if hashlib.sha256(body).hexdigest() != told["sha256"]:
            return None
        at, encodings = told["pcm"], {}
        for name, size in told["encodings"].items():
            encodings[name], at = body[at : at + size], at + size
    except (ValueError, KeyError, TypeError):
        return None
    return PreparedClip(body[: told["pcm"]], encodings)
