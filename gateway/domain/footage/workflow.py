"""What may happen to a request, when, and by whom.

A request goes its way by the table `TRANSITIONS`, under the `GUARDS`. Three rules stand above it: whoever decides is somebody else than
those who ask; nothing is looked up, fetched or handed over before that decision, but in an emergency, which is looked up, fetched and
viewed at once, where the decision has to follow before any copy leaves, and the papers before it is handed over; a citizen looks and
takes nothing away. The store's constraints repeat all three.

`Conflict` means that it is not the time for it, `Forbidden` that it is not the person.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage.asking import Filing, RequesterKind, missing
from gateway.domain.footage.periods import Period
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput

RequestId = NewType("RequestId", str)


class FootageState(StrEnum):
    SUBMITTED = "submitted"
    APPROVED = "approved"
    GOING_AHEAD = "going-ahead"
    REJECTED = "rejected"
    LOCATING = "locating"
    HOLDING = "holding"
    EXPORTING = "exporting"
    READY = "ready"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"
    HANDED_OVER = "handed-over"
    NOTHING_SEEN = "viewed-nothing-found"
    NO_COPY = "viewed-no-copy-taken"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    FAILED = "failed"


class Act(StrEnum):
    """What a person (above) or the gateway (below) does with a request."""

    APPROVE = "approve"
    REJECT = "reject"
    GO_AHEAD = "go-ahead"
    CONFIRM = "confirm"
    REVOKE = "revoke"
    CANCEL = "cancel"
    RETRY = "retry"
    GIVE_UP = "give-up"
    SUPPLEMENT = "supplement"
    HAND_OVER = "hand-over"
    CLOSE_NOTHING_SEEN = "close-nothing-found"
    CLOSE_NO_COPY = "close-no-copy"

    LOCATE = "locate"
    HOLD = "hold"
    EXPORT = "export"
    COMPLETE = "complete"
    COMPLETE_IN_PART = "complete-in-part"
    FIND_NOTHING = "find-nothing"
    FAIL = "fail"
    EXPIRE = "expire"


BY_ITSELF: Final = frozenset({Act.LOCATE, Act.HOLD, Act.EXPORT, Act.COMPLETE, Act.COMPLETE_IN_PART, Act.FIND_NOTHING, Act.FAIL, Act.EXPIRE})
"""What the gateway alone does, and nobody by hand."""

_S = FootageState
UNDERTAKEN: Final = frozenset(_S) - {_S.SUBMITTED, _S.REJECTED, _S.REVOKED}
"""States that an emergency may be in when somebody confirms or revokes it afterwards."""
TRANSITIONS: Final[Mapping[tuple[FootageState, Act], FootageState]] = {
    (_S.SUBMITTED, Act.APPROVE): _S.APPROVED,
    (_S.SUBMITTED, Act.GO_AHEAD): _S.GOING_AHEAD,
    (_S.SUBMITTED, Act.REJECT): _S.REJECTED,
    (_S.SUBMITTED, Act.CANCEL): _S.CANCELLED,
    (_S.SUBMITTED, Act.EXPIRE): _S.EXPIRED,
    (_S.APPROVED, Act.CANCEL): _S.CANCELLED,
    (_S.APPROVED, Act.LOCATE): _S.LOCATING,
    (_S.GOING_AHEAD, Act.CANCEL): _S.CANCELLED,
    (_S.GOING_AHEAD, Act.LOCATE): _S.LOCATING,
    (_S.LOCATING, Act.HOLD): _S.HOLDING,
    (_S.LOCATING, Act.EXPORT): _S.EXPORTING,
    (_S.LOCATING, Act.FIND_NOTHING): _S.UNAVAILABLE,
    (_S.LOCATING, Act.FAIL): _S.FAILED,
    (_S.LOCATING, Act.CANCEL): _S.CANCELLED,
    (_S.HOLDING, Act.EXPORT): _S.EXPORTING,
    (_S.HOLDING, Act.FIND_NOTHING): _S.UNAVAILABLE,
    (_S.HOLDING, Act.FAIL): _S.FAILED,
    (_S.HOLDING, Act.CANCEL): _S.CANCELLED,
    (_S.EXPORTING, Act.COMPLETE): _S.READY,
    (_S.EXPORTING, Act.COMPLETE_IN_PART): _S.PARTIAL,
    (_S.EXPORTING, Act.FIND_NOTHING): _S.UNAVAILABLE,
    (_S.EXPORTING, Act.FAIL): _S.FAILED,
    (_S.EXPORTING, Act.CANCEL): _S.CANCELLED,
    (_S.FAILED, Act.RETRY): _S.LOCATING,
    (_S.FAILED, Act.GIVE_UP): _S.UNAVAILABLE,
    (_S.FAILED, Act.SUPPLEMENT): _S.PARTIAL,
    (_S.FAILED, Act.CANCEL): _S.CANCELLED,
    (_S.UNAVAILABLE, Act.RETRY): _S.LOCATING,
    (_S.UNAVAILABLE, Act.SUPPLEMENT): _S.PARTIAL,
    (_S.PARTIAL, Act.RETRY): _S.LOCATING,
    (_S.PARTIAL, Act.SUPPLEMENT): _S.PARTIAL,
    (_S.READY, Act.SUPPLEMENT): _S.READY,
    **{(state, Act.HAND_OVER): _S.HANDED_OVER for state in (_S.READY, _S.PARTIAL)},
    **{(state, Act.CLOSE_NOTHING_SEEN): _S.NOTHING_SEEN for state in (_S.READY, _S.PARTIAL)},
    **{(state, Act.CLOSE_NO_COPY): _S.NO_COPY for state in (_S.READY, _S.PARTIAL)},
    **{(state, Act.EXPIRE): _S.EXPIRED for state in (_S.READY, _S.PARTIAL, _S.HANDED_OVER, _S.NOTHING_SEEN, _S.NO_COPY)},
    **{(state, Act.EXPIRE): _S.EXPIRED for state in (_S.UNAVAILABLE, _S.FAILED)},
    **{(state, Act.CONFIRM): state for state in UNDERTAKEN},
    **{(state, Act.REVOKE): _S.REVOKED for state in UNDERTAKEN},
}
"""What leads where; every pair that is missing is refused and changes nothing. The store knows which state may follow which."""

WORKING: Final = frozenset({_S.APPROVED, _S.GOING_AHEAD, _S.LOCATING, _S.HOLDING, _S.EXPORTING})
"""States in which the gateway has something to do."""
DELIVERABLE: Final = frozenset({_S.READY, _S.PARTIAL, _S.HANDED_OVER})
"""States in which files may be downloaded."""
KEPT: Final = DELIVERABLE | {_S.NOTHING_SEEN, _S.NO_COPY}
"""States whose files are on the disk until they expire."""
FRUITLESS: Final = frozenset({_S.UNAVAILABLE, _S.FAILED})
"""States in which nothing could be given; what there is of it expires as other footage does, counted from when it came so far."""
OVER: Final = frozenset({_S.REJECTED, _S.CANCELLED, _S.REVOKED, _S.EXPIRED})
"""States after which nothing is done with a request any more."""
OUTCOMES: Final = frozenset(_S) - WORKING - {_S.SUBMITTED, _S.EXPIRED}
"""What is remembered of a request when its files are gone."""
_DECISIONS: Final = frozenset({Act.APPROVE, Act.REJECT, Act.CONFIRM, Act.REVOKE})
_WHY: Final = frozenset({Act.REJECT, Act.REVOKE, Act.GIVE_UP})
_UNSAID: Final[Mapping[FootageState, str]] = {
    _S.PARTIAL: "parts are missing",
    _S.UNAVAILABLE: "nothing was recorded",
    _S.FAILED: "the footage could not be fetched",
}
"""Why a request is where it is, when nobody said more."""


@dataclass(frozen=True, slots=True)
class FootageRequest:
    """A filed request. `cameras` is the place resolved to cameras when it was filed; `reason` says why it is where it is.

    `windows`: what is wanted of a camera where that is not the filing's window with its tolerance. `outcome`: the last state that says
    what came of it. In an emergency `papers_due_at` is until when they may follow, `papers_at` when they had, `reminded_at` when
    somebody was told that they had not.
    """

    id: RequestId
    filing: Filing
    cameras: tuple[DeviceId, ...]
    submitted_by: Person
    submitted_at: datetime
    state: FootageState = FootageState.SUBMITTED
    decided_by: Person | None = None
    decided_at: datetime | None = None
    note: str = ""
    reason: str = ""
    changed_at: datetime | None = None
    ready_at: datetime | None = None
    windows: Mapping[DeviceId, Period] = field(default_factory=dict)
    outcome: FootageState | None = None
    papers_due_at: datetime | None = None
    papers_at: datetime | None = None
    reminded_at: datetime | None = None

    @property
    def approved(self) -> bool:
        """A second person has let it go ahead, or said so afterwards."""
        return self.decided_by is not None and self.state not in (FootageState.REJECTED, FootageState.REVOKED)

    @property
    def cleared(self) -> bool:
        """Footage may be, or might have been, looked up for it: a second person's word, or an emergency."""
        undecided = self.state in (FootageState.SUBMITTED, FootageState.REJECTED)
        return not undecided and (self.decided_by is not None or self.filing.emergency is not None)

    @property
    def owing(self) -> bool:
        """It went ahead in an emergency, and a second person's word or the papers have not followed yet."""
        urgent = self.filing.emergency is not None and self.state in UNDERTAKEN
        return urgent and (self.decided_by is None or self.papers_at is None)

    def window_of(self, camera: DeviceId) -> Period:
        """What is wanted of `camera`, on the true clock."""
        return self.windows.get(camera, self.filing.widened)


def advanced(request: FootageRequest, act: Act, *, by: Person, at: datetime, reason: str = "") -> FootageRequest:
    """`request` after `act`.

    Conflict (`wrong-state`) when its state does not allow it, or what a guard raises: Forbidden (`second-person`, `no-copy`), Conflict
    (`register-incomplete`, `papers-missing`, `no-emergency`, `decided-already`, `not-confirmed`). InvalidInput for a reason that is needed
    and not given.
    """
    after = TRANSITIONS.get((request.state, act))
    if after is None:
        raise Conflict(f"a request that is {request.state} cannot {act}", code="wrong-state", hint=_allowed(request.state))
    for guard in GUARDS.get(act, ()):
        guard(request, by)
    if act in _WHY and not reason.strip():
        raise InvalidInput("this needs its reason", faults=[Fault("/note", "is missing", "missing")], code="bad-request")
    if act in _DECISIONS:
        request = replace(request, decided_by=by, decided_at=at, note=reason)
    if after in (FootageState.READY, FootageState.PARTIAL) and act is not Act.CONFIRM:
        request = replace(request, ready_at=at)
    if act is Act.CONFIRM:
        return replace(request, changed_at=at)
    outcome = after if after in OUTCOMES else request.outcome if after is FootageState.EXPIRED else None
    return replace(request, state=after, reason=reason or _UNSAID.get(after, ""), changed_at=at, outcome=outcome)


def check_release(request: FootageRequest, *, now: datetime) -> None:
    """May a copy leave the house? Raises as `advanced` does for a hand-over, but for the papers of an emergency, which may follow in time.

    Before a second person has confirmed it (`not-confirmed`) an emergency is looked at here (`check_viewable`) and nothing else.
    """
    if request.state not in DELIVERABLE:
        raise Conflict(f"a request that is {request.state} has nothing to download", code="wrong-state")
    _takes_copies(request)
    _papers_in_time(request, now)
    _decided(request)
    if not (request.owing and request.papers_due_at is not None):
        _register_complete(request)


def check_viewable(request: FootageRequest, *, now: datetime) -> None:
    """May it be looked at here? Conflict (`wrong-state`) when nothing is there, `papers-overdue` for an emergency past its time."""
    if request.state not in DELIVERABLE:
        raise Conflict(f"a request that is {request.state} has nothing to view", code="wrong-state")
    _papers_in_time(request, now)


def _papers_in_time(request: FootageRequest, now: datetime) -> None:
    if request.owing and request.papers_due_at is not None and now >= request.papers_due_at:
        hint = "let a second person confirm it, and complete and upload the papers"
        raise Conflict("the papers of this emergency are overdue", code="papers-overdue", hint=hint)


# -- guards -----------------------------------------------------------------------------------------------------------


def second_person(request: FootageRequest, by: Person) -> None:
    """Whoever decides is neither the one who filed the request nor one of those whom it is for."""
    askers = {_folded(request.submitted_by.name), _folded(request.filing.requester), _folded(request.filing.second_officer)}
    if by.actor == request.submitted_by.actor or _folded(by.name) in askers - {""}:
        hint = "another person with the right to approve has to do it"
        raise Forbidden("a request is decided by somebody else than those who make it", code="second-person", hint=hint)


def same_person(one: str, other: str) -> bool:
    """Are these two names one person's, however they are written?"""
    return bool(_folded(one)) and _folded(one) == _folded(other)


def _emergency(request: FootageRequest, _by: Person) -> None:
    if request.filing.emergency is None:
        raise Conflict("this is no emergency", code="no-emergency", hint="let a second person approve it first")


def _undecided(request: FootageRequest, _by: Person) -> None:
    if request.decided_by is not None:
        raise Conflict(f"{request.decided_by.name} has confirmed it already", code="decided-already")


def _decided(request: FootageRequest, _by: Person | None = None) -> None:
    if request.decided_by is None:
        hint = "a second person has to confirm the emergency"
        raise Conflict("nobody has confirmed it yet", code="not-confirmed", hint=hint)


def _cleared(request: FootageRequest, _by: Person) -> None:
    if not request.cleared:
        raise Conflict("nobody has approved it", code="not-confirmed", hint="a second person has to approve it")


def _takes_copies(request: FootageRequest, _by: Person | None = None) -> None:
    if request.filing.kind is RequesterKind.CITIZEN:
        hint = "a citizen views it here, under supervision; a copy goes to an authority that asks for one"
        raise Forbidden("no copy goes to a citizen", code="no-copy", hint=hint)


def _papers_there(request: FootageRequest, _by: Person) -> None:
    if request.filing.emergency is not None and request.papers_at is None:
        hint = "complete the register and upload the authorising document"
        raise Conflict("the papers of this emergency have not followed yet", code="papers-missing", hint=hint)


def _register_complete(request: FootageRequest, _by: Person | None = None) -> None:
    if lacking := missing(request.filing):
        hint = f"fill in {', '.join(lacking)}"
        raise Conflict("the register is not complete", code="register-incomplete", hint=hint)


Guard = Callable[[FootageRequest, Person], None]
GUARDS: Final[Mapping[Act, tuple[Guard, ...]]] = {
    Act.APPROVE: (second_person,),
    Act.REJECT: (second_person,),
    Act.GO_AHEAD: (_emergency,),
    Act.CONFIRM: (_emergency, _undecided, second_person),
    Act.REVOKE: (_emergency, second_person),
    Act.LOCATE: (_cleared,),
    Act.EXPORT: (_cleared,),
    Act.SUPPLEMENT: (_cleared,),
    Act.HAND_OVER: (_takes_copies, _decided, _register_complete, _papers_there),
}
"""What must hold besides the table, act by act."""


def _allowed(state: FootageState) -> str:
    acts = [act for known, act in TRANSITIONS if known is state and act not in BY_ITSELF | {Act.CONFIRM, Act.REVOKE}]
    return f"possible now: {', '.join(acts)}" if acts else "nothing more can be done with it"


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()
