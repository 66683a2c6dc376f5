"""Fetching an evidence package, on where an earlier attempt broke off, and verifying one without any gateway."""

import hashlib
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final
from urllib.parse import quote

import typer

from gateway.ctl.bars import Bars, bars
from gateway.ctl.client import TIMEOUT_S, Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import say
from gateway.ctl.session import client_of

_SUMS: Final = "SHA256SUMS"
_CHUNK: Final = 1 << 20
_PARTIAL_CONTENT: Final = 206
_COMPARED_PER_S: Final = 50 << 20
"""Bytes that a slow gateway compares in a second before it goes on with a file that broke off."""
_TAKES_BROUGHT: Final = ("unavailable", "failed")


def add_to(app: typer.Typer) -> None:
    app.command()(fetch)
    app.command()(verify)
    app.command("verify-page")(page)


def fetch(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")],
    *,
    to: Annotated[Path | None, typer.Option(help="The folder to write to; else one that is called as the request.")] = None,
    as_zip: Annotated[bool, typer.Option("--zip", help="One ZIP instead of a folder; --to is then the file.")] = False,
) -> None:
    """Download a request's files, fetched or brought, with all that proves them; what broke off goes on where it stopped.

    Each file's SHA-256 is compared before it gets its name; a file that is there already and right is not fetched again.
    """
    client = client_of(ctx)
    found = client.get(f"/v1/footage-requests/{request}")
    files = [file for file in (*found["files"], *found["brought"]) if not file["removed"]]
    if not files:
        raise Failed(f"The request is {found['state']} and has no files.", hint=_whence(request, found["state"]))
    with bars() as progress:
        if as_zip:
            _fetch_zip(client, request, to or Path(f"{found['id']}.zip"), progress)
        else:
            _fetch_all(client, request, files, to or Path(found["id"]), progress)


def verify(
    path: Annotated[Path, typer.Argument(help="The folder of a download, or its ZIP.")] = Path(),
    *,
    fingerprint: Annotated[str, typer.Option(help="SHA-256 of the certificate, as the gateway's operator told it.")] = "",
) -> None:
    """Say whether an evidence package is what the gateway signed, or which file is altered. Needs no gateway. Ends with 0 or 1."""
    from gateway.evidence import verifying  # only who verifies pays for the cryptography

    try:
        checked = verifying.verify(path, trusted=fingerprint)
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}", hint="Name the folder of a download, or its ZIP.") from None
    for altered in checked.altered:
        sys.stdout.write(f"ALTERED  {altered}\n")
    if checked.altered:
        raise Failed("This is not what the gateway signed.", hint="Download it again; keep this one as it is.")
    for file in checked.files:
        sys.stdout.write(f"{file.sha256}  {file.name}  ok\n")
    sys.stdout.write(f"VERIFIED  {_files(len(checked.files))}, certificate {checked.certificate}\n")
    if checked.unexplained:
        say(f"Signed too, by a later version, which explains it: {', '.join(map(ascii, checked.unexplained))}")
    if not fingerprint:
        say("Only the certificate proves the origin: compare it with what the gateway's operator tells, or give that with --fingerprint.")


def page(
    to: Annotated[Path, typer.Option(help="Where to write it.")] = Path("verify.html"),
) -> None:
    """Write verify.html, the page that verifies packages in a browser: a copy of your own, independent of any package."""
    from gateway.evidence.verify_page import verify_page  # only who writes it pays for it

    try:
        to.write_bytes(verify_page())
    except OSError as error:
        raise Failed(f"{to} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint="Give another file with --to.") from None
    say(f"{to}: open it with a browser, then choose or drop a package")


# -- fetching ---------------------------------------------------------------------------------------------------------


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _whence(request: str, state: str) -> str:
    """Where files may still come from in that state."""
    if state in _TAKES_BROUGHT:
        return f"gatewayctl footage bring {request} FILE takes in what a vendor's client exported."
    return f"gatewayctl footage progress {request} waits for them."


def _fetch_all(client: Client, request: str, files: list[dict[str, Any]], to: Path, progress: Bars) -> None:
    with _writing(to, "folder"), _folder(to):
        for file in files:
            _fetch(client, request, file, to, progress)
        for name in _proof(client, request, {file["name"] for file in files}):
            with _unbroken(name), client.open("GET", f"/v1/footage-requests/{request}/files/{quote(name)}") as answer:
                (to / name).write_bytes(answer.read())
    whose = "its" if len(files) == 1 else "their"
    say(f"{_files(len(files))} with {whose} proof in {to}; gatewayctl footage verify {to} checks them at any time")


def _fetch(client: Client, request: str, file: dict[str, Any], folder: Path, progress: Bars) -> None:
    name = Path(file["name"]).name  # never out of the folder
    done, part = folder / name, folder / f".{name}.part"
    if done.is_file() and _digest(done) == file["sha256"]:
        progress.add(name, file["size"]).to(file["size"])
        return
    bar = progress.add(name, file["size"])
    begun = part.stat().st_size if part.is_file() else 0
    if begun < file["size"]:
        headers = {"Range": f"bytes={begun}-"} if begun else {}
        patience_s = TIMEOUT_S + (file["size"] / _COMPARED_PER_S if begun else 0)
        with client.open("GET", f"/v1/footage-requests/{request}/files/{name}", headers=headers, timeout_s=patience_s) as answer:
            goes_on = answer.status == _PARTIAL_CONTENT
            with part.open("ab" if goes_on else "wb") as out, _unbroken(name):
                for size in _copied(answer, out, begun if goes_on else 0):
                    bar.to(size)
    if part.stat().st_size < file["size"]:
        raise _broken(name)
    if _digest(part) != file["sha256"]:
        part.unlink()
        raise Failed(f"{name} arrived damaged.", hint="Fetch it again; the gateway counts how often.")
    part.rename(done)


def _copied(answer: HTTPResponse, out: BinaryIO, begun: int) -> Iterator[int]:
    """Write what comes; how much there is of the file after each piece."""
    size = begun
    while piece := answer.read(_CHUNK):
        out.write(piece)
        size += len(piece)
        yield size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _proof(client: Client, request: str, fetched: Container[str]) -> list[str]:
    """What the package has beside those that were fetched: its own list names them."""
    with client.open("GET", f"/v1/footage-requests/{request}/files/{_SUMS}") as answer:
        lines = answer.read().decode("ascii", "replace").splitlines()
    names = [Path(line.partition(" *")[2]).name for line in lines]  # never out of the folder
    return [*(name for name in names if name and name not in fetched), _SUMS, f"{_SUMS}.sig"]


def _fetch_zip(client: Client, request: str, to: Path, progress: Bars) -> None:
    part = to.with_name(f".{to.name}.part")
    with _writing(to, "file"), client.open("GET", f"/v1/footage-requests/{request}/package") as answer:
        whole = int(answer.headers["Content-Length"])
        bar = progress.add(to.name, whole)
        with part.open("wb") as out, _unbroken(to.name):
            for size in _copied(answer, out, 0):
                bar.to(size)
        if part.stat().st_size != whole:
            part.unlink()
            raise _broken(to.name)
        part.rename(to)
    say(f"{to}; gatewayctl footage verify {to} checks it at any time")


@contextmanager
def _unbroken(name: str) -> Iterator[None]:
    """A connection that ends in the middle leaves what came; the next attempt goes on from there."""
    try:
        yield
    except (HTTPException, ConnectionError, TimeoutError):
        raise _broken(name) from None


def _broken(name: str) -> Failed:
    return Failed(f"{name} broke off.", hint="Give the same command again: it goes on where this stopped. The gateway counts how often.")


@contextmanager
def _folder(to: Path) -> Iterator[None]:
    """The folder for the block; one that nothing came into is not left behind."""
    to.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if not any(to.iterdir()):
            to.rmdir()


@contextmanager
def _writing(to: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = f"Give another {what} with --to."
        raise Failed(f"{to} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint=hint) from None
