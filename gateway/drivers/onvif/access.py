"""When a device's credentials may be tried, and how to sign: what keeps the gateway from ever locking itself out of a camera.

Devices lock an address out after five to seven wrong logins. The rules, in terms of signed requests that the device refused:

* Never more than `BUDGET` refused requests since the last accepted one. When it is spent, the credentials are *known bad*: they are not
  tried again until they change, or a time or two when somebody says that they are right (`try_again`).
* Credentials that never worked may spend the budget at once, on the ways of signing that the device's clock makes plausible.
  When no plausible way is left, they are known bad however much of the budget remains.
* Credentials that worked before are more likely refused for a passing reason (a device with too many connections says 401, too):
  at most two requests at a time, then a pause.
* A device that says "locked out" is left alone for longer than any device is known to lock, and then asked once.
* A device that says "too many connections" is asked once after a pause that doubles up to the same time. No password was refused:
  it spends nothing of the budget.
"""

from enum import StrEnum

from gateway.errors import AuthenticationFailed

BUDGET = 4
PAUSE_S = 60.0
LOCKOUT_S = 31 * 60.0
AT_ONCE = 2
DISTINCT_S = 5.0
ZONE_LIE_S = 15 * 60.0


class Signing(StrEnum):
    """Whose time to sign with. A device that reports local time as UTC refuses its own clock and wants the true time."""

    DEVICE = "device"
    OURS = "ours"
    BEHIND = "behind"
    AHEAD = "ahead"


class Access:
    """What is known of one device's credentials. `now` is monotonic seconds everywhere; `budget` stands for `BUDGET` where less is left."""

    __slots__ = ("_budget", "_crowded", "_left_at_once", "_not_before", "_refused", "_tried", "_worked", "proven", "signing", "verdict")

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self.signing = self._worked = Signing.DEVICE
        self.forget()

    def forget(self) -> None:
        """Start anew: the credentials changed, or somebody says that they are right. The way of signing is kept."""
        self.proven = False
        self.verdict = ""
        self._refused = 0
        self._crowded = 0
        self._not_before = 0.0
        self._left_at_once = self._budget
        self._tried: tuple[float, ...] = ()

    def try_again(self) -> None:
        """Somebody says that the credentials are right now: they may be tried `AT_ONCE` times, and not as often as new ones."""
        self.forget()
        self._refused = BUDGET - AT_ONCE

    @property
    def refusals(self) -> int:
        """Signed requests that the device refused since the last accepted one."""
        return self._refused

    def begin(self, now: float) -> None:
        """A caller wants to sign a request. Raises AuthenticationFailed, with the reason remembered, when it must not."""
        if self.rests(now):
            raise AuthenticationFailed(f"not tried again: the device refused these credentials ({self.verdict})", code=self.verdict)
        self._left_at_once = AT_ONCE if self.proven else self._budget
        self._tried = ()

    def rests(self, now: float) -> bool:
        """Whether nothing is to be signed at the moment."""
        return bool(self.verdict) and now < self._not_before

    def hopeless(self, now: float) -> bool:
        """Whether the password itself is not to be tried, by no other protocol either: it is known bad, or the device has locked us out."""
        for_good = self.verdict == "bad-credentials" and self._not_before == float("inf")
        return self.rests(now) and (for_good or self.verdict == "locked-out")

    def suspect(self) -> None:
        """Something signed was refused, and it is not known yet whether for the password or for want of a right, or it was said by
        another protocol."""
        self._refused += 1

    def accepted(self) -> None:
        """A signed request was accepted."""
        if self.verdict or self._refused:
            self.verdict = ""
            self._refused = self._crowded = 0
        self.proven = True
        self._worked = self.signing

    def signing_shift(self, offset_s: float, zone_s: float) -> float:
        """Seconds to add to our clock for the `Created` of the next request."""
        return _shift(self.signing, offset_s, zone_s)

    def refused(self, code: str, now: float, *, used_s: float, offset_s: float, zone_s: float) -> bool:
        """A request signed with the shift `used_s` was refused. Says whether another way may be tried at once, and sets `signing` to it."""
        self._count(code)
        self._tried += (used_s,)
        untried = _untried(self._tried, offset_s, zone_s)
        hopeless = code in ("locked-out", "too-many-connections") or untried is None
        if not hopeless and self._left_at_once > 0 and self._refused < self._budget and untried is not None:
            self.signing = untried
            return True
        self._give_up(code, now)
        return False

    def change_scheme(self, code: str, now: float) -> bool:
        """A request was refused, and the device offers another scheme of authentication: says whether that may be tried at once."""
        self._count(code)
        if self._left_at_once > 0 and self._refused < self._budget:
            return True
        self._give_up(code, now)
        return False

    def rest(self, code: str, now: float) -> None:
        """The device refuses even what needs no login, because it is crowded or has locked us out: nothing is signed for a while."""
        if not self.rests(now):
            self._crowded += code == "too-many-connections"
            self._give_up(code, now)

    def give_up(self, code: str, now: float) -> None:
        """A refused request whose signature no other clock would mend."""
        self._count(code)
        self._give_up(code, now)

    def _count(self, code: str) -> None:
        if code == "too-many-connections":
            self._crowded += 1
            return
        floor = self._budget - 1 if code == "locked-out" else 0
        self._refused = min(max(self._refused + 1, floor), 2 * self._budget)
        self._left_at_once -= 1

    def _give_up(self, code: str, now: float) -> None:
        self.verdict = code
        self.signing = self._worked
        if code == "too-many-connections":
            self._not_before = now + min(PAUSE_S * 2 ** min(self._crowded, 8), LOCKOUT_S)
        elif self._refused >= self._budget or not (self.proven or code == "locked-out"):
            self._not_before = float("inf")
        else:
            self._not_before = now + (LOCKOUT_S if code == "locked-out" else PAUSE_S)


def _shift(signing: Signing, offset_s: float, zone_s: float) -> float:
    if signing is Signing.DEVICE:
        return offset_s
    if signing is Signing.OURS:
        return 0.0
    return offset_s + (zone_s if signing is Signing.AHEAD else -zone_s)


def _untried(tried: tuple[float, ...], offset_s: float, zone_s: float) -> Signing | None:
    """The next plausible way of signing whose time differs from all that were tried; a zone is only suspected behind a large offset."""
    for signing in Signing:
        if signing in (Signing.BEHIND, Signing.AHEAD) and abs(offset_s) < ZONE_LIE_S:
            return None
        if all(abs(_shift(signing, offset_s, zone_s) - other) > DISTINCT_S for other in tried):
            return signing
    return None
