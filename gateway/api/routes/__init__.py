"""What the API can do, one module a noun."""

from collections.abc import Sequence

from gateway.api.routes import devices, events, session
from gateway.api.routing import Routes

TABLES: Sequence[Routes] = (
    session.routes,
    devices.routes,
    events.routes,
)
