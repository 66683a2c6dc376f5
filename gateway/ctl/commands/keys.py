"""Keys from a terminal."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, tell
from gateway.ctl.session import Output, client_of

app = typer.Typer(no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id (the part after gwk_).", metavar="KEY")]


@app.command()
def create(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(help="Whose key it is, for the record.")],
    role: Annotated[list[str], typer.Option(help="viewer, operator, liaison, approver, engineer, platform or admin; several for several.")],
    username: Annotated[str, typer.Option(help="The person behind it.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="A district, zone or group that it reaches; none: the whole city.")] = None,
    max_speakers: Annotated[int | None, typer.Option(min=0, help="How many loudspeakers one broadcast may reach.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="With an offset: 2027-01-01T00:00:00+08:00")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Write it to this new file, readable by you alone, and do not show it.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a key. Its text is shown, or written, this once."""
    body = {
        "name": name,
        "roles": role,
        "username": username,
        "scopes": scope or [],
        "max_speakers": max_speakers,
        "expires_at": expires_at,
    }
    made = client_of(ctx).call("POST", "/v1/keys", body=body)
    if to is not None:
        _write(to, made.pop("key"))
        say(f"the key is in {to}")
    tell(made, output)


@app.command()
def revoke(ctx: typer.Context, key: KeyId, *, output: Output = Format.TABLE) -> None:
    """Revoke a key; it opens nothing from now on."""
    tell(client_of(ctx).call("DELETE", f"/v1/keys/{key}"), output)


def _write(path: Path, key: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        hint = f"The key was made and is lost: revoke it, and try again. Its id begins {key[:16]}"
        raise Failed(f"{path} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint=hint) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
