"""The city in the words of other monitoring systems: Zabbix's low-level discovery with flat values, and LibreNMS' application JSON."""

import json
from collections import Counter
from collections.abc import Iterator

from aiohttp import web
from pydantic import Field

from gateway.api.census import states_of
from gateway.api.models import Input, Instant, Output, instant_text
from gateway.api.replies import json_bytes
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceKind
from gateway.domain.health import HealthState, Standing

routes = Routes("neighbours", "The city for other monitoring systems, in their own formats.")

STATES = {HealthState.UNKNOWN: 0, HealthState.UP: 1, HealthState.DEGRADED: 2, HealthState.DOWN: 3}
"""States as numbers, for systems that draw and compare numbers: part of the contract."""


class NeighbourQuery(Input):
    """Which devices; a neighbour with a small limit on answers asks kind by kind."""

    kind: DeviceKind | None = None
    group: str | None = Field(default=None, max_length=128)
    district: str | None = Field(default=None, max_length=128)


class ZabbixDevice(Output):
    """One device, flat."""

    state: int = Field(description="0 unknown, 1 up, 2 degraded, 3 down.")
    reason: str
    since: Instant | None
    last_seen: Instant | None
    clock_offset_s: float | None


class ZabbixOut(Output):
    """`discovery` is what a discovery rule takes; every macro `{#DEVICE}` is a key of `devices`. `city` holds the totals."""

    at: Instant
    discovery: list[dict[str, str]]
    devices: dict[str, ZabbixDevice]
    city: dict[str, int]


class LibreNmsOut(Output):
    """What LibreNMS expects of an application: numbers under `data`, and no error."""

    version: int = 1
    error: int = 0
    errorString: str = ""  # noqa: N815 -- LibreNMS' own name
    data: dict[str, dict[str, int]]


@routes.op("GET", "/v1/neighbours/zabbix", needs=Permission.HEALTH_READ, answers=ZabbixOut)
async def read_for_zabbix(call: Call, query: NeighbourQuery) -> web.Response:
    """Low-level discovery and flat values in one answer: one HTTP agent item fetches it, dependent items take it apart."""
    board, found = call.services.board, list(_wanted(call, query))
    answer = {
        "at": instant_text(call.services.clock.now()),
        "discovery": [_macros(device, call.services.city) for device in found],
        "devices": {device.id: _values(board[device.id]) for device in found},
        "city": {state.value: count for state, count in states_of(board, (device.id for device in found)).items()},
    }
    return json_bytes(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))  # a megabyte of the city


@routes.op("GET", "/v1/neighbours/librenms", needs=Permission.HEALTH_READ)
async def read_for_librenms(call: Call, query: NeighbourQuery) -> LibreNmsOut:
    """Counts by kind and state, as an application of LibreNMS reads them."""
    counts = {kind.value: dict.fromkeys((state.value for state in HealthState), 0) for kind in DeviceKind}
    for device in _wanted(call, query):
        counts[device.kind][call.services.board[device.id].state] += 1
    total: Counter[str] = Counter()
    for states in counts.values():
        total.update(states)
    return LibreNmsOut(data={**counts, "all": dict(total)})


def _wanted(call: Call, query: NeighbourQuery) -> Iterator[Device]:
    for device in call.services.city.devices.values():
        if (
            device.enabled
            and (query.kind is None or device.kind is query.kind)
            and (query.group is None or device.group == query.group)
            and (query.district is None or call.services.city.district_of(device) == query.district)
        ):
            yield device


def _macros(device: Device, city: City) -> dict[str, str]:
    group = city.groups.get(device.group) if device.group else None
    return {
        "{#DEVICE}": device.id,
        "{#NAME}": device.name,
        "{#KIND}": device.kind.value,
        "{#ADDRESS}": device.address,
        "{#GROUP}": device.group or "",
        "{#GROUPNAME}": group.name if group else "",
        "{#DISTRICT}": city.district_of(device),
        "{#VENDOR}": device.vendor,
        "{#MODEL}": device.model,
        "{#UPLINK}": device.uplink or "",
    }


def _values(standing: Standing) -> dict[str, str | float | None]:
    """As `ZabbixDevice` says."""
    return {
        "state": STATES[standing.state],
        "reason": standing.reason,
        "since": None if standing.since is None else instant_text(standing.since),
        "last_seen": None if standing.last_seen is None else instant_text(standing.last_seen),
        "clock_offset_s": None if standing.offset is None else round(standing.offset.total_seconds(), 3),
    }
