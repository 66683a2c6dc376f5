"""WS-UsernameToken with PasswordDigest, as ONVIF Core §5.9.4 has it: verified against the device's own clock."""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from simulators.digest import Remembered, Verdict

WINDOW_S: Final = 30.0
"""How far Created may be from the device's clock."""
_WSSE: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
_DIGEST_TYPE: Final = "#PasswordDigest"


def verify(
    header: etree._Element | None, *, username: str, password: str, device_time: float, seen: Remembered, window_s: float = WINDOW_S
) -> Verdict:
    """Check the token in a SOAP header; a password in clear is refused."""
    token = _token(header)
    if token is None:
        return Verdict.NONE
    said = {child.tag: (child.text or "").strip() for child in token}
    created, nonce = said.get(f"{_WSU}Created", ""), _decoded(said.get(f"{_WSSE}Nonce", ""))
    if not created or nonce is None or said.get(f"{_WSSE}Username") != username or not _is_digest(token):
        return Verdict.WRONG
    expected = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest())
    if not hmac.compare_digest(expected, said.get(f"{_WSSE}Password", "").encode()):
        return Verdict.WRONG
    if not _is_fresh(created, device_time, window_s):
        return Verdict.SKEWED
    return Verdict.GOOD if seen.first_time(said[f"{_WSSE}Nonce"]) else Verdict.REPLAYED


def has_token(header: etree._Element | None) -> bool:
    """Whether a SOAP header carries a token at all."""
    return _token(header) is not None


def _token(header: etree._Element | None) -> etree._Element | None:
    return None if header is None else next(header.iter(f"{_WSSE}UsernameToken"), None)


def _is_digest(token: etree._Element) -> bool:
    password = token.find(f"{_WSSE}Password")
    return password is not None and password.get("Type", "").endswith(_DIGEST_TYPE)


def _decoded(nonce: str) -> bytes | None:
    try:
        return base64.b64decode(nonce, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _is_fresh(created: str, device_time: float, window_s: float) -> bool:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return False
    return abs((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - device_time) <= window_s
