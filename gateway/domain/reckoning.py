"""What becomes of all incidents at one moment: a pure function of how the city stands, so that it may be asked again at any time.

It is level-triggered: nothing is remembered beside the incidents themselves. What a restart, an import or a lost event has hidden is seen
at the next look, and the order in which devices fell within the window does not matter.

1. Members that are back, gone or better explained elsewhere leave; an incident whose last member leaves has recovered.
2. A device that is down, in no incident and not muted is judged (`causes.Tree`): behind one that has an incident it joins that; undecided
   it waits; a root waits for `settle`, and for neighbours that are silent, as long as those could make it a common cause.
3. Roots reopen the incident that they were in lately, join a common cause that is still at work in their scope, or open their own:
   several of them one, when a scope explains them.
4. Devices that are degraded do likewise, by reason. Where they complain because something on their ports is down, that explains it.
5. Many unknown devices are one incident, "the gateway is blind"; while it lasts nothing else is opened.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from gateway.domain.causes import (
    REACHED,
    Behind,
    Crowd,
    Limits,
    Neighbourhoods,
    Patience,
    ScopeKey,
    Tree,
    Undecided,
    Verdict,
    best_scope,
    mostly,
)
from gateway.domain.circumstances import Circumstance
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import Board, HealthState, Standing
from gateway.domain.incident_book import Book, Changed
from gateway.domain.incidents import Cause, CauseKind, Incident, IncidentId, IncidentState, Member, Role, Scope
from gateway.domain.maintenance import WindowId
from gateway.domain.severity import Severities

BLINDNESS = frozenset({"gateway-blind", "gateway-lagging"})
GATEWAY_BLIND = "gateway-blind"
COMMON_CAUSE = "common-cause"
PORT_REASONS = ("port-", "link-", "poe-", "sensor-port", "sensor-poe", "trap-link-down")
"""Reasons with which a switch tells that something on its ports is not there."""


@dataclass(frozen=True, slots=True)
class Scene:
    """How everything stands. `suspects`: who is silent and not yet down; `muted`: who is under maintenance, by which window."""

    city: City
    board: Board
    near: Neighbourhoods
    muted: Mapping[DeviceId, WindowId] = field(default_factory=dict)
    suspects: frozenset[DeviceId] = frozenset()
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    severities: Severities = field(default_factory=Severities)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """`visit`: uplinks that ought to be looked at now; `waiting`: who is ill and not decided; `circumstances`: what to show."""

    changed: Sequence[Changed]
    visit: frozenset[DeviceId]
    waiting: frozenset[DeviceId]
    circumstances: Mapping[DeviceId, Circumstance]


def reckon(scene: Scene, incidents: Iterable[Incident], now: datetime, *, new_id: Callable[[], IncidentId]) -> Reckoning:
    """One look. `incidents`: all that are live, were resolved lately, or were resolved by a person with members still ill."""
    look = _Look(scene, incidents, now, new_id)
    look.see_who_is_back()
    look.see_own_blindness()
    if look.blind:
        look.wait()
    else:
        look.see_who_is_down()
        look.see_who_is_degraded()
    look.see_who_has_recovered()
    return look.result()


@dataclass(frozen=True, slots=True)
class _Found:
    """An incident that may be opened: of whom, by which scope (None: of `first` alone), and which young one it grows out of."""

    first: DeviceId
    key: ScopeKey | None
    inside: tuple[DeviceId, ...]
    elder: Incident | None


class _Look:
    """One reckoning under way."""

    def __init__(self, scene: Scene, incidents: Iterable[Incident], now: datetime, new_id: Callable[[], IncidentId]) -> None:
        self.scene = scene
        self.now = now
        self.book = Book(incidents, city=scene.city, board=scene.board, severities=scene.severities, now=now, new_id=new_id)
        self.before_home = dict(self.book.home)
        self.unwell = [one for one in scene.board if one.state is not HealthState.UP and self._enabled(one.device)]
        self.down = {one.device: one for one in self.unwell if one.state is HealthState.DOWN}
        self.tree = Tree(scene.city, scene.board, self._fallen)
        self.visit: set[DeviceId] = set()
        self.waiting: set[DeviceId] = set()
        self.undecided: list[DeviceId] = []  # who waits to know whether its uplink lives
        self.behind: dict[DeviceId, DeviceId] = {}
        self._verdicts: dict[DeviceId, Verdict] = {}
        self._lately = _lately(self.book.before.values())

    # -- who is back

    def see_who_is_back(self) -> None:
        """Let those leave who are back, gone, or explained otherwise."""
        for incident in list(self.book.before.values()):
            for member in list(incident.ill):
                if self._has_left(incident, member):
                    self.book.leave(incident.id, member)

    def _has_left(self, incident: Incident, member: Member) -> bool:
        if not self._enabled(member.device):
            return True
        state = self.scene.board[member.device].state
        if incident.trouble is HealthState.DEGRADED or member.state is HealthState.DEGRADED:
            return state in (HealthState.UP, HealthState.DOWN)
        return state in REACHED or (member.role is Role.EXPLAINED and self._explained_otherwise(incident, member))

    def _explained_otherwise(self, incident: Incident, member: Member) -> bool:
        """Whether what explained a member that is still down does so no more: it is back for some time, or itself in another incident."""
        verdict = self._verdict(member.device)
        if isinstance(verdict, Behind):
            home = self.book.home.get(verdict.root)
            return home is not None and home != incident.id
        chain = (above.id for above in self.scene.city.uplink_chain(member.device))
        back = [until for one in chain if one in incident.members and (until := incident.members[one].until) is not None]
        return self.now - max(back, default=member.since) >= self.scene.patience.grace

    # -- our own blindness

    @property
    def blind(self) -> bool:
        return any(one.live and one.cause.kind is CauseKind.GATEWAY for one in self.book.after.values())

    def see_own_blindness(self) -> None:
        """Open, keep or resolve the one incident of the gateway itself."""
        unseen = sum(one.state is HealthState.UNKNOWN and one.reason in BLINDNESS for one in self.unwell)
        limits = self.scene.limits
        many = max(limits.blind_least, limits.blind_share * len(self.scene.city.devices))
        mine = next((one for one in self.book.after.values() if one.cause.kind is CauseKind.GATEWAY and self._recent(one)), None)
        if mine is not None and mine.live and unseen < many / 2:
            self.book.recover(mine)
        elif mine is not None and mine.live:
            self.book.put(replace(mine, devices=max(mine.devices, unseen)))
        elif unseen >= many and mine is not None:
            if not mine.resolved_by:  # what a person has closed stays closed for a while
                self.book.reopen(mine)
        elif unseen >= many:
            cause = Cause(CauseKind.GATEWAY, name="gateway")
            opened = self.book.opened(cause, HealthState.UNKNOWN, GATEWAY_BLIND)
            severity = self.scene.severities.of(None, HealthState.UNKNOWN, GATEWAY_BLIND, members=unseen)
            self.book.put(replace(opened, devices=unseen, severity=severity))

    def wait(self) -> None:
        """Nothing is opened by somebody who sees nothing."""
        self.waiting.update(self._loose())

    # -- who is down

    def see_who_is_down(self) -> None:
        """Judge who is down and neither in an incident nor muted."""
        roots, hidden = [], []
        for device in self._loose():
            verdict = self._verdict(device)
            if isinstance(verdict, Undecided) and not self._given_up(device, verdict.uplink):
                self.visit.add(verdict.uplink)
                self.undecided.append(device)
            elif isinstance(verdict, Behind):
                hidden.append((device, verdict))
                self.visit |= self._asked_for(verdict)
            elif self._just_back(device):
                self.waiting.add(device)
            else:
                roots.append(device)
        self.waiting.update(self.undecided)
        self._place(roots, HealthState.DOWN, self.scene.patience.settle.total_seconds())
        for device, verdict in hidden:
            self._hide(device, verdict)

    def _loose(self) -> Sequence[DeviceId]:
        """Who is down, in no incident and not muted; the longest down first."""
        return sorted((device for device in self.down if device not in self.book.home and device not in self.scene.muted), key=self._order)

    def _asked_for(self, verdict: Behind) -> set[DeviceId]:
        of_root = self._verdict(verdict.root)
        return {of_root.uplink} if isinstance(of_root, Undecided) and verdict.root not in self.book.home else set()

    def _just_back(self, device: DeviceId) -> bool:
        """Whether something in front of it came back after it fell, less than the grace ago: it may be booting."""
        fell = self._since(device)
        returns = (self._returned(above.id) for above in self.scene.city.uplink_chain(device))
        return any(at is not None and at >= fell and self.now - at < self.scene.patience.grace for at in returns)

    def _returned(self, uplink: DeviceId) -> datetime | None:
        """When `uplink` was last back; of one that is up, when it became so, since one that was muted left no trace elsewhere."""
        standing = self.scene.board[uplink]
        if standing.state is HealthState.UP:
            return standing.since
        was_down = (one.members[uplink] for one in self._lately.get(uplink, ()) if one.members[uplink].state is HealthState.DOWN)
        return max((member.until for member in was_down if member.until is not None), default=None)

    def _hide(self, device: DeviceId, verdict: Behind) -> None:
        """Put a device that is behind a dead one where that is: in its incident, under its maintenance, or into waiting with it."""
        home = self.book.home.get(verdict.root)
        if home is not None:
            self.book.join(home, device, Role.EXPLAINED)
        elif verdict.root not in self.scene.muted:
            self.waiting.add(device)
        self.behind[device] = verdict.uplink

    # -- who is degraded

    def see_who_is_degraded(self) -> None:
        """Place who complains and is neither in an incident nor muted, by reason."""
        by_reason: defaultdict[str, list[DeviceId]] = defaultdict(list)
        for one in self.unwell:
            if one.state is not HealthState.DEGRADED or one.device in self.book.home or one.device in self.scene.muted:
                continue
            if self._just_left(one.device):
                self.waiting.add(one.device)
            elif not self._explained_by_its_ports(one):
                by_reason[one.reason].append(one.device)
        for _, devices in sorted(by_reason.items()):
            self._place(sorted(devices, key=self._order), HealthState.DEGRADED, self.scene.patience.degraded_wait.total_seconds())

    def _explained_by_its_ports(self, one: Standing) -> bool:
        if self.scene.city.devices[one.device].kind is not DeviceKind.SWITCH or not one.reason.startswith(PORT_REASONS):
            return False
        for child in self.scene.city.behind(one.device):
            home = self.book.home.get(child.id)
            if child.id in self.down and home is not None:
                self.book.join(home, one.device, Role.EXPLAINED)
                return True
        waits = any(child.id in self.waiting for child in self.scene.city.behind(one.device))
        if waits:
            self.waiting.add(one.device)
        return waits

    def _just_left(self, device: DeviceId) -> bool:
        """Whether it was in another incident until a moment ago: its complaint may be an echo of that."""
        left = [until for incident in self._lately.get(device, ()) if (until := incident.members[device].until) is not None]
        return self.now - max(left, default=self.now - self.scene.patience.grace) < self.scene.patience.grace

    # -- roots into incidents

    def _place(self, roots: Sequence[DeviceId], trouble: HealthState, settle_s: float) -> None:
        """Each of `roots`, the longest ill first, into the incident that it was in, one that grows, or one of its own or in common."""
        left = [device for device in roots if not self._reopens(device, trouble) and not self._grows(device, trouble)]
        while left:
            unready = self._unready(left, settle_s) if trouble is HealthState.DOWN else set()
            ripe = [device for device in left if device not in unready and self._ill_for(device) >= settle_s]
            taken = self._open_first(ripe, trouble, left)
            if not taken:
                self.waiting.update(left)
                return
            left = [device for device in left if device not in taken]

    def _open_first(self, ripe: list[DeviceId], trouble: HealthState, left: Sequence[DeviceId]) -> set[DeviceId]:
        """Open the first incident that may be opened now; who is in it."""
        while ripe:
            found = self._find(ripe, trouble, left)
            if not self._may_be_less(found, trouble):
                self._open_found(found, trouble)
                return set(found.inside)
            ripe = [device for device in ripe if device not in found.inside]
        return set()

    def _has_waited(self, device: DeviceId) -> bool:
        """Whether it has waited for its neighbours as long as it may."""
        return self._ill_for(device) >= self.scene.patience.group_wait.total_seconds()

    def _unready(self, left: Sequence[DeviceId], settle_s: float) -> set[DeviceId]:
        """Who must wait for company: whoever shares a scope, that may turn out to be a common cause, with a neighbour that is silent,
        undecided, or fell a moment ago; or with somebody who must wait. So it does not matter in which order they fell. Each waits for
        `group_wait` at most.
        """
        scopes, silent = self._possible(left)
        patient = {device for device in left if not self._has_waited(device)}
        inside: defaultdict[ScopeKey, list[DeviceId]] = defaultdict(list)
        for device in patient:
            for key in scopes.intersection(self.scene.near.of(device)):
                inside[key].append(device)
        fresh = [device for device in patient if self._ill_for(device) < settle_s]
        unready = set(fresh)
        spread = list(scopes.intersection(silent).union(*(scopes.intersection(self.scene.near.of(device)) for device in fresh)))
        while spread:
            for device in inside.pop(spread.pop(), ()):
                if device not in unready or device in fresh:
                    unready.add(device)
                    spread += [key for key in self.scene.near.of(device) if key in inside]
        return unready

    def _possible(self, left: Sequence[DeviceId]) -> tuple[set[ScopeKey], Counter[ScopeKey]]:
        """The scopes that may be a common cause of roots once those who are silent are down, and how many may yet become roots in each."""
        suspects = [one for one in self.scene.suspects if not self._will_be_explained(one)] + self.undecided
        free, silent, roots = (self.scene.near.count(one) for one in (suspects, self.scene.suspects, left))
        possible = {
            key
            for key in roots
            if key[0] not in (Scope.CITY, Scope.MODEL)
            and roots[key] + free[key] >= self.scene.limits.roots
            and self._mostly(key, self._down_in[key] + silent[key], roots[key] + free[key])
        }
        return possible, free

    def _will_be_explained(self, suspect: DeviceId) -> bool:
        """Whether the nearest uplink that is neither silent nor unknown is down."""
        for above in self.scene.city.uplink_chain(suspect):
            if self._fallen(above.id):
                return True
            if above.enabled and above.id not in self.scene.suspects and self.scene.board[above.id].state in REACHED:
                return False
        return False

    @cached_property
    def _down_in(self) -> Counter[ScopeKey]:
        """How many are down in each scope."""
        return self.scene.near.count(self.down)

    def _mostly(self, key: ScopeKey, ill: int, roots: int) -> bool:
        return mostly(ill, self.scene.near.size(key), roots, self.scene.limits)

    def _find(self, ripe: Sequence[DeviceId], trouble: HealthState, left: Sequence[DeviceId]) -> _Found:
        """The incident of those of `ripe` that the best scope explains, with whoever of `left` shares it; else of the first alone."""
        first, reason = ripe[0], self.scene.board[ripe[0]].reason
        together = [one for one in left if self._together(first, one)]
        promising = (one for one in self.book.after.values() if self._may_be_promoted(one, trouble, reason))
        young = [one for one in promising if not self._fell_long_before(one, first)]
        crowd = self._crowd(trouble, reason, together, young)
        key = self._best(ripe, crowd, trouble)
        if key is None:
            return _Found(first, None, (first,), None)
        inside = [one for one in together if key in self.scene.near.of(one)]
        elders = [one for one in young if all(key in self.scene.near.of(root) for root in _roots(one))]
        return _Found(first, key, tuple(inside), min(elders, key=lambda one: (one.opened_at, one.id), default=None))

    def _may_be_less(self, found: _Found, trouble: HealthState) -> bool:
        """Whether the whole city seems to have fallen and somebody is still silent: soon it may be known what it really was."""
        everywhere = trouble is HealthState.DOWN and found.key is not None and found.key[0] is Scope.CITY
        return everywhere and bool(self.scene.suspects) and not self._has_waited(found.first)

    def _open_found(self, found: _Found, trouble: HealthState) -> None:
        """Open it; a young incident that lies inside becomes the larger one."""
        reason = self.scene.board[found.first].reason
        if found.key is None:
            self.book.open(Cause(CauseKind.DEVICE, found.first, name=self._name(found.first)), trouble, reason, found.inside)
            return
        cause, told_as = self.scene.near.cause(found.key), reason if trouble is HealthState.DEGRADED else COMMON_CAUSE
        if found.elder is None:
            self.book.open(cause, trouble, told_as, found.inside)
            return
        self.book.put(replace(found.elder, cause=cause, reason=told_as))
        for one in found.inside:
            self.book.join(found.elder.id, one, Role.ROOT)

    def _crowd(self, trouble: HealthState, reason: str, roots: Iterable[DeviceId], young: Iterable[Incident]) -> Crowd:
        """How many are in each scope; those of a young incident only where all its roots are, since only there it can become the larger."""
        near = self.scene.near
        counted = near.count(roots)
        for incident in young:
            theirs = _roots(incident)
            for key in set(near.of(theirs[0])).intersection(*(near.of(root) for root in theirs)):
                counted[key] += len(theirs)
        ill = self._down_in if trouble is HealthState.DOWN else near.count(one.device for one in self.unwell if one.reason == reason)
        return Crowd(counted, ill)

    def _best(self, ripe: Iterable[DeviceId], crowd: Crowd, trouble: HealthState) -> ScopeKey | None:
        """The scope that explains most; places alone for silence, models too for complaints, of which few all over the city are enough."""
        near, limits, down = self.scene.near, self.scene.limits, trouble is HealthState.DOWN
        return best_scope(ripe, crowd, near, limits, whole_city=limits.crowd if down else limits.roots, models=not down)

    def _together(self, one: DeviceId, other: DeviceId) -> bool:
        return abs(self._since(one) - self._since(other)) <= self.scene.patience.window

    def _may_be_promoted(self, incident: Incident, trouble: HealthState, reason: str) -> bool:
        """Whether an incident is so young that it may turn out to be the beginning of something larger."""
        return (
            incident.state is IncidentState.OPEN
            and incident.trouble is trouble
            and (trouble is HealthState.DOWN or incident.reason == reason)
            and self.now - incident.opened_at <= self.scene.patience.window
            and bool(_roots(incident))
        )

    def _grows(self, device: DeviceId, trouble: HealthState) -> bool:
        """Let `device` join a common cause that is at work where it is."""
        for incident_id in self._commons:
            incident = self.book.after[incident_id]
            cause = incident.cause
            if not incident.live or incident.trouble is not trouble or cause.scope is None:
                continue
            key = ScopeKey((cause.scope, cause.key))
            if key in self.scene.near.of(device) and self._still_at_work(incident, device, key):
                self.book.join(incident_id, device, Role.ROOT)
                return True
        return False

    @cached_property
    def _commons(self) -> Sequence[IncidentId]:
        """The common causes, the oldest first."""
        found = [one for one in self.book.before.values() if one.cause.kind is CauseKind.COMMON]
        return [one.id for one in sorted(found, key=lambda one: (one.opened_at, one.id))]

    def _still_at_work(self, incident: Incident, device: DeviceId, key: ScopeKey) -> bool:
        if incident.trouble is HealthState.DEGRADED:
            return incident.reason == self.scene.board[device].reason
        if self._fell_long_before(incident, device):
            return False
        if self._since(device) - incident.opened_at <= self.scene.patience.window:
            return True
        return key[0] is not Scope.CITY and self._mostly(key, self._down_in[key], len(list(incident.ill)))

    def _fell_long_before(self, incident: Incident, device: DeviceId) -> bool:
        """Whether `device` has been down since long before `incident`, out of sight, as under maintenance: that is another story."""
        return incident.trouble is HealthState.DOWN and incident.opened_at - self._since(device) > self.scene.patience.window

    def _reopens(self, device: DeviceId, trouble: HealthState) -> bool:
        """Let the incident that `device` was a root of lately take it again."""
        for known in self._lately.get(device, ()):
            incident = self.book.after[known.id]
            if incident.trouble is not trouble or known.members[device].role is not Role.ROOT or not self._recent(incident):
                continue
            if trouble is HealthState.DEGRADED and incident.reason != self.scene.board[device].reason:
                continue
            if not incident.live:
                self.book.reopen(incident)
            self.book.join(incident.id, device, Role.ROOT)
            return True
        return False

    def _recent(self, incident: Incident) -> bool:
        return incident.resolved_at is None or self.now - incident.resolved_at <= self.scene.patience.window

    # -- who has recovered

    def see_who_has_recovered(self) -> None:
        """Resolve what the last member has left. A switch that complained of a member on its port is none that counts: it leaves, too."""
        for incident_id in self.book.left():
            incident = self.book.after[incident_id]
            if any(not _echoes(member, incident) for member in incident.ill):
                continue
            for member in list(incident.ill):
                self.book.leave(incident_id, member)
            if incident.live:
                self.book.recover(self.book.after[incident_id])
        for incident in list(self.book.after.values()):
            if incident.live and incident.members and not any(incident.ill) and self._left_open(incident):
                self.book.recover(incident)

    def _left_open(self, incident: Incident) -> bool:
        """Whether one of which nobody is ill, that a person opened again, has been so for the window since then or since its snooze."""
        return self.now - incident.waiting_since >= self.scene.patience.window

    # -- what comes of it

    def result(self) -> Reckoning:
        return Reckoning(self.book.changed(), frozenset(self.visit), frozenset(self.waiting), self._circumstances())

    def _circumstances(self) -> Mapping[DeviceId, Circumstance]:
        found: dict[DeviceId, Circumstance] = {device: Circumstance(muted=window) for device, window in self.scene.muted.items()}
        for device, home in self.book.home.items():
            incident = self.book.after[home]
            explained = incident.members[device].role is Role.EXPLAINED
            uplink = self._dead_uplink(device) if explained else None
            found[device] = Circumstance(found[device].muted if device in found else None, uplink, home if incident.live else None)
        for device, uplink in self.behind.items():
            found[device] = replace(found.get(device, Circumstance()), suppressed_by=uplink)
        return found

    def _dead_uplink(self, device: DeviceId) -> DeviceId | None:
        verdict = self._verdict(device)
        return verdict.uplink if isinstance(verdict, Behind) else None

    # -- small questions

    def _enabled(self, device: DeviceId) -> bool:
        found = self.scene.city.devices.get(device)
        return found is not None and found.enabled

    def _verdict(self, device: DeviceId) -> Verdict:
        """The tree's, asked once a look: who is down does not change meanwhile."""
        if device not in self._verdicts:
            self._verdicts[device] = self.tree.verdict(device)
        return self._verdicts[device]

    def _fallen(self, device: DeviceId) -> bool:
        """Whether it is down, or was when we last could see it."""
        if device in self.down:
            return True
        home = self.before_home.get(device)
        return (
            home is not None
            and self.scene.board[device].state is HealthState.UNKNOWN
            and self.book.before[home].members[device].state is HealthState.DOWN
        )

    def _given_up(self, device: DeviceId, uplink: DeviceId) -> bool:
        """Whether it has waited for its uplink long enough: twice as long for one that is silent already and not yet down."""
        times = 2 if uplink in self.scene.suspects else 1
        return self._ill_for(device) >= times * self.scene.patience.uplink_wait.total_seconds()

    def _ill_for(self, device: DeviceId) -> float:
        return (self.now - self._since(device)).total_seconds()

    def _since(self, device: DeviceId) -> datetime:
        return self.scene.board[device].since or self.now

    def _order(self, device: DeviceId) -> tuple[datetime, DeviceId]:
        return self._since(device), device

    def _name(self, device: DeviceId) -> str:
        return self.scene.city.devices[device].name


def _lately(incidents: Iterable[Incident]) -> Mapping[DeviceId, Sequence[Incident]]:
    """The incidents that a device was in and has left, the youngest first."""
    found: defaultdict[DeviceId, list[Incident]] = defaultdict(list)
    for incident in sorted(incidents, key=lambda one: (one.opened_at, one.id), reverse=True):
        for member in incident.members.values():
            if member.until is not None:
                found[member.device].append(incident)
    return found


def _roots(incident: Incident) -> Sequence[DeviceId]:
    """The roots in it that are ill."""
    return [member.device for member in incident.ill if member.role is Role.ROOT]


def _echoes(member: Member, incident: Incident) -> bool:
    """Whether it only tells of what is on its ports."""
    return incident.trouble is HealthState.DOWN and member.state is HealthState.DEGRADED
