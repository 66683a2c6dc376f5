"""Acknowledges to the broker what it has sent, in the order of arrival, whichever was done first (MQTT 3.1.1, 4.6)."""

from collections import deque
from dataclasses import dataclass

import aiomqtt

from gateway.clock import Clock
from gateway.mqtt.connection import Connection


@dataclass(slots=True, eq=False)
class Receipt:
    """What is owed for one message: until it is given, the broker keeps the message and brings it again."""

    mid: int
    qos: int
    done: bool = False


class Receipts:
    """Those of one connection. As many as the broker lets be on its way, and so not bounded here: 65,535 with QoS 1."""

    def __init__(self, client: Connection, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._owed: deque[Receipt] = deque()
        self._stirred_at = clock.monotonic()

    @property
    def quiet_s(self) -> float:
        """For how long nothing has come though the broker has room for it; 0 while anything is owed."""
        return 0.0 if self._owed else self._clock.monotonic() - self._stirred_at

    def owe(self, message: aiomqtt.Message) -> Receipt:
        """A message has come."""
        receipt = Receipt(message.mid, message.qos)
        self._owed.append(receipt)
        return receipt

    def give(self, receipt: Receipt) -> None:
        """What the message asked for is done: acknowledge it, in its turn."""
        receipt.done = True
        while self._owed and self._owed[0].done:
            first = self._owed.popleft()
            self._client.acknowledge(first.mid, first.qos)
        self._stirred_at = self._clock.monotonic()
