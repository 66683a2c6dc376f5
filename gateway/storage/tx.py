"""One transaction: the repositories over one connection, and the events and audit rows that belong to what they change."""

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import AuditEntry, NewEvent
from gateway.storage import audit, events
from gateway.storage.alerts import AlertRepository
from gateway.storage.audit import AuditRepository
from gateway.storage.availability import AvailabilityRepository
from gateway.storage.bindings import BindingRepository
from gateway.storage.broadcast_ledger import LedgerRepository
from gateway.storage.broadcast_statistics import StatisticsRepository
from gateway.storage.broadcasts import BroadcastRepository
from gateway.storage.clips import ClipRepository
from gateway.storage.clocks import ClockRepository
from gateway.storage.complaints import ComplaintRepository
from gateway.storage.damage import DamageRepository
from gateway.storage.deliveries import DeliveryRepository
from gateway.storage.discovery import DiscoveryRepository
from gateway.storage.disposal import DisposalRepository
from gateway.storage.excuses import ExcuseRepository
from gateway.storage.footage import FootageRepository
from gateway.storage.footage_documents import DocumentRepository
from gateway.storage.handover import HandOverRepository
from gateway.storage.health import HealthRepository
from gateway.storage.holds import HoldRepository
from gateway.storage.idempotency import IdempotencyRepository
from gateway.storage.imports import ImportRepository
from gateway.storage.incidents import IncidentRepository
from gateway.storage.inventory import InventoryRepository
from gateway.storage.keys import KeyRepository
from gateway.storage.looks import LookRepository
from gateway.storage.maintenance import MaintenanceRepository
from gateway.storage.owed_stops import OwedStopRepository
from gateway.storage.pictures import PictureRepository
from gateway.storage.power import PowerRepository
from gateway.storage.quiet_days import QuietDaysRepository
from gateway.storage.readers import ReaderRepository
from gateway.storage.recordings import RecordingRepository
from gateway.storage.schedules import ScheduleRepository
from gateway.storage.scrubs import ScrubRepository
from gateway.storage.traps import AlarmRepository
from gateway.storage.vault import Vault
from gateway.storage.viewings import ViewingRepository
from gateway.storage.volumes import VolumeRepository
from gateway.storage.work_orders import WorkOrderRepository


class Tx:
    """What a reader or a change holds. It is of use only inside its transaction; a new repository is one line here."""

    def __init__(self, conn: AsyncConnection, vault: Vault, *, writable: bool) -> None:
        self.conn = conn
        self.alarms = AlarmRepository(conn)
        self.alerts = AlertRepository(conn)
        self.audit = AuditRepository(conn)
        self.availability = AvailabilityRepository(conn)
        self.bindings = BindingRepository(conn)
        self.broadcasts = BroadcastRepository(conn)
        self.clips = ClipRepository(conn)
        self.clocks = ClockRepository(conn)
        self.complaints = ComplaintRepository(conn)
        self.damage = DamageRepository(conn)
        self.deliveries = DeliveryRepository(conn)
        self.discovery = DiscoveryRepository(conn)
        self.disposal = DisposalRepository(conn)
        self.documents = DocumentRepository(conn)
        self.excuses = ExcuseRepository(conn)
        self.footage = FootageRepository(conn)
        self.hand_over = HandOverRepository(conn)
        self.health = HealthRepository(conn)
        self.holds = HoldRepository(conn)
        self.idempotency = IdempotencyRepository(conn)
        self.imports = ImportRepository(conn)
        self.incidents = IncidentRepository(conn)
        self.inventory = InventoryRepository(conn, vault)
        self.keys = KeyRepository(conn)
        self.ledger = LedgerRepository(conn)
        self.looks = LookRepository(conn)
        self.power = PowerRepository(conn)
        self.maintenance = MaintenanceRepository(conn)
        self.owed_stops = OwedStopRepository(conn)
        self.pictures = PictureRepository(conn)
        self.quiet_days = QuietDaysRepository(conn)
        self.readers = ReaderRepository(conn)
        self.recordings = RecordingRepository(conn)
        self.schedules = ScheduleRepository(conn)
        self.scrubs = ScrubRepository(conn)
        self.statistics = StatisticsRepository(conn)
        self.viewings = ViewingRepository(conn)
        self.volumes = VolumeRepository(conn)
        self.work_orders = WorkOrderRepository(conn)
        self.emitted: list[dict[str, object]] = []
        self.recorded: list[AuditEntry] = []
        self._writable = writable

    def emit(self, event: NewEvent) -> None:
        """Log `event` in this transaction. InvalidInput for one that cannot be stored."""
        self._only_in_a_change()
        self.emitted.append(events.prepare(event))

    def record(self, entry: AuditEntry) -> None:
        """Put `entry` on the writer's audit chain in this transaction. InvalidInput for one that cannot be stored."""
        self._only_in_a_change()
        self.recorded.append(audit.prepare(entry))

    def _only_in_a_change(self) -> None:
        if not self._writable:
            raise RuntimeError("a reading transaction changes nothing; use Writer.write")
