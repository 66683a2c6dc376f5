"""Personal downloads: a link for one named person, counted, expiring and revocable, whose code nobody can read again.

The code never stands in an address. Every look, download and denial is a line of the custody log before anything goes out.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.events import Person
from gateway.domain.footage import FootageRequest, RequestId, Step, check_release
from gateway.domain.handover import WRONG_CODES_MAX, Denial, Link, LinkId, Span, Take, denial, taken, written
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.evidence import archive
from gateway.evidence.contents import BESIDE, SUMS, SUMS_SIGNATURE, names_in
from gateway.footage.comparing import Comparer
from gateway.footage.custody import write_down
from gateway.footage.refusals import RefusalDesk
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

AT_ONCE: Final = 16
"""Downloads under way at once, by all links together."""
STANDING_MAX: Final = 20
"""Links of one request that open something at once."""
_SHOWN_BADGE: Final = 64
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike on paper


@dataclass(frozen=True, slots=True)
class Wanted:
    """A link as it is asked for. `names`: files; none stands for everything. `downloads` and `hours` at most as the rules have it."""

    receiver: str
    badge: str
    unit: str = ""
    names: tuple[str, ...] = ()
    downloads: int | None = None
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A new link with its code, which is told this once."""

    link: Link
    code: str


@dataclass(frozen=True, slots=True)
class Offered:
    """A file that a link opens. `sha256`: of its bytes, "" for the ZIP of several `paths`; `mark` tells its bytes from all others.

    `digests`: name to SHA-256 (hex) of what goes out, as far as it is listed.
    """

    name: str
    paths: tuple[Path, ...]
    size: int
    mark: str
    digests: Mapping[str, str]
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that was opened, with what it opens and the takes so far. `where`: the address that asked."""

    link: Link
    where: str
    request: FootageRequest
    takes: tuple[Take, ...]


class LinkDesk:
    """Makes links, lets their holders in, and keeps count."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        refusals: RefusalDesk,
        folder_of: Callable[[RequestId], Path],
        gone: Callable[[RequestId], bool],
        comparer: Comparer,
        downloads: int,
        lasts: timedelta,
        new_id: Callable[[], str] = lambda: f"L-{secrets.token_hex(10)}",
        new_code: Callable[[], str] = lambda: spelled(secrets.token_bytes(20)),
    ) -> None:
        """`gone`: whether a request ended in this life (`Ledger.gone`).

        `downloads`: how often a file of a request goes out at most, by all its links; `lasts`: from when it is ready until they end.
        """
        self._store = store
        self._clock = clock
        self._refusals = refusals
        self._folder_of = folder_of
        self._gone = gone
        self._comparer = comparer
        self._downloads = downloads
        self._lasts = lasts
        self._new_id = new_id
        self._new_code = new_code
        self._under_way = 0
        self._ended: set[LinkId] = set()

    # -- making and ending --------------------------------------------------------------------------------------------

    async def make(self, request: RequestId, wanted: Wanted, *, by: Person) -> Made:
        """A link for `wanted.receiver`, at most until the request's time for downloads is over.

        What `check_release` raises, Conflict (`download-expired`, `too-many-links`), on record; InvalidInput for names that are not there.
        """
        async with self._store.read() as tx:
            known = await tx.footage.get(request)
        async with self._refusals.denials(request, by=by, name="link"):
            until = self._check_deliverable(known, self._clock.now())
        await self._check_names(request, wanted.names)
        now, code = self._clock.now(), self._new_code()
        link = Link(
            id=LinkId(self._new_id()),
            request=request,
            receiver=wanted.receiver,
            unit=wanted.unit,
            badge=wanted.badge,
            names=tuple(dict.fromkeys(wanted.names)),
            downloads=min(wanted.downloads or self._downloads, self._downloads),
            code_hash=_hashed(code),
            made_by=by,
            made_at=now,
            expires_at=min(now + (wanted.lasts or self._lasts), until),
        )

        async def change(tx: Tx) -> Made:
            standing = [one for one in await tx.hand_over.links(request) if one.revoked_at is None and now < one.expires_at]
            if len(standing) >= STANDING_MAX:
                raise Conflict(f"a request has at most {STANDING_MAX} links", code="too-many-links", hint="revoke one that is not needed")
            await tx.hand_over.add_link(link)
            told = {name: getattr(link, name) for name in ("receiver", "unit", "badge", "downloads")}
            detail = {"link": link.id, **told, "names": list(link.names), "expires_at": link.expires_at.isoformat()}
            await write_down(tx, request, Step.LINKED, by=by, at=now, detail=detail)
            return Made(link, code)

        async with self._refusals.denials(request, by=by, name="link"):
            return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def revoke(self, link: LinkId, *, by: Person) -> Link:
        """From now on it opens nothing; a download that is under way is cut off. NotFound; a link that was revoked stays as it is."""

        async def change(tx: Tx) -> Link:
            known = await tx.hand_over.link(link)
            if known.revoked_at is not None:
                return known
            at = self._clock.now()
            gone = replace(known, revoked_by=by, revoked_at=at)
            await tx.hand_over.put_link(gone)
            detail = {"link": link, "receiver": known.receiver}
            await write_down(tx, known.request, Step.LINK_REVOKED, by=by, at=at, detail=detail)
            return gone

        done = await self._store.writer.write(change, lane=Lane.FOOTAGE)
        self._ended.add(link)
        return done

    async def of(self, request: RequestId) -> list[tuple[Link, list[Take]]]:
        """The links of a request, the newest first, with what was taken by each. NotFound."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return [(link, await tx.hand_over.takes(link.id)) for link in await tx.hand_over.links(request)]

    async def link(self, link: LinkId) -> Link:
        """NotFound."""
        async with self._store.read() as tx:
            return await tx.hand_over.link(link)

    # -- using --------------------------------------------------------------------------------------------------------

    async def enter(self, link: LinkId, badge: str, code: str, *, where: str) -> Visit:
        """Let somebody in who says to be the holder. Forbidden (`wrong-code`), also for no such link; Conflict as `Denial`."""
        try:
            async with self._store.read() as tx:
                known = await tx.hand_over.link(link)
                request = await tx.footage.get(known.request)
                takes = tuple(await tx.hand_over.takes(link))
        except NotFound:
            raise _wrong() from None
        right = hmac.compare_digest(_hashed(_typed(code)), known.code_hash) and _same(badge, known.badge)
        if not right and known.wrong < WRONG_CODES_MAX:
            await self._deny(known, Denial.WRONG_CODE, where, badge=badge[:_SHOWN_BADGE])
            raise _wrong()
        why = denial(known, request.state, now=self._clock.now())
        if why is not None:
            await self._deny(known, why, where)
            raise _wrong() if not right else Conflict(_SAID[why], code=why, hint="ask who made the link")
        return Visit(known, where, request, takes)

    async def look(self, visit: Visit) -> list[Offered]:
        """What there is to fetch; that it was looked at is on record."""
        files = await self._offered(visit, None)

        async def change(tx: Tx) -> None:
            await self._noted(tx, visit, Step.LOOKED, {})

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        return files

    async def offer(self, visit: Visit, name: str) -> Offered:
        """The file `name`. NotFound, on record, when the link does not open it or it is not there."""
        found = await self._offered(visit, name)
        if not found:
            await self._deny(visit.link, Denial.NO_FILE, visit.where, name=name[:200])
            raise NotFound("this link opens no such file")
        return found[0]

    async def refuse_range(self, visit: Visit, name: str, asked: str) -> None:
        """Put on record that bytes were asked for that the file does not have."""
        await self._deny(visit.link, Denial.NO_RANGE, visit.where, name=name, range=asked[:100])

    async def begin(self, visit: Visit, file: Offered, span: Span) -> Take:
        """Count that `span` of `file` goes out, and write it down, before the first byte.

        Conflict (`downloads-used-up`), on record; Overloaded while too many downloads are under way. `end` must follow.
        """
        if self._under_way >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} downloads are under way", hint="try again soon")
        self._under_way += 1
        try:
            return await self._store.writer.write(lambda tx: self._begin(tx, visit, file, span), lane=Lane.FOOTAGE)
        except Conflict as conflict:
            self._under_way -= 1
            if conflict.code in set(Denial):
                await self._deny(visit.link, Denial(conflict.code), visit.where, name=file.name)
            raise
        except BaseException:
            self._under_way -= 1
            raise

    def pieces(self, file: Offered, span: Span) -> Iterator[bytes]:
        """The bytes of `span` of `file`; some pieces may be empty. OSError; Altered instead of what is not as it was sealed.

        What of a ZIP lies before `span` is read once, for its CRC-32 and its digest; another file as `Comparer.pieces` has it.
        """
        if file.sha256:
            return self._comparer.pieces(file.paths[0], span, file.sha256)
        return _first(archive.pieces(file.paths, span.start, digests=file.digests), span.length)

    async def end(self, take: Take, *, unsent: int) -> None:
        """The call is over; `unsent` bytes of what was booked for it did not go out."""
        self._under_way -= 1
        if unsent:
            await self._store.writer.write(lambda tx: tx.hand_over.correct(take, unsent=unsent), lane=Lane.FOOTAGE)

    def cut_off(self, link: Link) -> bool:
        """Whether a download that is under way has to end: its link was revoked, or its request ended meanwhile."""
        return link.id in self._ended or self._gone(link.request)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _begin(self, tx: Tx, visit: Visit, file: Offered, span: Span) -> Take:
        now = self._clock.now()
        link = await tx.hand_over.link(visit.link.id)  # as it is now: it may have been revoked since
        request = await tx.footage.get(link.request)
        if why := denial(link, request.state, now=now):
            raise Conflict(_SAID[why], code=why)
        self._check_deliverable(request, now)
        last = await tx.hand_over.last_take(link.id, file.name)
        take = taken(link, last, span, name=file.name, size=file.size, now=now)
        if last is None or take.number > last.number:
            self._check_taken(await tx.hand_over.times_taken(link.request), link.request, file.name)
        await tx.hand_over.put_take(take)
        detail: dict[str, Any] = {"name": file.name, "sha256": file.sha256, "download": take.number, "call": take.calls}
        await self._noted(tx, visit, Step.DOWNLOADED, detail | {"bytes": f"{span.start}-{span.end - 1}/{file.size}"})
        return take

    def _check_deliverable(self, request: FootageRequest, now: datetime) -> datetime:
        """Until when copies go out; what `check_release` raises, and Conflict (`download-expired`) when that is over."""
        check_release(request, now=now)
        until = request.ready_at and request.ready_at + self._lasts
        if until is None or now >= until:
            raise Conflict(_SAID[Denial.EXPIRED], code=Denial.EXPIRED, hint="file another request")
        return until

    def _check_taken(self, times: Mapping[str, int], request: RequestId, name: str) -> None:
        """Conflict (`downloads-used-up`) when footage went out as often as may be, by all links, by itself or in the ZIP of everything.

        What tells whether it is right may go out at any time.
        """
        whole = _zip_of(request)
        films = max((count for one, count in times.items() if one != whole and one not in BESIDE), default=0)
        used = times.get(whole, 0) + (films if name == whole else times.get(name, 0))
        if name not in BESIDE and used >= self._downloads:
            hint = "file another request"
            raise Conflict(f"the file was downloaded {used} times already, by all links", code=Denial.USED_UP, hint=hint)

    async def _noted(self, tx: Tx, visit: Visit, step: Step, detail: dict[str, Any]) -> None:
        link = visit.link
        told = {"link": link.id, "from": visit.where, **detail}
        await write_down(tx, link.request, step, by=link.holder, at=self._clock.now(), detail=told)

    async def _deny(self, link: Link, why: Denial, where: str, **about: str) -> None:
        async def change(tx: Tx) -> None:
            known = await tx.hand_over.link(link.id)
            denied = replace(known, denials=known.denials + 1, wrong=known.wrong + (why is Denial.WRONG_CODE))
            await tx.hand_over.put_link(denied)
            if written(denied.denials):
                detail = {"link": link.id, "from": where, "why": why, "denials": denied.denials, **about}
                await write_down(tx, link.request, Step.DENIED, by=link.holder, at=self._clock.now(), detail=detail)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _check_names(self, request: RequestId, wanted: Sequence[str]) -> None:
        there = await asyncio.to_thread(_package, self._folder_of(request))
        if unknown := [f"/names/{number}" for number, name in enumerate(wanted) if name not in there]:
            raise InvalidInput("the request has no such files", faults=[Fault(place, "is not there") for place in unknown])

    async def _offered(self, visit: Visit, name: str | None) -> list[Offered]:
        """The file `name`, or all files, of those that the link opens and that are there."""
        return await asyncio.to_thread(_found, self._folder_of(visit.link.request), visit.link, name)


_SAID: Final = {
    Denial.REVOKED: "the link was revoked",
    Denial.LOCKED: "the link is locked: too many wrong codes",
    Denial.EXPIRED: "the time for downloads is over",
    Denial.WRONG_STATE: "the files are not there any more",
}


def spelled(random: bytes) -> str:
    """A code of four groups of five letters and digits, of 20 random bytes."""
    letters = [_ALPHABET[byte % len(_ALPHABET)] for byte in random[:20]]
    return "-".join("".join(letters[at : at + 5]) for at in range(0, 20, 5))


def _typed(code: str) -> str:
    """A code as it was made, however it was typed."""
    letters = "".join(letter for letter in code.casefold() if letter.isalnum())
    return "-".join(letters[at : at + 5] for at in range(0, len(letters), 5))


def _hashed(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _same(one: str, other: str) -> bool:
    return "".join(one.split()).casefold() == "".join(other.split()).casefold()


def _wrong() -> Forbidden:
    return Forbidden("no link with this badge and code", code=Denial.WRONG_CODE, hint="the badge number and the code, as they were given")


def _package(folder: Path) -> dict[str, str]:
    """The files of the package, as its own list names them, with their digests; "" for the list itself. Nothing when it is gone."""
    try:
        listed = (folder / SUMS).read_bytes()
    except FileNotFoundError:
        return {}
    told = [line.partition(" *") for line in listed.decode("ascii").splitlines()]
    return dict.fromkeys(names_in(listed), "") | {name: digest for digest, _, name in told}


def _found(folder: Path, link: Link, wanted: str | None) -> list[Offered]:
    """What the link opens and is on the disk: the file `wanted`, or all."""
    package = _package(folder)
    found = [] if link.names or not package else _zipped(folder, _zip_of(link.request), package)
    for name, listed in package.items():
        path = folder / name
        if wanted in (None, name) and (not link.names or name in link.names) and path.is_file():
            digest = listed or _digest(path)
            found.append(Offered(name, (path,), path.stat().st_size, digest, {name: digest}, digest))
    return [file for file in found if wanted in (None, file.name)]


def _zip_of(request: RequestId) -> str:
    return f"{request}.zip"


def _zipped(folder: Path, name: str, package: Mapping[str, str]) -> list[Offered]:
    """The whole package as one; SHA256SUMS and its signature tell every byte of it. Nothing while a file is missing."""
    paths = tuple(folder / one for one in package)
    try:
        size = archive.length({path.name: path.stat().st_size for path in paths})
        mark = hashlib.sha256(f"{_digest(folder / SUMS)} {_digest(folder / SUMS_SIGNATURE)}".encode()).hexdigest()
    except FileNotFoundError:
        return []
    return [Offered(name, paths, size, mark, {one: digest for one, digest in package.items() if digest})]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _first(pieces: Iterator[bytes], left: int) -> Iterator[bytes]:
    """The first `left` bytes of `pieces`."""
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return
