"""Fetching one stretch of footage: replayed packets become pictures and sound, and those MP4 files, hashed on the way.

Runs in the worker process (`worker`). All times here are the recorder's own.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from gateway.drivers.base import ReplaySession, TrackDescription
from gateway.errors import NotSupported
from gateway.footage.cutting import Cutter, Finished, Stretch
from gateway.media.depacketize import Depacketizer
from gateway.media.sound import SoundTrack, sound_track


async def fetch(
    session: ReplaySession,
    stretch: Stretch,
    report: Callable[[Finished], Awaitable[None]],
    watch: Callable[[Cutter], None] = lambda _: None,
) -> None:
    """Write what `session` replays of `stretch`; `report` each file when it is safe, and go on when that returns. Closes the session.

    `watch` gets the cutter, by which to see how far it is. Raises DeviceErrors and OSError; the file in hand is then dropped, those that
    were reported stay.
    """
    try:
        index, track = _video(session.tracks)
        heard, sound = _sound(session.tracks)
        left_out = ""
        depacketizer = Depacketizer(track.encoding)
        cutter = Cutter(stretch, track, sound)
        watch(cutter)
        try:
            async for which, packet in session.packets():
                if which == index:
                    for unit in depacketizer.push(packet):
                        cutter.add(unit)
                elif sound is not None and which == heard:
                    for piece in sound.push(packet):
                        cutter.add_sound(piece)
                elif sound is None:
                    left_out = session.tracks[which].encoding
                while cutter.finished:
                    await report(replace(cutter.finished.popleft(), sound_left_out=left_out))
            for unit in depacketizer.flush():
                cutter.add(unit)
            cutter.finish()
            while cutter.finished:
                await report(replace(cutter.finished.popleft(), sound_left_out=left_out))
        finally:
            cutter.drop()
    finally:
        await session.close()


def _video(tracks: Sequence[TrackDescription]) -> tuple[int, TrackDescription]:
    for index, track in enumerate(tracks):
        if track.kind == "video":
            return index, track
    raise NotSupported("the recording holds no video", code="no-track")


def _sound(tracks: Sequence[TrackDescription]) -> tuple[int, SoundTrack | None]:
    """The first track that is sound of a kind which a file can hold."""
    found = ((index, sound_track(track)) for index, track in enumerate(tracks) if track.kind == "audio")
    return next(((index, sound) for index, sound in found if sound is not None), (-1, None))
