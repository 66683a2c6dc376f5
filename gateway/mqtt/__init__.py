"""The MQTT door: states and events go out to a broker without loss, commands to broadcast come in and are done at most once.

Out (QoS 1, under the prefix): `devices/{id}/state`, retained; `events/{type}`, in the order of the log. The cursor of the last event that
the broker has acknowledged is in the store, so that after any break publishing goes on there; what the broker had but could not
acknowledge comes again, as QoS 1 allows, with the same `cursor` in it.

In: `commands/broadcasts`, the body of `POST /v1/broadcasts` with `id` and, for an answer, `reply_to`. A command is acknowledged to the
broker after our commit and after its answer, never before: the session is persistent, so a break brings it back, and its id keeps it
from being done twice. What is retained, expired, known or malformed is refused, and told so on `reply_to`. That answer is the promise,
not the broker's acknowledgement. MQTT 3.1.1 hides the retain flag from a live subscriber: there `not_after` and the ids are the defence.
"""

from gateway.mqtt.connection import Broker, Version
from gateway.mqtt.door import MqttDoor

__all__ = ["Broker", "MqttDoor", "Version"]
