"""The parts of footage: requests, coverage, what is held, and the pictures to find a minute by."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gateway import tuning
from gateway.composition.ground import Ground, fresh
from gateway.domain.devices import DeviceId
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk
from gateway.footage.fetching import Fetching
from gateway.footage.holds import HoldDesk
from gateway.footage.looks import Looks
from gateway.footage.precautions import Precautions
from gateway.footage.register import load_register, shipped_register
from gateway.footage.scrubbing import Scrubber
from gateway.footage.securing import EvidenceStore, Securing
from gateway.footage.service import FootageService
from gateway.footage.space import Space
from gateway.footage.strips import StripDesk


@dataclass(frozen=True, slots=True)
class FootageParts:
    service: FootageService
    looks: Looks
    coverage: CoverageDesk
    securing: Securing
    holds: HoldDesk
    precautions: Precautions | None
    scrubber: Scrubber | None
    strips: StripDesk


def make_footage(ground: Ground, *, slowed: Callable[[DeviceId], bool]) -> FootageParts:
    """`slowed`: whether a device answers more slowly than it does as a rule."""
    store, city, board, clock, drivers = ground.store, ground.city, ground.board, ground.clock, ground.drivers
    clocks = KnownClocks(store, board)
    looks = Looks(store=store, city=city, board=board, clock=clock)
    coverage = CoverageDesk(city=city, clock=clock, clocks=clocks, looks=looks, keeper_of=drivers.onvif_of)
    space = Space(ground.config.data_dir, floor=ground.config.footage.keep_free_mib << 20)
    service = _service(ground, coverage, space, slowed)
    securing, holds = _holds(ground, service, coverage, space)
    return FootageParts(
        service=service,
        looks=looks,
        coverage=coverage,
        securing=securing,
        holds=holds,
        precautions=_precautions(ground, holds),
        scrubber=_scrubber(ground, service),
        strips=StripDesk(
            store=store,
            city=city,
            clocks=clocks,
            clock=clock,
            turn=service.turn,
            source_of=drivers.onvif_of,
            target_of=drivers.target_of,
        ),
    )


def _service(ground: Ground, coverage: CoverageDesk, space: Space, slowed: Callable[[DeviceId], bool]) -> FootageService:
    config, footage, drivers = ground.config, ground.config.footage, ground.drivers
    return FootageService(
        store=ground.store,
        city=ground.city,
        board=ground.board,
        clock=ground.clock,
        register=load_register(footage.register_file or shipped_register()),
        search_of=drivers.onvif_of,
        target_of=drivers.target_of,
        new_id=lambda: fresh("F"),
        fetching=Fetching(
            config.data_dir / "footage",
            config.data_dir / "evidence",
            space,
            segment=timedelta(minutes=footage.segment_minutes),
            exports=footage.workers,
            bytes_per_s=tuning.holds(footage).bytes_per_s,
        ),
        evidence=_evidence_store(ground),
        rules=tuning.footage(footage),
        destinations=tuning.destinations(footage),
        retries=tuning.retries(footage),
        slowed=slowed,
        cards=coverage,
    )


def _holds(ground: Ground, service: FootageService, coverage: CoverageDesk, space: Space) -> tuple[Securing, HoldDesk]:
    rules = tuning.holds(ground.config.footage)
    securing = Securing(
        store=ground.store,
        city=ground.city,
        clock=ground.clock,
        coverage=coverage,
        space=space,
        evidence=_evidence_store(ground),
        turn=service.turn,
        source_of=ground.drivers.onvif_of,
        target_of=ground.drivers.target_of,
        bytes_per_s=rules.bytes_per_s,
    )
    desk = HoldDesk(
        store=ground.store,
        clock=ground.clock,
        coverage=coverage,
        space=space,
        new_id=lambda: fresh("H"),
        stir=securing.stir,
        rules=rules,
    )
    return securing, desk


def _precautions(ground: Ground, holds: HoldDesk) -> Precautions | None:
    """None where the operator wants nothing held before somebody has approved it, or asked for it."""
    footage = ground.config.footage
    if not (footage.hold_unapproved and footage.hold_waiting):
        return None
    return Precautions(
        store=ground.store,
        clock=ground.clock,
        holds=holds,
        decide_for=timedelta(days=footage.decision_days),
        longest=tuning.holds(footage).longest,
    )


def _scrubber(ground: Ground, service: FootageService) -> Scrubber | None:
    """None where the operator wants nothing read again."""
    rules = tuning.scrubs(ground.config.footage)
    return service.scrubber(rules) if rules.every else None


def _evidence_store(ground: Ground) -> EvidenceStore:
    return EvidenceStore(ground.config.data_dir / "holds", segment=timedelta(minutes=ground.config.footage.segment_minutes))
