"""Whether an SM2 signature over SM3 fits (GB/T 32918.2-2016, section 7; GB/T 32918.5-2017, the recommended curve). Public values alone."""

from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

Point = tuple[int, int]

SIGNER_ID: Final = b"1234567812345678"
"""The signer's identifier that everybody takes who has no other (GM/T 0009-2012, section 10)."""
_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A: Final = _P - 3
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
_SPKI: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200" + "04")
"""What stands before the point in the one form of an SM2 key's SubjectPublicKeyInfo (RFC 5480; GM/T 0006: 1.2.156.10197.1.301)."""


def sm3(data: bytes) -> bytes:
    """The digest (GB/T 32905-2016)."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def sm3_of(pieces: Iterable[bytes]) -> str:
    """The digest of what comes in pieces, hex."""
    digest = hashes.Hash(hashes.SM3())
    for piece in pieces:
        digest.update(piece)
    return digest.finalize().hex()


def read_key(spki: bytes) -> Point:
    """The point in a SubjectPublicKeyInfo, DER. ValueError when it is no SM2 key, or written otherwise than openssl writes it."""
    point = spki.removeprefix(_SPKI)
    if len(point) != len(spki) - len(_SPKI) or len(point) != 64:
        raise ValueError("it is no SM2 key")
    x, y = int.from_bytes(point[:32]), int.from_bytes(point[32:])
    if not (x < _P and y < _P and (y * y - x * x * x - _A * x - _B) % _P == 0):
        raise ValueError("it is no point of the curve")
    return x, y


def fits(key: Point, signature: bytes, data: bytes) -> bool:
    """Whether `signature`, DER, was made over `data` with the key that belongs to `key`."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    t = (r + s) % _N
    if not (0 < r < _N and 0 < s < _N and t) or encode_dss_signature(r, s) != signature:
        return False
    found = _sum(_times(s, _G), _times(t, key))
    e = int.from_bytes(sm3(_identity(key) + data))
    return found is not None and (e + found[0]) % _N == r


def _identity(key: Point) -> bytes:
    """Z, which binds the signer's identifier and key to the message (section 5.5)."""
    numbers = (_A, _B, *_G, *key)
    return sm3((8 * len(SIGNER_ID)).to_bytes(2) + SIGNER_ID + b"".join(number.to_bytes(32) for number in numbers))


def _times(factor: int, point: Point) -> Point | None:
    found = None
    for bit in bin(factor)[2:]:
        found = _sum(found, found)
        if bit == "1":
            found = _sum(found, point)
    return found


def _sum(one: Point | None, other: Point | None) -> Point | None:
    """Of two points; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % _P == 0:
        return None
    up, along = (3 * one[0] * one[0] + _A, 2 * one[1]) if one == other else (other[1] - one[1], other[0] - one[0])
    slope = up * pow(along, -1, _P)
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P
