"""What hangs on which switch port: the inventory's word beside what the switches themselves tell."""

from pydantic import Field

from gateway.api.models import Ident, Input, Instant, Output, Page, PageQuery, Text
from gateway.api.paging import page_by_id
from gateway.api.routes.inventory import ImportOut
from gateway.api.routing import Call, Routes
from gateway.api.runs import RunOut, run_out
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.uplinks import Doubt, Evidence, Status, Verdict
from gateway.errors import Conflict, InvalidInput, NotFound

routes = Routes("uplinks", "Which switch port each device hangs on, proposed from LLDP and bridge tables and never applied by itself.")


class ProposedOut(Output):
    """Where a device hangs, by what the switches saw."""

    uplink: str
    port: int | None = Field(description="The switch's port, as its bridge numbers it; null when only the other end of the cable told.")
    evidence: list[Evidence]


class UplinkOut(Output):
    """One device's uplink in the inventory, and what the switches say of it."""

    device: str
    kind: DeviceKind
    name: str
    group: str | None
    uplink: str | None = Field(description="What the inventory says.")
    uplink_port: int | None
    proposed: ProposedOut | None
    status: Status
    reason: Doubt = Field(description="Why nothing is proposed; empty otherwise.")


class UplinkPage(Page[UplinkOut]):
    """One page of uplinks, by device."""

    surveyed_at: Instant | None = Field(default=None, description="When the switches were asked; null when they were not since the start.")


class UplinkQuery(PageQuery):
    """Which of them."""

    status: Status | None = None
    kind: DeviceKind | None = None
    group: str | None = Field(default=None, max_length=128)
    switch: str | None = Field(default=None, max_length=128, description="What hangs on it, by the inventory or by its own word.")


class AcceptIn(Input):
    """Which proposals to take."""

    devices: list[Ident] | None = Field(
        default=None,
        min_length=1,
        max_length=20_000,
        description="Their devices; without, all with status `proposed`. What contradicts the inventory is taken only by name.",
    )
    comment: Text = Field(default="", description="Why; it goes into the audit record.")
    dry_run: bool = Field(default=False, description="Show what would change, and change nothing.")


@routes.op("GET", "/v1/uplinks", needs=Permission.INVENTORY_READ)
async def list_uplinks(call: Call, query: UplinkQuery) -> UplinkPage:
    """The uplink of every device, by id: agreed, proposed, contradicted or unknown."""
    uplinks, city = call.services.uplinks, call.services.city
    verdicts = await uplinks.verdicts()
    fitting = [verdict for verdict in verdicts.values() if verdict.device in city.devices]
    fitting = [verdict for verdict in fitting if _fits(city.devices[verdict.device], verdict, query)]
    found, following = page_by_id(iter(fitting), query, key=lambda verdict: verdict.device)
    items = [_out(city.devices[verdict.device], verdict) for verdict in found]
    return UplinkPage(items=items, next=following, surveyed_at=uplinks.surveyed_at)


@routes.op("POST", "/v1/uplinks/surveys", needs=Permission.INVENTORY_WRITE, status=202, problems=(Conflict,))
async def start_survey(call: Call) -> RunOut:
    """Ask all switches for their neighbours, some at a time; look at the run to see how far it is."""
    return run_out(call.services.uplinks.start(by=call.caller.actor))


@routes.op("GET", "/v1/uplinks/surveys/{run_id}", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def read_survey(call: Call) -> RunOut:
    """How far a survey is."""
    return run_out(call.services.uplinks.run_of(call.path("run_id")))


@routes.op(
    "POST",
    "/v1/uplinks/proposals/accept",
    needs=Permission.INVENTORY_WRITE,
    problems=(InvalidInput, Conflict),
    repeatable=True,
)
async def accept_uplinks(call: Call, body: AcceptIn) -> ImportOut:
    """Take proposed uplinks into the inventory: an import of just those, all or nothing."""
    wanted = None if body.devices is None else [DeviceId(device) for device in body.devices]
    verdicts = await call.services.uplinks.verdicts()
    meant = wanted or [verdict.device for verdict in verdicts.values() if verdict.status is Status.PROPOSED]
    must_reach(call.caller.key, (device for device in meant if device in call.services.city.devices), call.services.city)
    done, _ = await call.services.uplinks.accept(meant or None, actor=call.caller.actor, comment=body.comment, dry_run=body.dry_run)
    return ImportOut(applied=done.applied, file=done.file, counts=done.diff.counts(), lines=list(done.diff.lines(most=1_000)))


def _fits(device: Device, verdict: Verdict, query: UplinkQuery) -> bool:
    proposed = verdict.proposal.uplink if verdict.proposal else None
    return (
        (query.status is None or verdict.status is query.status)
        and (query.kind is None or device.kind is query.kind)
        and (query.group is None or device.group == query.group)
        and (query.switch is None or query.switch in (device.uplink, proposed))
    )


def _out(device: Device, verdict: Verdict) -> UplinkOut:
    proposal = verdict.proposal
    return UplinkOut(
        device=device.id,
        kind=device.kind,
        name=device.name,
        group=device.group,
        uplink=device.uplink,
        uplink_port=device.uplink_port,
        proposed=ProposedOut(uplink=proposal.uplink, port=proposal.port, evidence=list(proposal.evidence)) if proposal else None,
        status=verdict.status,
        reason=verdict.doubt,
    )
