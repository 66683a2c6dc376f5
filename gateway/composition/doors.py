"""The doors beside the API: MQTT, and the messages to people."""

from datetime import timedelta
from functools import partial

from gateway.api.orders import read_order
from gateway.api.problems import problem_of
from gateway.api.services import Caller
from gateway.broadcast.service import BroadcastService
from gateway.composition.ground import Ground
from gateway.domain.access import Permission, Role, permissions
from gateway.domain.events import Actor, ActorKind
from gateway.mqtt import Broker, MqttDoor, Sender
from gateway.notify.notifier import Notifier


def make_mqtt(ground: Ground, broadcasts: BroadcastService) -> MqttDoor | None:
    """None where no broker is configured."""
    settings = ground.config.mqtt
    if settings.url is None:
        return None
    rights = permissions({Role.PLATFORM}) | ({Permission.BROADCAST_EMERGENCY} if settings.emergencies else frozenset())
    platform = Caller(Actor(ActorKind.API_KEY, f"mqtt:{settings.client_id}"), "mqtt", rights)
    return MqttDoor(
        Broker.of(settings),
        prefix=settings.prefix,
        store=ground.store,
        city=ground.city,
        board=ground.board,
        circumstances=ground.circumstances,
        clock=ground.clock,
        broadcasts=broadcasts,
        sender=Sender(
            platform.actor,
            read_order=partial(read_order, caller=platform, city=ground.city),
            problem=lambda error: problem_of(error).body(),
            body_bytes=ground.config.limits.body_bytes,
        ),
    )


def make_alerts(ground: Ground, mqtt: MqttDoor | None) -> Notifier:
    return Notifier(
        ground.config.alerts_file,
        store=ground.store,
        city=ground.city,
        clock=ground.clock,
        publish=None if mqtt is None else mqtt.publish,
        muted_by=lambda device: ground.circumstances[device].muted or "",
        download_for=timedelta(hours=ground.config.footage.download_hours),
    )
