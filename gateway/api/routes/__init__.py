"""What the API can do, one module a noun."""

from collections.abc import Sequence

from gateway.api.routes import (
    alerts,
    audit,
    broadcasts,
    bulk,
    cameras,
    clips,
    descriptions,
    devices,
    duty,
    events,
    footage,
    groups,
    health,
    incidents,
    inventory,
    keys,
    maintenance,
    neighbours,
    operations,
    power,
    session,
    traps,
)
from gateway.api.routing import Routes

TABLES: Sequence[Routes] = (
    session.routes,
    devices.routes,
    groups.routes,
    health.routes,
    incidents.routes,
    maintenance.routes,
    alerts.routes,
    duty.routes,
    descriptions.routes,
    traps.routes,
    power.routes,
    cameras.routes,
    clips.routes,
    broadcasts.routes,
    footage.routes,
    inventory.routes,
    bulk.routes,
    events.routes,
    audit.routes,
    keys.routes,
    neighbours.routes,
    operations.routes,
)
