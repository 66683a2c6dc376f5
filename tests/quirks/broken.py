"""The gateway without one of its behaviours: what `--break-quirk` does, so that each quirk's test can be seen to fail.

One small function a quirk: it takes away what the gateway does about it, nowhere but in the one place where that is done.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from gateway.control import steering, stills
from gateway.domain import discovery as recognition
from gateway.domain import identity, restarts
from gateway.drivers import http, speaker
from gateway.drivers.http import Request
from gateway.drivers.onvif import access, alarms, caller, discovery, events, leases, search, soap, subscribing, times
from gateway.drivers.rtsp import backchannel, connection
from gateway.drivers.rtsp.connection import Connection
from gateway.drivers.rtsp.session import Wire
from gateway.drivers.snmp import polling, sensors
from gateway.errors import DeviceFault, NotSupported
from gateway.health import wheel
from gateway.health.checks import clock


def _signs_with_our_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "_shift", lambda _signing, _offset_s, _zone_s: 0.0)


def _believes_every_id(patch: pytest.MonkeyPatch) -> None:
    """Compares serial numbers that all units share, knows devices by their endpoint reference, and takes no probe's id for an answer's."""
    patch.setattr(identity, "serial_tells", lambda _device, _quirks, **_claims: True)
    patch.setattr(recognition, "_contradicts", lambda seen, device: bool(device.endpoint) and seen.reference != device.endpoint)
    patch.setattr(discovery, "_answers", lambda root, ids: discovery.text(root, "Header", "RelatesTo") in ids)


def _speaks_by_the_book(patch: pytest.MonkeyPatch) -> None:
    """Knows no loudspeaker's ways, learns none, asks by Require for the description alone, takes "in use" for a fault like any other, and
    leaves talks to themselves whose connection broke."""
    set_up = backchannel.set_up

    async def leave(*_of: object) -> None:
        return None

    async def set_up_plainly(to: Connection, url: str, **how: Any) -> Wire:
        return await set_up(to, url, **{**how, "headers": ()})

    patch.setattr(speaker, "manner_of", lambda _ways, *, path: backchannel.SpeakerRtsp(path=path))
    patch.setattr(backchannel, "_speaks_of_require", lambda _refusal, *, required: False)
    patch.setattr(backchannel, "take_leave", leave)
    patch.setattr(backchannel, "set_up", set_up_plainly)
    patch.setattr(connection, "Busy", DeviceFault)


def _takes_every_smaller_uptime_for_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(restarts, "_ran_on", lambda before, after, *, elapsed_s: after >= before)


def _never_meets_an_engine_anew(patch: pytest.MonkeyPatch) -> None:
    async def nobody(_target: object, *, try_s: float) -> None:
        return None

    patch.setattr(polling.usm, "discover", nobody)


def _leaves_numbers_as_text(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sensors, "_number", lambda found, _scale: found)


def _opens_a_socket_a_poll(patch: pytest.MonkeyPatch) -> None:
    lines: list[object] = []

    def line(self: polling.GufoEngine, target: polling.Target) -> object:
        lines.append(polling._Line(target, self._user, self._try_s))
        return lines[-1]

    patch.setattr(polling.GufoEngine, "_line", line)


def _takes_pictures_by_http_alone(patch: pytest.MonkeyPatch) -> None:
    async def refused(_self: object, _camera: str, _source: object, _profile: str) -> bytes:
        raise NotSupported("no picture")

    patch.setattr(stills.StreamStills, "take", refused)


def _believes_every_search(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(search, "unlisted", lambda _fault: False)


def _keeps_what_is_dead(patch: pytest.MonkeyPatch) -> None:
    still_open = {pair: leases.Phase.OPEN for pair, phase in leases.TABLE.items() if pair[0] is not phase is leases.Phase.ABSENT}
    patch.setattr(leases, "TABLE", {**leases.TABLE, **still_open})


def _takes_any_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases, "is_too_short", lambda _asked_s, _lease_s: False)


def _ends_everybodys_subscriptions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "ends_ours_alone", lambda _quirks: True)


def _takes_states_for_news(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(alarms, "is_news", lambda _event: True)


def _believes_what_is_promised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases, "LONGEST_UNABLE_S", leases.BACKOFF_S)


def _never_addresses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(subscribing, "addressing", lambda _name, _to, *, message_id: b"")


def _believes_every_clock(patch: pytest.MonkeyPatch) -> None:
    """Takes what a device tells of its time for the time that it has."""
    patch.setattr(caller, "zone_lie", lambda _ahead_s: 0.0)


def _knows_no_zones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(clock, "whole_zones", lambda _offset_s, *, within_s: within_s < 0)


def _reads_clocks_anonymously_at_one_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(caller, "OTHER_ENTRY", caller.ENTRY)
    patch.setattr(caller.Caller, "_believe_date", lambda _self, _answer: None)


def _waits_to_be_challenged(patch: pytest.MonkeyPatch) -> None:
    """Answers challenges, and asks for none."""

    def never(_self: object, _attempt: object) -> Iterator[Request]:
        yield from ()
        return False

    patch.setattr(caller.Caller, "_offers_digest", never)


def _tries_again_and_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access.Access, "rests", lambda _self, _now: False)


def _takes_every_401_for_a_wrong_password(patch: pytest.MonkeyPatch) -> None:
    """A crowd's, and that of a nonce that was good once."""
    patch.setattr(caller, "_NONCE_YOUNG_S", 0.0)
    patch.setattr(caller.Caller, "_refusal", lambda _self, _answer: soap.refused("bad-credentials"))


def _believes_every_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(caller, "_NOWHERE", ())


def _mends_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(caller, "mended", lambda _body: None)


def _reads_possible_times_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(times, "_within_reach", lambda hour, minute, second: 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60)


def _asks_once(patch: pytest.MonkeyPatch) -> None:
    """Gives up with a connection that the device closed."""
    patch.setattr(http._Link, "_broken", lambda self, error: self._fail(error))


def _forgets_the_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wheel.Wheel, "_due_again", lambda _self: ())


def _trusts_domes_to_stop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(steering.SteeringDesk, "_arm", lambda _self, _camera, _profile, _for_s: None)


BROKEN: Final[Mapping[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "Q1": _signs_with_our_clock,
    "Q2": _believes_every_clock,
    "Q3": _knows_no_zones,
    "Q4": _reads_clocks_anonymously_at_one_path,
    "Q5": _waits_to_be_challenged,
    "Q6": _tries_again_and_again,
    "Q7": _takes_every_401_for_a_wrong_password,
    "Q8": _believes_every_path,
    "Q9": _keeps_what_is_dead,
    "Q10": _takes_any_lease,
    "Q11": _ends_everybodys_subscriptions,
    "Q12": _takes_states_for_news,
    "Q13": _believes_what_is_promised,
    "Q14": _mends_nothing,
    "Q15": _reads_possible_times_only,
    "Q16": _never_addresses,
    "Q17": _asks_once,
    "Q18": _believes_every_id,
    "Q20": _takes_pictures_by_http_alone,
    "Q19": _trusts_domes_to_stop,
    "Q21": _speaks_by_the_book,
    "Q23": _believes_every_search,
    "Q24": _takes_every_smaller_uptime_for_a_restart,
    "Q25": _never_meets_an_engine_anew,
    "Q26": _leaves_numbers_as_text,
    "Q27": _opens_a_socket_a_poll,
    "Q28": _forgets_the_dead,
}
