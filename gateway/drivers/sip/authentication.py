"""Answers to the challenges of a device or a proxy (RFC 3261, 22; RFC 8760): what to show, and when to stop trying."""

from collections.abc import Sequence
from typing import Final

from gateway.domain.devices import Credentials
from gateway.drivers import digest
from gateway.drivers.textual import Response
from gateway.errors import AuthenticationFailed

CHALLENGES: Final = 6
"""New nonces that are answered in one call; who wants more is not after our password."""
_ASKED: Final = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


class Login:
    """What one conversation shows of its credentials. `device`: for messages; `one_realm`: they are those of whoever asks first, as of an
    exchange, and nobody behind it sees them."""

    def __init__(self, device: str, credentials: Credentials, *, one_realm: bool = False) -> None:
        self._device = device
        self._credentials = credentials
        self._one_realm = one_realm
        self._digests: dict[str, digest.Digest] = {}
        self._nonces: set[str] = set()

    @property
    def said(self) -> bool:
        """Whether somebody has asked, and our requests prove who we are."""
        return bool(self._digests)

    def fields(self, method: str, uri: str) -> Sequence[tuple[str, str]]:
        """The header fields that prove who we are, for one request; none before somebody has asked."""
        return [(name, known.answer(method, uri)) for name, known in self._digests.items()]

    def take(self, response: Response, *, trusted: bool) -> None:
        """Prepare another try after a 401 or 407. `trusted`: it has accepted our password in this conversation before.

        Raises AuthenticationFailed when what we know has been refused already (rule 5), or cannot be shown safely, as forbidden when it is
        not meant for who asks, and as stale-nonce when no nonce is taken; neither says anything against the password.
        """
        asked, told = _ASKED[response.status]
        if not self._credentials.username:
            raise AuthenticationFailed(
                f"{self._device}: asks for a password over SIP and there is none",
                hint="Add the device's user name and password to the inventory.",
            )
        challenge = digest.choose(response.headers.all(asked))
        if self._one_realm and any(known.challenge.realm != challenge.realm for known in self._digests.values()):
            raise AuthenticationFailed(
                f"{self._device}: asks for a password of its own behind the exchange",
                code="forbidden",
                hint="Let the loudspeaker take calls that come from the exchange without a password.",
            )
        known = self._digests.get(told)
        again = known is not None and challenge.nonce == known.challenge.nonce
        if known is not None and not challenge.stale and (again or not trusted):
            raise AuthenticationFailed(
                f"{self._device}: refuses our password over SIP",
                hint="Correct the device's password in the inventory, or, if it is right, check the device with retry_credentials.",
            )
        if len(self._nonces) >= CHALLENGES or challenge.nonce in self._nonces:
            raise AuthenticationFailed(
                f"{self._device}: calls every login stale over SIP",
                code="stale-nonce",
                hint="Restart the device, or update its firmware: it takes no login, be it right.",
            )
        self._nonces.add(challenge.nonce)
        self._digests[told] = digest.Digest(challenge, self._credentials)
