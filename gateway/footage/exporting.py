"""Fetching one stretch of footage: replayed packets become pictures and sound, and those MP4 files, hashed on the way.

Runs in the worker process (`worker`). All times here are the recorder's own.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from gateway.drivers.base import MediaPacket, ReplaySession, TrackDescription
from gateway.errors import NotSupported
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Cutter, Stretch
from gateway.media.depacketize import Depacketizer
from gateway.media.sound import SoundTrack, sound_track


async def fetch(
    session: ReplaySession,
    stretch: Stretch,
    report: Callable[[Finished], Awaitable[None]],
    watch: Callable[[Cutter], None] = lambda _: None,
) -> None:
    """Write what `session` replays of `stretch`; `report` each file when it is safe, and go on when that returns. Closes the session.

    A recorder that plays on beyond the end is not listened to any longer. `watch` gets the cutter, by which to see how far it is. Raises
    DeviceErrors and OSError; the file in hand is then dropped, those that were reported stay.
    """
    try:
        writing = _Writing(session.tracks, session.refused, stretch)
        watch(writing.cutter)
        try:
            async for there in session.arrivals():
                while not writing.cutter.over and writing.take(there):
                    for finished in writing.finished():
                        await report(finished)
                if writing.cutter.over:
                    break
            writing.finish()
            for finished in writing.finished():
                await report(finished)
        finally:
            writing.cutter.drop()
    finally:
        await session.close()


class _Writing:
    """What becomes of the packets of a session's tracks. NotSupported when there are no pictures, or such that cannot be kept."""

    def __init__(self, tracks: Sequence[TrackDescription], refused: Sequence[TrackDescription], stretch: Stretch) -> None:
        self._tracks = tracks
        self._seen, track = _video(tracks)
        self._heard, self._sound = _sound(tracks)
        self._left_out: set[str] = set()
        self._refused = _named(track.encoding for track in refused)
        self._depacketizer = Depacketizer(track.encoding)
        self.cutter = Cutter(stretch, track, self._sound)

    def take(self, arrivals: Iterator[tuple[int, MediaPacket]]) -> bool:
        """Packets, each with the index of its track, until files are safe (True) or nothing more is wanted or there (False)."""
        cutter, push = self.cutter, self._depacketizer.push
        for which, packet in arrivals:
            if which == self._seen:
                for unit in push(packet):
                    cutter.add(unit)
            elif self._sound is not None and which == self._heard:
                for piece in self._sound.push(packet):
                    cutter.add_sound(piece)
            else:
                self._left_out.add(self._tracks[which].encoding)
            if cutter.finished or cutter.over:
                return bool(cutter.finished)
        return False

    def finish(self) -> None:
        """No more packets."""
        for unit in self._depacketizer.flush():
            self.cutter.add(unit)
        self.cutter.finish()

    def finished(self) -> Iterator[Finished]:
        """The files that are safe and were not given yet."""
        while self.cutter.finished:
            yield replace(self.cutter.finished.popleft(), sound_left_out=_named(self._left_out), sound_refused=self._refused)


def _named(encodings: Iterable[str]) -> str:
    return ", ".join(sorted(set(encodings)))


def _video(tracks: Sequence[TrackDescription]) -> tuple[int, TrackDescription]:
    for index, track in enumerate(tracks):
        if track.kind == "video":
            return index, track
    raise NotSupported("the recording holds no video", code="no-track")


def _sound(tracks: Sequence[TrackDescription]) -> tuple[int, SoundTrack | None]:
    """The first track that is sound of a kind which a file can hold."""
    found = ((index, sound_track(track)) for index, track in enumerate(tracks) if track.kind == "audio")
    return next(((index, sound) for index, sound in found if sound is not None), (-1, None))
