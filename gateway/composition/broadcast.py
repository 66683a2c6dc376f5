"""The parts of a voice in the street: sounds, orders, schedules, live voices, and the record of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gateway import tuning
from gateway.api.orders import authority_of
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.holidays_file import load_holidays
from gateway.broadcast.hours import HoursDesk
from gateway.broadcast.kept import clips_ahead
from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.ledger import LedgerDesk
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pictures import PictureDesk
from gateway.broadcast.recordings import RecordingShelf
from gateway.broadcast.schedules import ScheduleDesk
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.speech import SpeechDesk
from gateway.broadcast.statistics import StatisticsDesk
from gateway.broadcast.talk import TalkDesk
from gateway.broadcast.verification import verification
from gateway.broadcast.warmup import WarmUp
from gateway.broadcast.zonecast import Multicasting
from gateway.composition.ground import Ground, fresh
from gateway.control.captures import CaptureDesk
from gateway.domain.broadcast import ClipId
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.domain.schedules import NO_HOLIDAYS, OWN_IDS, ScheduleId
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.multicast import MulticastManner, MulticastSession
from gateway.media.clips import ClipPreparer, Leveller
from gateway.media.speech import load_engine
from gateway.storage.store import Tx


@dataclass(frozen=True, slots=True)
class BroadcastParts:
    shelf: ClipShelf
    sounds: SoundDesk
    hours: HoursDesk
    pacer: ChildPacer
    service: BroadcastService
    recordings: RecordingShelf
    pictures: PictureDesk
    schedules: ScheduleDesk
    ledger: LedgerDesk
    statistics: StatisticsDesk
    talks: TalkDesk
    warm_up: WarmUp


def make_broadcast(ground: Ground, captures: CaptureDesk) -> BroadcastParts:
    config, store, city, clock = ground.config, ground.store, ground.city, ground.clock
    shelf, pacer = _shelf(ground), ChildPacer(clock)
    ground.drivers.bequeath_to(pacer.inherit)
    sounds = _sounds(ground, shelf)
    hours = HoursDesk(config.broadcast.hours_file, store=store, city=city, clock=clock, timezone=ground.zone, new_id=lambda: fresh("Q"))
    service = _service(ground, sounds, hours, pacer)
    recordings = RecordingShelf(store, config.data_dir / "recordings", clock, keep_for=timedelta(days=config.broadcast.recordings_days))
    return BroadcastParts(
        shelf=shelf,
        sounds=sounds,
        hours=hours,
        pacer=pacer,
        service=service,
        recordings=recordings,
        pictures=_pictures(ground, captures),
        schedules=_schedules(ground, service, sounds, hours),
        ledger=LedgerDesk(store=store, clock=clock, city=city, broadcasts=service),
        statistics=StatisticsDesk(store=store, city=city, timezone=ground.zone),
        talks=TalkDesk(
            broadcasts=service,
            clock=clock,
            bounds=tuning.talk(config.broadcast),
            recordings=recordings if config.broadcast.record_talk else None,
        ),
        warm_up=_warm_up(ground, shelf),
    )


def _shelf(ground: Ground) -> ClipShelf:
    broadcast = ground.config.broadcast

    async def uses(tx: Tx, clip: ClipId) -> Sequence[str]:
        """What beside broadcasts needs a clip of the library."""
        chime = ["broadcast.chime_clip"] if clip == broadcast.chime_clip else []
        return [*chime, *(f"schedule {schedule}" for schedule in await tx.schedules.of_clip(clip))]

    return ClipShelf(
        ground.store,
        ground.config.data_dir / "clips",
        ClipPreparer(longest_s=broadcast.clip_max_s),
        ground.clock,
        most_bytes=broadcast.clips_mib << 20,
        uses=uses,
    )


def _sounds(ground: Ground, shelf: ClipShelf) -> SoundDesk:
    broadcast = ground.config.broadcast
    speech = SpeechDesk(
        load_engine(broadcast.speech_engine, longest_s=broadcast.clip_max_s),
        Leveller(longest_s=broadcast.clip_max_s),
        KeptSounds(ground.config.data_dir / "speech", most_bytes=broadcast.speech_mib << 20),
        ground.clock,
    )
    chime = ClipId(broadcast.chime_clip) if broadcast.chime_clip else None
    return SoundDesk(shelf, speech, chime_clip=chime, ahead=True)


def _service(ground: Ground, sounds: SoundDesk, hours: HoursDesk, pacer: ChildPacer) -> BroadcastService:
    broadcast, drivers = ground.config.broadcast, ground.drivers
    return BroadcastService(
        store=ground.store,
        city=ground.city,
        board=ground.board,
        clock=ground.clock,
        sounds=sounds,
        speaker_of=drivers.speaker_of,
        verify=verification(
            city=ground.city,
            board=ground.board,
            clock=ground.clock,
            identity_of=drivers.identity_of,
            is_telephone=drivers.is_telephone,
            quirks_of=drivers.quirks_of,
        ),
        rules=tuning.broadcasts(broadcast),
        hours=lambda: hours.hours,
        volume_of=lambda speaker: None if drivers.is_telephone(speaker) else drivers.volume_of(speaker),
        manner=tuning.manner(broadcast),
        circumstances=ground.circumstances,
        pacer=pacer,
        multicasting=Multicasting(
            listens=lambda speaker: SpeakerPath.MULTICAST in drivers.target_of(speaker).speaker.paths,
            open=partial(MulticastSession, manner=MulticastManner(str(broadcast.multicast_interface or ""), broadcast.multicast_ttl)),
        ),
    )


def _schedules(ground: Ground, service: BroadcastService, sounds: SoundDesk, hours: HoursDesk) -> ScheduleDesk:
    broadcast = ground.config.broadcast
    return ScheduleDesk(
        store=ground.store,
        city=ground.city,
        clock=ground.clock,
        broadcasts=service,
        sounds=sounds,
        hours=lambda: hours.hours,
        holidays=load_holidays(broadcast.holidays_file) if broadcast.holidays_file else NO_HOLIDAYS,
        authority_of=partial(authority_of, ground.store, ground.city, ground.clock),
        new_id=lambda: ScheduleId(fresh(OWN_IDS.rstrip("-"))),
        rules=tuning.schedules(broadcast),
    )


def _pictures(ground: Ground, captures: CaptureDesk) -> PictureDesk:
    async def take(camera: DeviceId, case: str, actor: Actor) -> bytes:
        return (await captures.take(camera, profile=None, case=case, actor=actor, looked_at=False)).picture

    def shown(camera: DeviceId, within: timedelta) -> tuple[bytes, datetime] | None:
        capture = captures.latest(camera, within=within)
        return None if capture is None else (capture.picture, capture.at)

    folder = ground.config.data_dir / "broadcast-pictures"
    rules = tuning.pictures(ground.config.broadcast)
    return PictureDesk(store=ground.store, clock=ground.clock, folder=folder, take=take, shown=shown, rules=rules)


def _warm_up(ground: Ground, shelf: ClipShelf) -> WarmUp:
    drivers = ground.drivers
    return WarmUp(city=ground.city, clock=ground.clock, speaker_of=drivers.speaker_of, ahead=partial(clips_ahead, shelf), load=drivers.warm)
