"""Broken XML that devices are known to send, mended: a wrong character set, prefixes without a declaration, NUL bytes at the end.

Only what a strict parser has refused comes here, and only these three are mended. What is malformed in any other way, cut short or foreign
stays as it is, for the parser to refuse again. Nothing here grows with more than the answer's own size.
"""

import re
from typing import NamedTuple

CHARSET = "gb18030"
"""What Chinese firmware writes where it declares UTF-8: GBK, or GB 18030, which includes it."""


class Mended(NamedTuple):
    """An answer anew, and in which character set it had been written, "" for the declared one."""

    body: bytes
    charset: str


def mended(body: bytes) -> Mended | None:
    """`body` without what devices are known to do wrong; None when none of that is in it."""
    text = in_utf8(body.rstrip(b"\0"))
    charset = CHARSET if text is not None else ""
    whole = _declared(body.rstrip(b"\0") if text is None else text)
    return None if whole == body else Mended(whole, charset)


def in_utf8(body: bytes, *, known: bool = False) -> bytes | None:
    """`body` written anew in UTF-8 when it is Chinese and not that; None when it is UTF-8, or neither.

    `known`: the device has been caught writing Chinese before, so that what is both is Chinese.
    """
    if body.isascii() or (_is_utf8(body) and not known):
        return None
    declaration = _DECLARATION.match(body)
    if declaration is not None and _OTHER.search(declaration[0]):
        return None
    try:
        return body.decode(CHARSET).encode()
    except UnicodeDecodeError:
        return None


_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]{0,128}>")
_OTHER = re.compile(rb"encoding\s*=\s*[\"'](?!utf-?8[\"'])", re.IGNORECASE)
_ROOT = re.compile(rb"<(?:[A-Za-z][\w-]{0,15}:)?Envelope\b")
_NAMESPACES = {
    b"wsa": b"http://www.w3.org/2005/08/addressing",
    b"ter": b"http://www.onvif.org/ver10/error",
}


def _declared(body: bytes) -> bytes:
    """An envelope that uses a known prefix and never declares it, with the declaration."""
    root = _ROOT.search(body, 0, 1024)
    if root is None:
        return body
    missing = [prefix for prefix in _NAMESPACES if re.search(rb"[<\s/]%b:\w" % prefix, body) and b"xmlns:%b=" % prefix not in body]
    declarations = b"".join(b' xmlns:%b="%b"' % (prefix, _NAMESPACES[prefix]) for prefix in missing)
    return body[: root.end()] + declarations + body[root.end() :]


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
