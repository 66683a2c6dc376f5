"""Looking for devices in the network, and deciding on what was found."""

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.api.models import Ident, Input, Instant, Output, Page, PageQuery, Text
from gateway.api.paging import page_by_id
from gateway.api.routes.inventory import ImportOut
from gateway.api.routing import Call, Routes
from gateway.api.runs import RunOut, run_out
from gateway.api.scopes import must_reach, must_reach_group
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceKind
from gateway.domain.discovery import Kind
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.storage.discovery import Proposal, ProposalState

routes = Routes("discovery", "Devices that answer in the network and that the inventory does not have, or has elsewhere.")


def _network(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an IPv4 range such as 10.1.0.0/16")  # pydantic asks for ValueError
    return value


Range = Annotated[IPv4Network, BeforeValidator(_network), WithJsonSchema({"type": "string", "examples": ["10.1.0.0/24"]})]


class RunIn(Input):
    """Where to look, within what the configuration allows."""

    ranges: list[Range] | None = Field(default=None, max_length=256, description="Parts of `discovery.ranges`; without, all of them.")
    multicast: bool = Field(default=True, description="Probe by multicast, too, from `discovery.multicast_from`.")
    identify: bool = Field(default=True, description="Ask strangers who they are, with the log-ins that the configuration has for them.")


class SightingOut(Output):
    """What answered, and what it said of itself: text from the device, not to be believed."""

    address: str
    reference: str = Field(description="Its WS-Discovery endpoint reference.")
    port: int = Field(description="Where it says that ONVIF is; 0 for nowhere.")
    name: str
    kind: DeviceKind | None = Field(description="What it seems to be.")
    vendor: str
    model: str
    firmware: str
    serial: str
    macs: list[str]
    description: str = Field(description="What it says of itself by SNMP.")
    logins: list[str] = Field(description="The log-ins that it took, by the names that the configuration has for them.")
    trouble: str = Field(description="Why it was not asked who it is, or did not say.")


class ProposalOut(Output):
    """Something that was found, and what it would change."""

    id: str
    kind: Kind
    state: ProposalState
    settled: bool = Field(description="Whether the inventory is as proposed already, so that there is nothing to decide any more.")
    device: str | None = Field(description="The known device that it is about.")
    changes: dict[str, str] = Field(description="Fields as an import file calls them, with their new values.")
    recognised_by: list[str] = Field(description="endpoint, serial, mac.")
    others: list[str] = Field(description="Devices and addresses that have to do with it.")
    seen: SightingOut
    first_seen: Instant
    last_seen: Instant
    run: str = Field(description="The run that found it last.")
    decided_by: str
    decided_at: Instant | None
    comment: str


class ProposalPage(Page[ProposalOut]):
    """One page of proposals, by id."""


class ProposalQuery(PageQuery):
    """Which of them: without filters, those that can be decided on."""

    state: ProposalState = ProposalState.OPEN
    kind: Kind | None = None
    settled: bool = Field(default=False, description="Those that the inventory has overtaken, too.")


class AcceptIn(Input):
    """What to take, and what only a person knows of it."""

    values: dict[str, str | bool | int | float] = Field(
        default_factory=dict, max_length=64, description="Fields as an import file calls them; a new device needs `id` and `name` at least."
    )
    comment: Text = Field(default="", description="Why; it goes into the audit record.")
    dry_run: bool = Field(default=False, description="Show what would change, and change nothing.")


class AcceptManyIn(Input):
    """Which proposals to take together, as two devices that swapped their addresses must be."""

    ids: list[Ident] = Field(min_length=1, max_length=5_000)
    comment: Text = ""
    dry_run: bool = False


class DismissIn(Input):
    """Why it is put aside."""

    comment: Text = ""


@routes.op("POST", "/v1/discovery/runs", needs=Permission.INVENTORY_WRITE, status=202, problems=(InvalidInput, Conflict), repeatable=True)
async def start_discovery(call: Call, body: RunIn) -> RunOut:
    """Look for devices; nothing outside the ranges of the configuration is sent a packet."""
    searches = call.services.searches
    return run_out(searches.start(by=call.caller.actor, ranges=body.ranges, multicast=body.multicast, identify=body.identify))


@routes.op("GET", "/v1/discovery/runs/{run_id}", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def read_discovery(call: Call) -> RunOut:
    """How far a search is."""
    return run_out(call.services.searches.run_of(call.path("run_id")))


@routes.op("GET", "/v1/discovery/proposals", needs=Permission.INVENTORY_READ)
async def list_proposals(call: Call, query: ProposalQuery) -> ProposalPage:
    """What was found, by id."""
    fitting = [
        (proposal, applies)
        for proposal, applies in await call.services.searches.proposals()
        if proposal.state is query.state and query.kind in (None, proposal.finding.kind) and (applies or query.settled)
    ]
    found, following = page_by_id(iter(fitting), query, key=lambda item: item[0].id)
    return ProposalPage(items=[_out(proposal, settled=not applies) for proposal, applies in found], next=following)


@routes.op(
    "POST",
    "/v1/discovery/proposals/accept",
    needs=Permission.INVENTORY_WRITE,
    problems=(InvalidInput, NotFound, Conflict),
    repeatable=True,
)
async def accept_proposals(call: Call, body: AcceptManyIn) -> ImportOut:
    """Take several proposals about known devices: one import, all or nothing."""
    return await _accept(call, body.ids, {}, comment=body.comment, dry_run=body.dry_run)


@routes.op(
    "POST",
    "/v1/discovery/proposals/{proposal_id}/accept",
    needs=Permission.INVENTORY_WRITE,
    problems=(InvalidInput, NotFound, Conflict),
    repeatable=True,
)
async def accept_proposal(call: Call, body: AcceptIn) -> ImportOut:
    """Take a proposal into the inventory: an import of one row, which is what is proposed with your values over it."""
    values = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in body.values.items()}
    return await _accept(call, [call.path("proposal_id")], values, comment=body.comment, dry_run=body.dry_run)


@routes.op(
    "POST", "/v1/discovery/proposals/{proposal_id}/dismiss", needs=Permission.INVENTORY_WRITE, problems=(NotFound, Conflict), status=204
)
async def dismiss_proposal(call: Call, body: DismissIn) -> None:
    """Put a proposal aside; found again, it stays aside."""
    proposal = await call.services.searches.find(call.path("proposal_id"))
    _must_reach(call, proposal, {})
    await call.services.searches.dismiss([proposal.id], actor=call.caller.actor, comment=body.comment)


async def _accept(call: Call, ids: list[str], values: dict[str, str], *, comment: str, dry_run: bool) -> ImportOut:
    for proposal_id in ids:
        _must_reach(call, await call.services.searches.find(proposal_id), values)
    done = await call.services.searches.accept(ids, values, actor=call.caller.actor, comment=comment, dry_run=dry_run)
    return ImportOut(applied=done.applied, file=done.file, counts=done.diff.counts(), lines=list(done.diff.lines(most=1_000)))


def _must_reach(call: Call, proposal: Proposal, values: dict[str, str]) -> None:
    """A key with scopes decides on its own devices, and puts new ones into its own groups."""
    device = proposal.finding.device
    if device is not None:
        must_reach(call.caller.key, [device] if device in call.services.city.devices else [], call.services.city)
    if device is None or "group" in values:
        must_reach_group(call.caller.key, values.get("group", ""), call.services.city)


def _out(proposal: Proposal, *, settled: bool) -> ProposalOut:
    finding, seen = proposal.finding, proposal.finding.sighting
    names = ("address", "reference", "port", "name", "kind", "vendor", "model", "firmware", "serial", "description", "trouble")
    kept = ("id", "state", "first_seen", "last_seen", "run", "decided_by", "decided_at", "comment")
    return ProposalOut(
        **{name: getattr(proposal, name) for name in kept},
        kind=finding.kind,
        settled=settled,
        device=finding.device,
        changes=dict(finding.changes),
        recognised_by=list(finding.by),
        others=list(finding.others),
        seen=SightingOut(**{name: getattr(seen, name) for name in names}, macs=list(seen.macs), logins=list(seen.logins)),
    )
