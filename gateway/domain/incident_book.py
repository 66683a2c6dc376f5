"""The incidents of one reckoning as they change: what is opened, who joins and leaves, what recovers, and what is told of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.health import Board, HealthState
from gateway.domain.incidents import Act, Cause, CauseKind, Incident, IncidentId, IncidentState, Member, Role, acted
from gateway.domain.severity import Severities, worst


class News(StrEnum):
    """What has happened to an incident in one reckoning."""

    OPENED = "opened"
    GROWN = "grown"
    REOPENED = "reopened"
    LEFT = "left"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Changed:
    """An incident as it is now, the news of it, and the members that are new or other than before."""

    incident: Incident
    news: tuple[News, ...]
    members: tuple[Member, ...]


class Book:
    """`before`: the incidents as they were; `after`: as they are by now; `home`: in which one each device is that is ill."""

    def __init__(
        self,
        incidents: Iterable[Incident],
        *,
        city: City,
        board: Board,
        severities: Severities,
        now: datetime,
        new_id: Callable[[], IncidentId],
    ) -> None:
        self.before = {incident.id: incident for incident in incidents}
        self.after = dict(self.before)
        self.home = {member.device: incident.id for incident in self.before.values() for member in incident.ill}
        self._city = city
        self._board = board
        self._severities = severities
        self._now = now
        self._new_id = new_id
        self._news: defaultdict[IncidentId, dict[News, None]] = defaultdict(dict)
        self._moved: defaultdict[IncidentId, dict[DeviceId, Member]] = defaultdict(dict)
        self._own: set[IncidentId] = set()  # whose members are a copy of our own

    def open(self, cause: Cause, trouble: HealthState, reason: str, devices: Iterable[DeviceId]) -> None:
        """Open one of which `devices` are the roots."""
        opened = self.opened(cause, trouble, reason)
        for device in devices:
            self.join(opened.id, device, Role.ROOT)

    def opened(self, cause: Cause, trouble: HealthState, reason: str) -> Incident:
        """One that is opened now, of nobody yet."""
        opened = Incident(
            id=self._new_id(),
            state=IncidentState.OPEN,
            severity=self._severities.of(None, trouble, reason),
            trouble=trouble,
            cause=cause,
            reason=reason,
            opened_at=self._now,
            waiting_since=self._now,
            changed_at=self._now,
        )
        self.put(opened, News.OPENED)
        return opened

    def join(self, incident_id: IncidentId, device: DeviceId, role: Role) -> None:
        """Let `device` be a member, as it stands."""
        incident, standing = self.after[incident_id], self._board[device]
        since = standing.since or self._now
        member = Member(
            device=device,
            state=standing.state,
            reason=standing.reason,
            since=since,
            role=role,
            joined_at=self._now,
            kind=self._city.devices[device].kind,
        )
        self.home[device] = incident_id
        self.put(self._with(incident, member), News.GROWN, member)

    def leave(self, incident_id: IncidentId, member: Member) -> None:
        """Let `member` be ill in it no more."""
        incident, left = self.after[incident_id], replace(member, until=self._now)
        self.home.pop(member.device, None)
        self.put(self._with(incident, left), News.LEFT, left)

    def reopen(self, incident: Incident) -> None:
        """Open one again that was resolved."""
        self.put(acted(incident, Act.RELAPSE, by="", at=self._now), News.REOPENED)

    def recover(self, incident: Incident) -> None:
        """Resolve one of which nobody is ill any more."""
        self.put(acted(incident, Act.RECOVER, by="", at=self._now), News.RESOLVED)

    def put(self, incident: Incident, news: News | None = None, member: Member | None = None) -> None:
        """Take `incident` as it is now, and what news that is; `member`: who is new in it, or other than before."""
        self.after[incident.id] = incident
        if news is not None:
            self._news[incident.id][news] = None
        if member is not None:
            self._moved[incident.id][member.device] = member

    def _with(self, incident: Incident, member: Member) -> Incident:
        """`incident` with `member`; its members are copied once a look, however many come and go."""
        if incident.id not in self._own:
            self._own.add(incident.id)
            incident = replace(incident, members=dict(incident.members))
        assert isinstance(incident.members, dict)
        incident.members[member.device] = member
        return incident

    # -- what comes of it

    def left(self) -> Sequence[IncidentId]:
        """The incidents that members have left."""
        return [incident for incident, news in self._news.items() if News.LEFT in news]

    def changed(self) -> Sequence[Changed]:
        """The incidents that are other than before."""
        touched = [self._weighed(one) for one in self.after.values() if one != self.before.get(one.id)]
        return [Changed(one, self._news_of(one), tuple(self._moved[one.id].values())) for one in touched]

    def _weighed(self, incident: Incident) -> Incident:
        """With its greatest extent so far, and the severity that goes with it."""
        if incident.cause.kind is CauseKind.GATEWAY:
            return replace(incident, changed_at=self._now)
        ill = list(incident.ill)
        devices = max(incident.devices, len(ill))
        many = devices if incident.trouble is HealthState.DOWN else 1  # however many clocks are wrong, it can wait until the morning
        weights = [self._severities.of(one.kind, one.state, one.reason, members=many) for one in ill if one.role is Role.ROOT]
        fresh = incident.id not in self.before
        severity = worst(*weights) if weights and fresh else worst(incident.severity, *weights)
        return replace(incident, devices=devices, severity=severity, changed_at=self._now)

    def _news_of(self, incident: Incident) -> tuple[News, ...]:
        """What is told: who opens or reopens does not grow besides; who has grown and left has grown; a silent one tells nothing."""
        found = [news for news in self._news[incident.id] if incident.live or news is News.RESOLVED]
        if News.OPENED in found or News.REOPENED in found:
            found = [news for news in found if news not in (News.GROWN, News.LEFT)]
        return tuple(found)
