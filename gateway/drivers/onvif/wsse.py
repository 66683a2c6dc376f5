"""WS-UsernameToken with a password digest (OASIS WSS UsernameToken Profile 1.0, 3.1; ONVIF Core, 5.9.4)."""

import hashlib
from binascii import b2a_base64
from datetime import datetime
from xml.sax.saxutils import escape


def username_token(username: str, password: str, *, created: datetime, nonce: bytes) -> bytes:
    """The Security header. `created`: UTC, by the device's clock; always written with `Z`, because Hikvision refuses "+00:00"."""
    stamp = (created.isoformat(timespec="milliseconds")[:23] + "Z").encode()
    digest = hashlib.sha1(nonce + stamp + password.encode(), usedforsecurity=False).digest()
    return _TOKEN % (escape(username).encode(), b2a_base64(digest, newline=False), b2a_base64(nonce, newline=False), stamp)


_OASIS = b"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_TOKEN = (
    b'<wsse:Security xmlns:wsse="' + _OASIS + b'wssecurity-secext-1.0.xsd"><wsse:UsernameToken><wsse:Username>%b</wsse:Username>'
    b'<wsse:Password Type="' + _OASIS + b'username-token-profile-1.0#PasswordDigest">%b</wsse:Password>'
    b'<wsse:Nonce EncodingType="' + _OASIS + b'soap-message-security-1.0#Base64Binary">%b</wsse:Nonce>'
    b'<wsu:Created xmlns:wsu="' + _OASIS + b'wssecurity-utility-1.0.xsd">%b</wsu:Created></wsse:UsernameToken></wsse:Security>'
)
