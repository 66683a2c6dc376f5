"""The parts that watch the devices: the wheel, slow checks, listening, traps."""

from dataclasses import dataclass

from gateway import tuning
from gateway.composition.ground import Ground
from gateway.domain.devices import DeviceId
from gateway.health.album import Album
from gateway.health.asked import AskedVisits
from gateway.health.checks.subject import SlowTools, Tools
from gateway.health.checks.table import SLOW, paced
from gateway.health.diary import Diary
from gateway.health.links import OwnLinks
from gateway.health.listening import Listening, wanted_of
from gateway.health.rounds import Rounds
from gateway.health.service import HealthService
from gateway.health.streams import Streams
from gateway.media.pictures import PictureReader
from gateway.traps.service import TrapService, TrapSettings


@dataclass(frozen=True, slots=True)
class HealthParts:
    """`traps`: None where no port for them is configured."""

    service: HealthService
    album: Album
    listening: Listening
    rounds: Rounds
    visits: AskedVisits
    traps: TrapService | None


def make_health(ground: Ground) -> HealthParts:
    drivers, traps = ground.drivers, ground.config.traps
    service, album = _wheel(ground), Album(ground.store, ground.clock)
    streams = Streams(camera_of=drivers.onvif_of, target_of=drivers.target_of, refusals_of=drivers.refusals_of, clock=ground.clock)
    listening = _listening(ground, service)

    def let_retry(device: DeviceId) -> None:
        drivers.try_again(device)
        streams.forget(device)

    return HealthParts(
        service=service,
        album=album,
        listening=listening,
        rounds=_rounds(ground, service, streams, album, listening),
        visits=AskedVisits(service, ground.store, ground.clock, let_retry),
        traps=None if traps.port is None else _traps(ground, service, traps.port),
    )


def _wheel(ground: Ground) -> HealthService:
    health, drivers = ground.config.health, ground.drivers
    tools = Tools(
        onvif_of=drivers.onvif_of,
        telephone_of=drivers.telephone_of,
        target_of=drivers.target_of,
        sensors=drivers.sensors,
        clock=ground.clock,
        recognise=drivers.recognise,
        echo=drivers.echoes.answered,
        timeout_s=health.timeout_s,
        clock_limit_s=health.clock_limit_s,
    )
    return HealthService(
        city=ground.city,
        board=ground.board,
        store=ground.store,
        tools=tools,
        limits=tuning.limits(health),
        pace=tuning.pace(health),
        limits_of=tuning.limits_by_kind(health),
        links=OwnLinks(health.own_links, ground.clock),
    )


def _listening(ground: Ground, service: HealthService) -> Listening:
    listen = ground.config.health.listen
    return Listening(
        wanted_of(listen.to, listen.devices, at_most=listen.at_most),
        city=ground.city,
        board=ground.board,
        clock=ground.clock,
        events_of=ground.drivers.events_of,
        report=service.report,
        complains=service.complains,
    )


def _rounds(ground: Ground, service: HealthService, streams: Streams, album: Album, listening: Listening) -> Rounds:
    health = ground.config.health
    tools = SlowTools(
        clock=ground.clock,
        city=ground.city,
        board=ground.board,
        streams=streams,
        pictures=PictureReader(),
        album=album,
        target_of=ground.drivers.target_of,
        recorder_of=ground.drivers.onvif_of,
        sensors=ground.drivers.sensors,
        diary=Diary(ground.store),
        silent_s=listening.silent_s,
        complains=service.complains,
        events_within_s=health.listen.silent_s,
        picture_within_s=health.picture_within_s,
        recording_lag_s=health.recording_lag_s,
        retention_days=health.retention_days,
        zone=ground.zone,
    )
    settings = {name: check.model_dump(exclude_none=True) for name, check in health.checks}
    checks = {name: paced(slow, settings[name]) for name, slow in SLOW.items()}
    return Rounds(checks, tools=tools, report=service.report, withdraw=service.withdraw, lagged_since=service.lagged_since)


def _traps(ground: Ground, service: HealthService, port: int) -> TrapService:
    traps = ground.config.traps
    return TrapService(
        TrapSettings(port, traps.host, traps.buffer_bytes, traps.per_device_s, traps.burst),
        city=ground.city,
        board=ground.board,
        store=ground.store,
        clock=ground.clock,
        folder=ground.config.data_dir,
        target_of=ground.drivers.target_of,
        rules_of=ground.drivers.traps_of,
        report=service.report,
        visit=service.check_now,
    )
