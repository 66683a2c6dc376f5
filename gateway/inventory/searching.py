"""Looking for devices that the inventory does not have, or has elsewhere: probes, introductions, and proposals that people decide on.

Nothing outside the configured ranges is sent a packet but the multicast group itself. Whoever answers from elsewhere is shown and not
spoken to. Strangers are asked who they are only with log-ins that the configuration has for their address, and never so often that they
could lock themselves. Nothing that is found changes the inventory: taking a proposal is an import.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.discovery import Finding, Kind, Sighting, findings
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.domain.identity import REFERENCE_CHANGES, hardware_address
from gateway.domain.quirks import Quirks
from gateway.drivers.onvif.discovery import GROUP, Found, discover, sweep
from gateway.drivers.strangers import Described, Introduced, Login
from gateway.errors import Conflict, Fault, InvalidInput, NotFound
from gateway.inventory.exporting import credentials_row
from gateway.inventory.fields import MAX_TEXT
from gateway.inventory.logins import TrialLogin
from gateway.inventory.raw import Noun, RawFile, RawRow
from gateway.inventory.runs import Errands, Run
from gateway.inventory.service import ImportResult, InventoryService
from gateway.storage.discovery import Proposal, ProposalState, Tries
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

SEARCHED_EVENT: Final = "discovery.ended"
SEARCH: Final = "discovery-run"
TRIES_FOR: Final = timedelta(days=1)
INTRODUCTIONS_AT_ONCE: Final = 8
INTRODUCTION_S: Final = 10.0
SNMP_AT_ONCE: Final = 32
SNMP_S: Final = 3.0
T = TypeVar("T")


class Introductions(Protocol):
    """Who asks strangers who they are."""

    async def by_onvif(self, address: str, port: int, logins: Sequence[Login], *, budget: int, timeout_s: float) -> Introduced: ...

    async def by_snmp(self, address: str, port: int, logins: Sequence[Login], *, timeout_s: float) -> Described | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Where may be looked, how fast, and what may be tried at strangers: as the configuration says."""

    ranges: tuple[IPv4Network, ...] = ()
    multicast_from: tuple[IPv4Address, ...] = ()
    addresses_per_s: float = 100.0
    listen_s: float = 3.0
    attempts: int = 2
    onvif_ports: tuple[int, ...] = (80,)
    snmp_port: int = 161
    probe_port: int = 3702
    logins: Sequence[TrialLogin] = ()

    def allow(self, address: str) -> bool:
        place = IPv4Address(address)
        return any(place in network for network in self.ranges)


class SearchService:
    """Searches on demand, keeps what was found, and takes or dismisses it on somebody's word. `errands`: who carries the searches out."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        inventory: InventoryService,
        errands: Errands,
        strangers: Introductions,
        quirks_of: Callable[[DeviceId], Quirks],
        rules: Rules,
    ) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._inventory = inventory
        self.errands = errands
        self._strangers = strangers
        self._quirks_of = quirks_of
        self._rules = rules
        self._logins = {login.name: login for login in rules.logins}

    # -- searching --------------------------------------------------------------------------------------------------------------------

    def start(self, *, by: Actor, ranges: Collection[IPv4Network] | None = None, multicast: bool = True, identify: bool = True) -> Run:
        """Begin a search in `ranges`, or in all that the configuration allows, and by multicast where it says so.

        InvalidInput: `outside-ranges` for what the configuration does not allow, `discovery-not-configured` when there is nowhere to look.
        Conflict (`run-under-way`) while an errand of the inventory is not done yet.
        """
        wanted = tuple(self._rules.ranges if ranges is None else ranges)
        outside = [place for place in wanted if not any(place.subnet_of(allowed) for allowed in self._rules.ranges)]
        if outside:
            faults = [Fault("/ranges", f"{place} lies in no range of the configuration") for place in outside]
            raise InvalidInput(
                "The configuration does not allow to look there.",
                faults=faults,
                code="outside-ranges",
                hint="discovery.ranges names where.",
            )
        sources = self._rules.multicast_from if multicast else ()
        if not wanted and not sources:
            hint = "Set discovery.ranges or discovery.multicast_from."
            raise InvalidInput("There is nowhere to look for devices.", code="discovery-not-configured", hint=hint)

        async def work(run: Run) -> None:
            await self._search(run, tuple(collapse_addresses(wanted)), sources, identify=identify)

        return self.errands.start(SEARCH, work, by=by)

    def run_of(self, run_id: str) -> Run:
        """NotFound."""
        return self.errands.get(run_id, SEARCH)

    async def _search(self, run: Run, ranges: Sequence[IPv4Network], sources: Sequence[IPv4Address], *, identify: bool) -> None:
        run.total = _count(ranges) + len(sources)
        found: dict[str, Found] = {}
        for source in sources:
            heard = await discover(self._clock, listen_s=self._rules.listen_s, source=str(source), to=(GROUP[0], self._rules.probe_port))
            run.asked += 1
            found.update({one.address: one for one in heard})
        before = run.asked

        def asked(count: int) -> None:
            run.asked = before + count

        if ranges:
            swept = await sweep(
                self._clock,
                _addresses(ranges),
                per_s=self._rules.addresses_per_s,
                listen_s=self._rules.listen_s,
                port=self._rules.probe_port,
                asked=asked,
            )
            found.update({one.address: one for one in swept})
        run.answered = len(found)
        known = self._taken()
        fickle = {device.address for device in self._city.devices.values() if REFERENCE_CHANGES in self._quirks_of(device.id)}
        sightings = {address: _sighting(one, fickle=address in fickle) for address, one in found.items()}
        if identify:
            await self._introduce([seen for seen in sightings.values() if seen.address not in known], sightings, run)
            await self._ask_agents(ranges, known, sightings, run)
        await self._keep(run, await asyncio.to_thread(findings, list(sightings.values()), self._city.devices))

    async def _introduce(self, strangers: Collection[Sighting], sightings: dict[str, Sighting], run: Run) -> None:
        """Ask strangers who they are, over ONVIF, as far as that is allowed."""
        since = self._clock.now() - TRIES_FOR
        async with self._store.read() as tx:
            tries = {address: one for address, one in (await tx.discovery.tries()).items() if one.since >= since}

        async def introduce(seen: Sighting) -> None:
            sightings[seen.address] = known = await self._introduced(seen, tries.get(seen.address))
            if known.trouble:
                run.trouble(f"{seen.address}: {known.trouble}")

        await _each(strangers, introduce, at_once=INTRODUCTIONS_AT_ONCE, name=run.id)
        await self._write(lambda tx: tx.discovery.forget_tries(since))

    async def _introduced(self, seen: Sighting, tries: Tries | None) -> Sighting:
        logins = [
            Login(login.name, login.credentials)
            for login in self._rules.logins
            if login.over_onvif and login.is_for(seen.address, f"{seen.name} {seen.model}")
        ]
        left = self._rules.attempts - (tries.refused if tries else 0)
        trouble = _why_not(seen, self._rules, logins, left)
        if trouble:
            return replace(seen, trouble=trouble)
        spent = Tries(tries.since if tries else self._clock.now(), self._rules.attempts)
        await self._write(lambda tx: tx.discovery.note_tries(seen.address, spent))
        told = await self._strangers.by_onvif(seen.address, seen.port, logins, budget=left, timeout_s=INTRODUCTION_S)
        refused = Tries(spent.since, self._rules.attempts - left + min(left, told.refused))
        await self._write(lambda tx: tx.discovery.note_tries(seen.address, refused))
        return _with_identity(seen, told)

    async def _ask_agents(self, ranges: Sequence[IPv4Network], known: Collection[str], sightings: dict[str, Sighting], run: Run) -> None:
        """Ask every address that the inventory does not have by SNMP, where a log-in is for it."""
        logins = [login for login in self._rules.logins if login.credentials.snmp is not None]
        if not logins:
            return

        meant = _common(ranges, [place for login in logins for place in login.ranges])
        run.total += _count(meant)

        async def ask(address: str) -> None:
            run.asked += 1
            seen = sightings.get(address)
            said = f"{seen.vendor} {seen.name} {seen.model}" if seen else ""
            mine = [Login(login.name, login.credentials) for login in logins if login.is_for(address, said)]
            if not mine or address in known:
                await asyncio.sleep(0)
                return
            told = await self._strangers.by_snmp(address, self._rules.snmp_port, mine, timeout_s=SNMP_S)
            if told is not None:
                run.answered += seen is None
                sightings[address] = _with_description(seen or Sighting(address), told)

        await _each(_addresses(meant), ask, at_once=SNMP_AT_ONCE, name=run.id)

    async def _keep(self, run: Run, found: Sequence[Finding]) -> None:
        """Put what was found beside what is known of it, and tell."""
        at = self._clock.now()
        async with self._store.read() as tx:
            kept = {proposal.id: proposal for proposal in await tx.discovery.proposals()}
        proposals = [_proposal(finding, kept.get(_id(finding)), run, at) for finding in found]
        run.found.update({kind.value: sum(one.finding.kind is kind for one in proposals) for kind in Kind})

        async def write(tx: Tx) -> None:
            await tx.discovery.put(proposals)
            tx.emit(NewEvent(SEARCHED_EVENT, run.id, at, {"answered": run.answered, **run.found, "by": str(run.by)}))

        await self._write(write)

    # -- deciding ---------------------------------------------------------------------------------------------------------------------

    async def proposals(self) -> Sequence[tuple[Proposal, bool]]:
        """All that are kept, by id, each with whether it would still change something."""
        async with self._store.read() as tx:
            kept = await tx.discovery.proposals()
        taken = self._taken()
        return [(proposal, self._applies(proposal.finding, taken)) for proposal in kept]

    async def find(self, proposal_id: str) -> Proposal:
        """NotFound."""
        async with self._store.read() as tx:
            found = await tx.discovery.find(proposal_id)
        if found is None:
            raise NotFound(f"There is no proposal {proposal_id!r}.", hint="GET /v1/discovery/proposals lists what there is.")
        return found

    async def accept(
        self, ids: Sequence[str], values: Mapping[str, str], *, actor: Actor, comment: str = "", dry_run: bool = False
    ) -> ImportResult:
        """Import what is proposed, with `values` over it: all of it or nothing.

        A new device needs an id and a name at least; it gets the log-ins that it took. NotFound; Conflict (`not-open`) for what is decided,
        settled or a contradiction to look at; InvalidInput, and what an import raises.
        """
        proposals = [await self.find(proposal_id) for proposal_id in dict.fromkeys(ids)]
        taken = self._taken()
        for proposal in proposals:
            if (
                proposal.state is not ProposalState.OPEN
                or proposal.finding.kind is Kind.CONFLICT
                or not self._applies(proposal.finding, taken)
            ):
                raise Conflict(f"{proposal.id} cannot be taken.", code="not-open", hint="Search again, and look at what is open.")
        rows = [RawRow(Noun.DEVICES, f"proposal {proposal.id}", self._row(proposal.finding, values)) for proposal in proposals]
        name = f"discovery {', '.join(proposal.id for proposal in proposals)}"[:100]
        file = RawFile(nouns=frozenset({Noun.DEVICES}), rows=rows)
        done = await self._inventory.import_rows(file, name, actor=actor, comment=comment, dry_run=dry_run)
        if not dry_run:
            await self._decide(proposals, ProposalState.ACCEPTED, actor=actor, comment=comment)
        return done

    async def dismiss(self, ids: Sequence[str], *, actor: Actor, comment: str = "") -> None:
        """Put proposals aside: found again, they stay so. NotFound; Conflict (`not-open`) for what is decided."""
        proposals = [await self.find(proposal_id) for proposal_id in dict.fromkeys(ids)]
        for proposal in proposals:
            if proposal.state is not ProposalState.OPEN:
                raise Conflict(f"{proposal.id} is decided.", code="not-open")
        await self._decide(proposals, ProposalState.DISMISSED, actor=actor, comment=comment)

    def _row(self, finding: Finding, values: Mapping[str, str]) -> dict[str, Any]:
        if finding.kind is not Kind.NEW:
            if "id" in values:
                raise InvalidInput("The id of a device never changes.", faults=[Fault("/values/id", "is that of the device")])
            return {"id": str(finding.device), **finding.changes, **values}
        row: dict[str, Any] = dict(finding.changes)
        for name in finding.sighting.logins:
            login = self._logins.get(name)
            if login is not None:
                row |= {column: value for column, value in credentials_row(login.credentials, secrets=True).items() if value}
                row |= {"snmp_port": str(self._rules.snmp_port)} if login.credentials.snmp else {}
        return row | dict(values)

    def _taken(self) -> frozenset[str]:
        return frozenset(device.address for device in self._city.devices.values())

    def _applies(self, finding: Finding, taken: Collection[str]) -> bool:
        """Whether the inventory is not yet as a finding would have it."""
        if finding.kind is Kind.CONFLICT:
            return True
        if finding.kind is Kind.NEW:
            return finding.sighting.address not in taken
        device = self._city.devices.get(finding.device) if finding.device else None
        return device is not None and any(getattr(device, column, value) != value for column, value in finding.changes.items())

    async def _decide(self, proposals: Sequence[Proposal], state: ProposalState, *, actor: Actor, comment: str) -> None:
        at, ids = self._clock.now(), [proposal.id for proposal in proposals]

        async def write(tx: Tx) -> None:
            await tx.discovery.decide(ids, state, by=str(actor), at=at, comment=comment)
            for proposal in proposals:
                data = {"kind": proposal.finding.kind, "address": proposal.finding.sighting.address, "comment": comment}
                tx.record(AuditEntry(actor, f"discovery.{state.value}", proposal.id, at, data))

        await self._write(write)

    async def _write(self, change: Callable[[Tx], Awaitable[None]]) -> None:
        await self._store.writer.write(change, lane=Lane.HEALTH)


def _why_not(seen: Sighting, rules: Rules, logins: Sequence[Login], left: int) -> str:
    """Why a stranger is not asked who it is; "" when it may be."""
    if not rules.allow(seen.address):
        return "outside-ranges"
    if seen.port not in rules.onvif_ports:
        return "port-not-allowed"
    if not logins:
        return "no-login"
    return "attempts-spent" if left <= 0 else ""


async def _each(items: Iterable[T], visit: Callable[[T], Awaitable[None]], *, at_once: int, name: str) -> None:
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await visit(item)

    async with asyncio.TaskGroup() as group:
        for number in range(at_once):
            group.create_task(worker(), name=f"{name}-{number}")


def _common(some: Iterable[IPv4Network], others: Sequence[IPv4Network]) -> Sequence[IPv4Network]:
    """What lies in one of `some` and in one of `others`."""
    both = [one if one.subnet_of(other) else other for one in some for other in others if one.overlaps(other)]
    return tuple(collapse_addresses(both))


def _count(ranges: Iterable[IPv4Network]) -> int:
    """How many addresses of machines there are."""
    return sum(place.num_addresses - (2 if place.num_addresses > 2 else 0) for place in ranges)


def _addresses(ranges: Iterable[IPv4Network]) -> Iterator[str]:
    return (str(address) for place in ranges for address in place.hosts())


# -- what was said --------------------------------------------------------------------------------------------------------------------


def _sighting(found: Found, *, fickle: bool) -> Sighting:
    """What a probe brought; the reference of a `fickle` device, which makes itself a new one at each boot, is not worth keeping."""
    said = dict(_scope(scope) for scope in reversed(found.scopes))
    mac = hardware_address(said.get("mac", ""))
    return Sighting(
        found.address,
        "" if fickle else _clean(found.reference),
        found.port,
        name=said.get("name", ""),
        kind=_kind(found.scopes),
        model=said.get("hardware", ""),
        macs=(mac,) if mac else (),
    )


def _scope(scope: str) -> tuple[str, str]:
    """What a scope such as onvif://www.onvif.org/hardware/X is about, and its value (ONVIF Core, 7.3.2.2)."""
    about, _, value = scope.partition("://")[2].partition("/")[2].partition("/")
    return about.casefold(), _clean(unquote(value))


def _clean(text: str) -> str:
    """A device's text as the inventory takes it."""
    return "".join(letter for letter in text if letter.isprintable())[:MAX_TEXT].strip()


def _kind(scopes: Iterable[str]) -> DeviceKind | None:
    """What a device seems to be, by the types of its scopes."""
    types = {value.casefold().replace("_", "") for about, value in map(_scope, scopes) if about == "type"}
    if "networkvideostorage" in types:
        return DeviceKind.RECORDER
    if types & {"videoencoder", "networkvideotransmitter", "ptz"}:
        return DeviceKind.CAMERA
    return DeviceKind.SPEAKER if "audiodecoder" in types else None


def _with_identity(seen: Sighting, told: Introduced) -> Sighting:
    reference = "" if told.reference_changes else seen.reference
    if told.identity is None:
        return replace(seen, reference=reference, trouble=told.trouble or "no-answer")
    who = told.identity
    return replace(
        seen,
        reference=reference,
        vendor=_clean(who.manufacturer),
        model=_clean(who.model) or seen.model,
        firmware=_clean(who.firmware),
        serial="" if told.serial_shared else _clean(who.serial),
        macs=told.macs or seen.macs,
        logins=(told.login,),
    )


def _with_description(seen: Sighting, told: Described) -> Sighting:
    return replace(
        seen,
        name=seen.name or told.name,
        kind=told.kind or seen.kind,
        description=told.description,
        macs=seen.macs or told.macs,
        logins=(*seen.logins, told.login),
    )


def _id(finding: Finding) -> str:
    return f"P-{hashlib.sha256(finding.key.encode()).hexdigest()[:12]}"


def _proposal(finding: Finding, kept: Proposal | None, run: Run, at: Any) -> Proposal:
    """A finding that was dismissed stays so; one that was taken and is found again is open again."""
    if kept is None or kept.state is ProposalState.ACCEPTED:
        return Proposal(_id(finding), finding, kept.first_seen if kept else at, at, run.id)
    return replace(kept, finding=finding, last_seen=at, run=run.id)
