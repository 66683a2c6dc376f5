"""Who speaks to a view when the loudspeaker that should cannot be reached: the next one that is bound to it, each at most once."""

from collections.abc import Mapping, Sequence

from gateway.broadcast.routing import ViewRoute
from gateway.domain.broadcast import DeliveryState
from gateway.domain.devices import DeviceId

_UNHEARD = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED})
"""How a delivery ends of which nothing was heard, as far as nothing had begun."""


class Understudies:
    """The views of one broadcast, each with who speaks to it now and who is left to be tried."""

    def __init__(self, views: Sequence[ViewRoute]) -> None:
        self._views = [[view.speaker, *view.spares] for view in views]

    def after(self, lost: DeviceId, states: Mapping[DeviceId, DeliveryState]) -> list[DeviceId]:
        """`lost` cannot be reached: who begins now, one for each view that it was to speak to. `states`: of all that take part already.

        A view whose next one takes part already, for whatever reason, is content with that one until it is lost, too.
        """
        called: list[DeviceId] = []
        for line in self._views:
            if line and line[0] == lost:
                del line[0]
                while line and states.get(line[0]) in _UNHEARD:
                    del line[0]
                if line and line[0] not in states and line[0] not in called:
                    called.append(line[0])
        return called
