"""A loudspeaker that is a telephone: called to be spoken through, asked by OPTIONS who it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.clock import Clock
from gateway.domain.devices import Credentials, Place
from gateway.drivers.base import AudioSession, Hardware, Identity, Target
from gateway.drivers.refusals import Door, Refusals
from gateway.drivers.sip.agent import SipAgent, Way, deadline
from gateway.drivers.sip.call import Plan
from gateway.drivers.sip.exchange import ExchangeBooks
from gateway.drivers.sip.manner import manner_of
from gateway.drivers.sip.options import Inquiry, identity_of
from gateway.drivers.sip.session import host_and_port, open_call, uri_of
from gateway.errors import AuthenticationFailed, DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Told:
    """What a telephone answered. `hardware`: addresses in the words with which it names itself; `refused`: why it does not take our
    password, None when it does, or does not ask for one."""

    identity: Identity
    hardware: Hardware
    refused: AuthenticationFailed | None


class SipSpeaker:
    """A `StreamPath` of `drivers.speaker`, and the `IdentitySource` of `drivers.base`, of a device that speaks SIP.

    A password that it has refused is not said again until the inventory has another one, or somebody says so (rule 5).
    """

    __slots__ = ("_agent", "_calls", "_clock", "_exchange", "_refusals", "_target_now", "_told")

    def __init__(
        self,
        agent: SipAgent,
        target: Callable[[], Target],
        clock: Clock,
        refusals: Refusals | None = None,
        exchange: ExchangeBooks | None = None,
    ) -> None:
        """`target`: how the inventory has the device now; `refusals`: the device's, its own without; `exchange`: what is known of the login
        with which calls are made, where they go by way of one."""
        self._agent = agent
        self._clock = clock
        self._target_now = target
        self._told: tuple[Place, Hardware] | None = None
        self._refusals = refusals or Refusals()
        self._exchange = exchange
        self._calls = Refusals(exchange, clock) if exchange is not None else self._refusals

    def try_again(self) -> None:
        """Somebody says that the password is right now, and the exchange's."""
        self._refusals.forget()
        if self._exchange is not None:
            self._calls.forget()
            self._exchange.let_in()

    async def prepare(self, *, timeout_s: float) -> None:
        """There is nothing to find: a telephone is called where the inventory says."""

    async def open(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        """Call it until it has taken the call; see `open_call`."""
        target = self._target_now()
        with self._calls.minded(self._logging_in(target), Door.SIP) as attempt:
            anonymous = attempt.refused is not None
            manner = manner_of(target.speaker)
            session = await open_call(self._agent, target, prefer=prefer, timeout_s=timeout_s, manner=manner, anonymous=anonymous)
            attempt.taken = session.let_in
            if session.let_in and self._exchange is not None:
                self._exchange.let_in()
            return session

    def _logging_in(self, target: Target) -> Target:
        """The device with the login that a call shows: the exchange's, where there is one."""
        outbound = self._agent.outbound
        return target if outbound is None else replace(target, credentials=outbound.credentials)

    async def ask(self, *, timeout_s: float) -> Told:
        """One OPTIONS, and a second one when it asks who we are; any answer at all is one.

        Raises Unreachable, DeadlineExceeded.
        """
        target, asked_at = self._target_now(), self._clock.monotonic()
        known = self._refusals.known(target, Door.SIP)
        credentials = target.credentials if known is None else Credentials()
        async with deadline(target, timeout_s):
            conversation = await self._agent.open(_way(target), partial(self._inquiry, target, credentials))
            try:
                await conversation.until(lambda inquiry: inquiry.done)
            finally:
                conversation.close()
        inquiry = conversation.machine
        if inquiry.answer is None:
            raise DeadlineExceeded(f"{target.device}: no answer over SIP")
        if known is None and inquiry.refused is not None:
            self._refusals.note(target, Door.SIP, inquiry.refused)
        identity, hardware = identity_of(inquiry.answer)
        refused = (known or inquiry.refused) if inquiry.answer.status in (401, 407) else None
        told = Told(identity, Hardware(tuple(hardware), asked_at), refused)
        self._told = target.place, told.hardware
        return told

    async def identity(self, *, timeout_s: float) -> Identity:
        """What it calls itself; a telephone tells no serial number. Raises AuthenticationFailed when it does not take our password."""
        told = await self.ask(timeout_s=timeout_s)
        if told.refused is not None:
            raise told.refused
        return told.identity

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        """Those in the words with which it names itself; none for most models."""
        if self._told is not None:
            place, known = self._told
            if place == self._target_now().place and self._clock.monotonic() - known.asked_at <= fresh_s:
                return known
        return (await self.ask(timeout_s=timeout_s)).hardware

    def _inquiry(self, target: Target, credentials: Credentials, host: str, port: int, now: float) -> Inquiry:
        manner = manner_of(target.speaker)
        plan = Plan(
            device=target.device,
            uri=uri_of(target, manner),
            ours=host_and_port(host, port),
            transport=manner.transport.upper(),
            offer=b"",
            credentials=credentials,
        )
        return Inquiry(plan, token=self._agent.token, now=now, timing=self._agent.timing)


def _way(target: Target) -> Way:
    return Way(target.address, target.ports.sip, manner_of(target.speaker).transport)
