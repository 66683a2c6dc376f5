"""The daemon's own command: `gateway serve | check-config | migrate | import | create-key | evidence-key`.

Exit codes: 0 done; 1 it failed; 2 the command line, the configuration or an input is wrong.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import __version__, config, log
from gateway.domain.access import Role
from gateway.errors import GatewayError, InvalidInput

if TYPE_CHECKING:
    from gateway.inventory.service import ImportResult

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="The city gateway's daemon.")

ConfigFile = Annotated[Path, typer.Option("--config", help="The configuration file; configs/gateway.yaml explains every key.")]


def main() -> None:
    """Entry point of `gateway`."""
    app()


@contextmanager
def telling_errors() -> Iterator[None]:
    """End a command with a clear message and its exit code instead of a traceback."""
    try:
        yield
    except GatewayError as error:
        _tell_error(error)
        raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from error


def _tell_error(error: GatewayError) -> None:
    print(f"gateway: {error}", file=sys.stderr)
    faults = error.faults if isinstance(error, InvalidInput) else ()
    for fault in faults:
        print(f"  {fault.where}: {fault.why}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


def _tell_import(result: "ImportResult") -> None:
    for line in result.diff.lines():
        print(line)
    print(f"{result.file}: {'imported' if result.applied else 'nothing was changed'}", file=sys.stderr)


@app.command()
def serve(config_file: ConfigFile) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    from gateway.app import serve as run_daemon  # the daemon's libraries take a second that --help need not wait for

    with telling_errors():
        settings = config.load(config_file)
        log.configure(level=settings.log_level)
        asyncio.run(run_daemon(settings))


@app.command("check-config")
def check_config(config_file: ConfigFile) -> None:
    """Read the configuration as `serve` would, say all that is wrong with it, and change nothing."""
    from gateway import offline

    settings, unread = config.examine(config_file)
    wrong = [*([unread] if unread else []), *(offline.mistakes(settings) if settings else [])]
    for error in wrong:
        _tell_error(error)
    if wrong:
        raise typer.Exit(2)
    print(f"{config_file}: good")


@app.command()
def migrate(config_file: ConfigFile) -> None:
    """Make the store, or bring it to the newest schema."""
    from gateway import offline

    with telling_errors():
        asyncio.run(offline.migrate(config.load(config_file)))
        print("the store is at the newest schema")


@app.command("import")
def import_(
    config_file: ConfigFile,
    files: Annotated[list[Path], typer.Argument(help="CSV, XLSX or YAML of devices; GeoJSON of grid cells, streets and districts.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file does not name.")] = False,
) -> None:
    """Import inventory while the daemon is stopped: each file all or nothing. While it runs, use `gatewayctl import`."""
    from gateway import offline

    with telling_errors():
        settings = config.load(config_file)
        log.configure(level=settings.log_level)
        asyncio.run(offline.import_files(settings, files, dry_run=dry_run, prune=prune, tell=_tell_import))


@app.command("create-key")
def create_key(
    config_file: ConfigFile,
    role: Annotated[list[Role], typer.Option("--role", help="What the key may do; give it several times for several roles.")],
    name: Annotated[str, typer.Option("--name", help="Whose key it is, for the record.")],
) -> None:
    """Make an API key and print it: it is shown only this once. A running daemon takes it up within seconds."""
    from gateway import offline

    with telling_errors():
        print(asyncio.run(offline.create_key(config.load(config_file), name=name, roles=role)))


@app.command("evidence-key")
def evidence_key(
    config_file: ConfigFile,
    *,
    rotate: Annotated[bool, typer.Option("--rotate", help="Begin with a new key; what the old one signed verifies as before.")] = False,
    sm2: Annotated[bool, typer.Option("--sm2", help="Begin with a new SM2 key: packages are signed by it, too, over SM3.")] = False,
) -> None:
    """Print the fingerprints of the evidence key's certificates, the current one first; makes a key when there is none."""
    from gateway import offline

    with telling_errors():
        known, second = asyncio.run(offline.evidence_key(config.load(config_file), rotate=rotate, sm2=sm2))
        for one in known:
            print(f"{one.fingerprint}  {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d}{'  current' if one.current else ''}")
        if second:
            print(f"{second}  SM2, its public key's file")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)
