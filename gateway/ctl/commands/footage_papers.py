"""What follows after a request was filed: the rest of its register, and its documents as scans."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

_COLUMNS: Final = (
    *(column(name) for name in ("id", "kind", "name", "size", "at")),
    *(column(name, wide=True) for name in ("media", "sha256", "removed_at")),
)
_KINDS: Final = {".pdf": "application/pdf", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]


def add_to(app: typer.Typer) -> None:
    app.command()(amend)
    app.command("add-document")(add_document)
    app.command()(documents)


def amend(
    ctx: typer.Context,
    request: RequestId,
    *,
    unit: Annotated[str | None, typer.Option()] = None,
    badge: Annotated[str | None, typer.Option()] = None,
    second_officer: Annotated[str | None, typer.Option()] = None,
    case_kind: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    authorising_document: Annotated[str | None, typer.Option(help="The number of the 调取证据通知书 or letter.")] = None,
    approval_letter: Annotated[str | None, typer.Option()] = None,
    purpose: Annotated[str | None, typer.Option()] = None,
    destination: Annotated[str | None, typer.Option()] = None,
    contact: Annotated[str | None, typer.Option()] = None,
    output: Output = Format.TABLE,
) -> None:
    """Fill in what the register still lacks; what was there when somebody decided stays."""
    words = {name: value for name, value in locals().items() if name not in {"ctx", "request", "output"} and value}
    if not words:
        raise Failed("Nothing is given to fill in.", exit_code=Exit.USAGE, hint="gatewayctl footage amend --help")
    after = client_of(ctx).call("POST", f"/v1/footage-requests/{request}/register", body=words)
    brief = ("id", "state", "missing", "owing", "papers_due_at")
    tell(after if output is not Format.TABLE else {name: after[name] for name in brief}, output)


def add_document(
    ctx: typer.Context,
    request: RequestId,
    file: Annotated[Path, typer.Argument(help="A PDF, JPEG or PNG.", metavar="FILE")],
    *,
    kind: Annotated[str, typer.Option(help="authorisation, letter, identity, signed-sheet or other.")] = "authorisation",
    output: Output = Format.TABLE,
) -> None:
    """Upload a scanned document."""
    data, media = scan_of(file)
    path = f"/v1/footage-requests/{request}/documents"
    kept = client_of(ctx).call("POST", path, query={"kind": kind, "name": file.name}, data=data, kind=media)
    show([kept], _COLUMNS, output)
    say(f"{kept['id']} stands in the request's record with its SHA-256")


def documents(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """The documents of a request."""
    show(client_of(ctx).get(f"/v1/footage-requests/{request}/documents")["items"], _COLUMNS, output)


def scan_of(file: Path) -> tuple[bytes, str]:
    """The bytes of a scan and its media type by its name. Failed when it cannot be read."""
    try:
        return file.read_bytes(), _KINDS.get(file.suffix.lower(), "application/octet-stream")
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint="Name a file that is there.") from None
