"""What a device says of a session in RTCP packets (RFC 3550, 6): what it has missed, and that it goes."""

from collections.abc import Iterable, Iterator

_BYE = 203
_REPORTS_AT = {200: 28, 201: 8}  # where the report blocks of an SR, and of an RR, begin
_REPORT_BYTES = 24


def says_goodbye(compound: bytes) -> bool:
    """Whether an RTCP compound packet holds a BYE (RFC 3550, 6.6)."""
    return _BYE in _types(compound)


def missed(compound: bytes) -> int | None:
    """How many packets its sender says to have missed in all, in the first report of an RTCP compound packet (RFC 3550, 6.4).

    None when it reports nothing. Whose packets, is not looked at: where this is asked, there is one source, ourselves.
    """
    for kind, start, end in _packets(compound):
        block = start + _REPORTS_AT.get(kind, len(compound))
        if compound[start] & 0x1F and block + _REPORT_BYTES <= end <= len(compound):
            return max(0, int.from_bytes(compound[block + 5 : block + 8], signed=True))
    return None


def latest_missed(reports: Iterable[bytes], known: int | None) -> int | None:
    """What the last of some RTCP packets that says so says to have missed; `known` when none does."""
    for report in reports:
        said = missed(report)
        known = known if said is None else said
    return known


def _types(compound: bytes) -> Iterator[int]:
    return (kind for kind, _, _ in _packets(compound))


def _packets(compound: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each packet; the last one may end beyond what there is."""
    position = 0
    while position + 4 <= len(compound) and compound[position] & 0xC0 == 0x80:
        end = position + 4 * (1 + int.from_bytes(compound[position + 2 : position + 4]))
        yield compound[position + 1], position, end
        position = end
