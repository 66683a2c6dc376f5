"""The parts that make of states what people have to do, and how well the city did: incidents, maintenance, work orders, reports."""

from dataclasses import dataclass

from gateway import tuning
from gateway.composition.ground import Ground, fresh
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId
from gateway.domain.work_orders import WorkOrderId
from gateway.health.service import HealthService
from gateway.incidents.maintenance import MaintenanceDesk
from gateway.incidents.pictures import PictureFolder
from gateway.incidents.service import IncidentService
from gateway.incidents.work_orders import WorkOrderDesk
from gateway.reports.kinds import load_kinds, shipped_kinds
from gateway.reports.service import ReportService


@dataclass(frozen=True, slots=True)
class IncidentParts:
    service: IncidentService
    maintenance: MaintenanceDesk
    work_orders: WorkOrderDesk
    reports: ReportService


def make_incidents(ground: Ground, health: HealthService) -> IncidentParts:
    config, store, city, clock = ground.config, ground.store, ground.city, ground.clock
    maintenance = MaintenanceDesk(store=store, city=city, clock=clock, new_id=lambda: WindowId(fresh("M")))
    return IncidentParts(
        service=IncidentService(
            store=store,
            city=city,
            board=ground.board,
            circumstances=ground.circumstances,
            maintenance=maintenance,
            clock=clock,
            suspects=health.suspects,
            visit=health.check_now,
            new_id=lambda: IncidentId(fresh("I")),
            rules=tuning.incidents(config),
        ),
        maintenance=maintenance,
        work_orders=WorkOrderDesk(
            store=store,
            city=city,
            clock=clock,
            agreement=tuning.agreement(config.work_orders, ground.zone),
            pictures=PictureFolder(config.data_dir / "work-orders"),
            new_id=lambda: WorkOrderId(fresh("W")),
        ),
        reports=ReportService(
            store=store,
            city=city,
            clock=clock,
            zone=ground.zone,
            kinds=load_kinds(config.reports.excuses_file or shipped_kinds()),
            site=config.reports.heading,
        ),
    )
