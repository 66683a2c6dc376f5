"""Takes out of a recording what must not leave the device: passwords and keys, logins in URIs, and its identity when asked to."""

import re
from dataclasses import dataclass
from typing import Final

REMOVED: Final = b"removed"
_SECRET_ELEMENTS: Final = re.compile(
    rb"(<((?:[\w.-]+:)?(?:Password|Passphrase|Key|PSK|PrivateKey|Secret|Token64|Username|BinarySecurityToken))\b[^>/]*>)[^<]*(</\2>)"
)
_USER_IN_URI: Final = re.compile(rb"(\w+://)[^/@<\s\"']*@")
_SECRET_PARAMETERS: Final = re.compile(
    rb"(?i)([?&;]|&amp;)((?:user(?:name)?|usr|u|loginuse|pass(?:word|wd)?|pwd|p|loginpas|auth|token|sid)=)[^&;<\"'\s]*"
)
_SERIAL: Final = re.compile(rb"<(?:[\w.-]+:)?(?:SerialNumber|HardwareId)\b[^>]*>\s*([^<\s][^<]*?)\s*<")
_MAC_TEXT: Final = re.compile(rb"\b[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}\b")
_SHORTEST_SERIAL: Final = 4


@dataclass(frozen=True)
class Scrubber:
    """`secrets`: texts that go wherever they stand, such as the login itself. `identity`: serial numbers and hardware addresses go, too."""

    secrets: tuple[bytes, ...] = ()
    identity: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, answers: list[bytes], *, secrets: tuple[str, ...], hide_identity: bool) -> "Scrubber":
        """One that knows what `answers` tell of the device: the same serial number goes everywhere."""
        known = tuple(secret.encode() for secret in secrets if secret)
        if not hide_identity:
            return cls(known)
        serials = {serial for answer in answers for serial in _SERIAL.findall(answer) if len(serial) >= _SHORTEST_SERIAL}
        macs = {found[0] for answer in answers for found in re.finditer(_MAC_TEXT, answer)}
        plain = {re.sub(rb"[:-]", b"", mac) for mac in macs}
        return cls(known, tuple(sorted(serials | macs | plain, key=len, reverse=True)))

    def scrubbed(self, answer: bytes) -> bytes:
        """The answer without them; it stays well-formed."""
        answer = _SECRET_ELEMENTS.sub(rb"\1" + REMOVED + rb"\3", answer)
        answer = _USER_IN_URI.sub(rb"\1", answer)
        answer = _SECRET_PARAMETERS.sub(rb"\1\2" + REMOVED, answer)
        for secret in self.secrets:
            answer = re.sub(re.escape(secret), REMOVED, answer)
        for told in self.identity:
            answer = re.sub(re.escape(told), lambda found: _blank(found[0]), answer, flags=re.IGNORECASE)
        return answer


def _blank(told: bytes) -> bytes:
    """The same shape with every digit 0: what parses as a hardware address still does."""
    return re.sub(rb"[0-9A-Za-z]", b"0", told)
