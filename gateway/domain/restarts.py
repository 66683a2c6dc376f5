"""Whether a device has restarted between two visits, told from uptimes that wrap, belong to the agent alone, or are nonsense.

sysUpTime counts hundredths of a second in 32 bits: it begins anew after 497 days, and with many agents whenever the agent alone starts
anew. hrSystemUptime (RFC 2790) is the device's own and wraps likewise; snmpEngineTime (RFC 3411) is the agent's and does not wrap.
"""

from dataclasses import dataclass

TICKS = 2**32
TICKS_A_SECOND = 100
SLACK_S = 10.0
"""How far an uptime may be from where it ought to be: it was read some time before it came, and devices' oscillators are poor."""
SLACK_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Uptimes:
    """What one visit read, None for what the device does not tell. `agent` and `host` in hundredths (sysUpTime, hrSystemUptime).

    `engine_s`: snmpEngineTime in seconds; `boots`: snmpEngineBoots.
    """

    agent: int | None = None
    host: int | None = None
    engine_s: int | None = None
    boots: int | None = None


def restarted(before: Uptimes, after: Uptimes, *, elapsed_s: float) -> bool:
    """Whether the device started anew within the `elapsed_s` between two visits. The device's own uptime decides where there is one.

    Without it, a sysUpTime that began anew is believed unless it wrapped, or the SNMP engine ran on.
    """
    if before.host is not None and after.host is not None:
        return not _ran_on(before.host, after.host, elapsed_s=elapsed_s)
    if before.agent is None or after.agent is None or _ran_on(before.agent, after.agent, elapsed_s=elapsed_s):
        return False
    return not _engine_ran_on(before, after, elapsed_s=elapsed_s)


def boots_stuck(before: Uptimes, after: Uptimes, *, elapsed_s: float) -> bool:
    """Whether the engine's time began anew and its boots did not count it (RFC 3414 §2.2), which shuts out every client that remembers."""
    if before.boots is None or before.boots != after.boots or min(before.engine_s or -1, after.engine_s or -1) < 0:
        return False
    return not _engine_ran_on(before, after, elapsed_s=elapsed_s)


def _ran_on(before: int, after: int, *, elapsed_s: float) -> bool:
    """Whether TimeTicks went on counting, around their end included, or stand still for ever, as recorded ones do."""
    if after == before:
        return True
    elapsed, slack = elapsed_s * TICKS_A_SECOND, _slack_s(elapsed_s) * TICKS_A_SECOND
    off = (after - before - elapsed + TICKS / 2) % TICKS - TICKS / 2
    return abs(off) <= slack or (after > before and after >= elapsed - slack)


def _engine_ran_on(before: Uptimes, after: Uptimes, *, elapsed_s: float) -> bool:
    """False when it is not known: an agent without the object, or one that tells nonsense."""
    if before.engine_s is None or after.engine_s is None or min(before.engine_s, after.engine_s) < 0:
        return False
    return after.engine_s >= before.engine_s and after.engine_s >= elapsed_s - _slack_s(elapsed_s)


def _slack_s(elapsed_s: float) -> float:
    return max(SLACK_S, elapsed_s * SLACK_SHARE)
