"""A connection to the broker: its address and log-in, and a client that acknowledges only what it is told to."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiomqtt
import structlog
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway import config
from gateway.errors import InvalidInput

IN_FLIGHT = 20  # unacknowledged messages on the wire; mosquitto's own limit for MQTT 5
# Of messages that have come and wait to be read. More break the connection: what was not acknowledged comes again on the next one, except
# QoS 0. Whoever reads waits for nothing, so this is what comes while we subscribe: over MQTT 3.1.1, all that a broker likes to send.
INCOMING_BYTES = 64 << 20
MESSAGE_BYTES = 1_000  # what one takes beside its payload
UNACKNOWLEDGED_MAX = 200  # messages that the broker may send us before we acknowledge the first, told to it where it speaks MQTT 5
ANSWER_TIMEOUT_S = 5.0
SESSION_LIFE_S = 7 * 86_400
ONLINE, OFFLINE = b"online", b"offline"

_SILENT = logging.getLogger("gateway.mqtt.paho")  # what matters of it reaches us as an error; the rest is a line a packet
_SILENT.setLevel(logging.CRITICAL + 1)

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Version(Enum):
    """The protocol to speak. 3.1.1 is what every broker has; with 5 we say how much may be on its way to us, and see the retain flag."""

    V3_1_1 = aiomqtt.ProtocolVersion.V311
    V5 = aiomqtt.ProtocolVersion.V5


_VERSIONS = {"auto": (Version.V5, Version.V3_1_1), "5": (Version.V5,), "3.1.1": (Version.V3_1_1,)}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in to it."""

    host: str
    port: int
    client_id: str = "city-gateway"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30
    versions: tuple[Version, ...] = _VERSIONS["auto"]
    """In the order in which they are tried."""

    @classmethod
    def of(cls, settings: config.Mqtt) -> "Broker":
        """The broker of the configuration, its secret and certificates read from their files. InvalidInput when one cannot be read."""
        address = urlsplit(settings.url or "")
        secure = address.scheme == "mqtts"
        return cls(
            host=address.hostname or "127.0.0.1",
            port=address.port or (8883 if secure else 1883),
            client_id=settings.client_id,
            username=settings.username,
            password=None if settings.password_file is None else config.read_secret(settings.password_file),
            tls=_tls(settings) if secure else None,
            keepalive_s=settings.keepalive_s,
            versions=_VERSIONS[settings.version],
        )


class VersionRefused(aiomqtt.MqttError):
    """The broker does not speak this version, has hung up on it without a word, or says nothing to it."""


class Connection(aiomqtt.Client):
    """aiomqtt's client, which alone acknowledges a message before anybody has read it. This is the one place that reaches into it.

    The session outlives the connection: the broker keeps what comes for it, and what was not acknowledged, while it is away. When it
    breaks, the broker says `offline` on `will`, where there is one, retained (MQTT 3.1.1, 3.1.2.5).
    """

    session_kept = False
    """Whether the broker still had this client's session, and so its subscriptions and what it had not acknowledged."""

    def __init__(self, broker: Broker, version: Version, *, client_id: str, will: str | None = None) -> None:
        self._v5 = version is Version.V5
        self._flooded = False
        self._incoming_bytes = 0
        super().__init__(
            broker.host,
            broker.port,
            identifier=client_id,
            username=broker.username,
            password=broker.password,
            protocol=version.value,
            keepalive=broker.keepalive_s,
            tls_context=broker.tls,
            will=None if will is None else aiomqtt.Will(will, OFFLINE, qos=1, retain=True),
            logger=_SILENT,
            max_inflight_messages=IN_FLIGHT,
            timeout=ANSWER_TIMEOUT_S,
            **(_lasting_v5() if self._v5 else {"clean_session": False}),
        )
        self._client.manual_ack_set(on=True)
        self.pending_calls_threshold = 1_000  # a burst of acknowledgements that are awaited is no reason for a warning

    async def __aenter__(self) -> Self:
        """Connect. VersionRefused, MqttError."""
        try:
            return await super().__aenter__()
        except BaseException as error:
            silent = type(error) is aiomqtt.MqttError and self._client.socket() is not None
            self._client.disconnect()  # aiomqtt leaves the socket open when it is cancelled or the broker does not answer,
            if silent or (isinstance(error, aiomqtt.MqttCodeError) and error.rc == _UNSUPPORTED):
                raise VersionRefused(str(error)) from None
            raise

    async def __aexit__(self, *exc: Any) -> None:
        try:
            await super().__aexit__(*exc)
        finally:
            self._client.disconnect()  # and when an error of paho's ended the connection

    async def arrivals(self) -> AsyncIterator[aiomqtt.Message]:
        """What has come, as soon as it has; does not end with the connection, whose end is told by `lost`."""
        while True:
            message = await self._queue.get()
            self._incoming_bytes -= MESSAGE_BYTES + len(message.payload)
            yield message

    def acknowledge(self, mid: int, qos: int) -> None:
        """Send the PUBACK of a message (MQTT 3.1.1, 4.3.2); until then the broker keeps it for this session."""
        self._client.ack(mid, qos)

    async def lost(self) -> None:
        """Raise MqttError as soon as the connection is gone; who awaits an acknowledgement would learn it only after `ANSWER_TIMEOUT_S`."""
        try:
            await asyncio.shield(self._disconnected)
        except aiomqtt.MqttError:
            raise
        except Exception as error:  # whatever the socket or paho's parser said
            raise aiomqtt.MqttError(f"{type(error).__name__}: {error}") from error
        raise aiomqtt.MqttError("the broker closed the connection")

    async def listen(self, topic: str) -> bool:
        """Subscribe with QoS 1; whether the broker allows it. MQTT 5 is asked to keep the retain flag: what has it is refused."""
        wanted = SubscribeOptions(qos=1, retainAsPublished=True)
        granted = await (self.subscribe(topic, options=wanted) if self._v5 else self.subscribe(topic, qos=1))
        return all((code if isinstance(code, int) else code.value) < _REFUSED for code in granted)

    async def leave(self, topic: str) -> None:
        """Unsubscribe, also from what a former life of the gateway has subscribed to; what waits already comes nevertheless."""
        await self.unsubscribe(topic)

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:
        """As aiomqtt's own, which loses a cancellation that comes together with the answer (`asyncio.wait_for` of Python 3.11 does)."""
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("the broker does not answer") from None

    def _on_connect(self, client: Any, userdata: Any, flags: ConnectFlags, *rest: Any) -> None:
        self.session_kept = bool(flags.session_present)
        super()._on_connect(client, userdata, flags, *rest)

    def _on_disconnect(self, client: Any, userdata: Any, *rest: Any) -> None:
        if not self._connected.done():
            self._connected.set_exception(VersionRefused("the broker closed the connection"))
        super()._on_disconnect(client, userdata, *rest)

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        cost = MESSAGE_BYTES + len(message.payload)
        if self._incoming_bytes + cost <= INCOMING_BYTES and not self._flooded:
            self._incoming_bytes += cost
            super()._on_message(client, userdata, message)
        elif not self._flooded:
            self._flooded = True
            log.warning("mqtt.flooded", waiting=self._queue.qsize())
            connected = self._client.socket()
            if isinstance(connected, socket.socket):
                connected.shutdown(socket.SHUT_RDWR)


_REFUSED = 0x80  # SUBACK, MQTT 3.1.1, 3.9.3
_UNSUPPORTED = 0x84  # CONNACK, MQTT 5, 3.2.2.2; paho makes it of the 1 of older brokers


def _lasting_v5() -> dict[str, Any]:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own lack
    properties.SessionExpiryInterval = SESSION_LIFE_S
    properties.ReceiveMaximum = UNACKNOWLEDGED_MAX  # else mosquitto sends 20, and an emergency behind as many slow commands waits
    return {"clean_start": False, "properties": properties}


def _tls(settings: config.Mqtt) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"the broker's certificates cannot be used: {error}", code="bad-certificate") from error
    return context
