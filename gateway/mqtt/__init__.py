"""The MQTT door: states and events go out to a broker without loss, commands to broadcast come in and are done at most once.

Out (QoS 1, under the prefix): `status`, retained, `online` once commands are listened to, or by the last will `offline`;
`devices/{id}/state`, retained; `events/{type}`, in the order of the log. The cursor of the last event that the broker has acknowledged is
in the store, so that after any break publishing goes on there; what the broker had but could not acknowledge comes again, as QoS 1
allows, with the same `cursor`.

In: `commands/broadcasts`, the body of `POST /v1/broadcasts` with `id` and, for an answer, `reply_to` (a topic under `replies/`). A
command is acknowledged to the broker after our commit and after its answer, never before: the session is persistent, so a break brings
it back, and its id keeps it from being done twice. What is retained, expired or malformed is refused; what is known is answered from the
record. Refusals without a `reply_to` go to `replies/unaddressed`. That answer is the promise, not the broker's acknowledgement. MQTT
3.1.1 hides the retain flag from a live subscriber: there `not_after` and the ids are the defence. `commands/stop-all` silences
everything. It comes by a session of its own (`CLIENT-ID-stop-all`), ahead of all commands that wait here or at the broker. After a stop-all
by whichever door none of those is carried out any more: `commands/marker`, which the gateway sends to itself, tells where they end.

`door` has both sessions, `upkeep` keeps each connected, `connection` is the wire. `stops` and `commands` are what comes in, with `turns`,
`marker`, `receipts` and `answers`; `publishing` is what goes out.
"""

from gateway.mqtt.broadcasts import Sender
from gateway.mqtt.connection import Broker, Version
from gateway.mqtt.door import MqttDoor

__all__ = ["Broker", "MqttDoor", "Sender", "Version"]
