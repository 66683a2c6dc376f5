"""Getting a terminal ready: named gateways, what is wrong with the connection, the shell's completion."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl import contexts
from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, column, say, show
from gateway.ctl.session import Output, Session, session_of

SKEW_S = 5.0
SHELLS = ("bash", "zsh", "fish")

context = typer.Typer(no_args_is_help=True)

Finding = dict[str, str]


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(completion)


@context.command("list")
def list_(*, output: Output = Format.TABLE) -> None:
    """All named gateways."""
    known = contexts.load()
    items = [
        {"current": "*" if name == known.current else "", "name": name, "server": one.server, "key_file": one.key_file}
        for name, one in known.contexts.items()
    ]
    show(items, [column(name) for name in ("current", "name", "server", "key_file")], output)


@context.command("set")
def set_(
    name: Annotated[str, typer.Argument()],
    *,
    server: Annotated[str, typer.Option(help="http://HOST:PORT or https://HOST")],
    key_file: Annotated[Path, typer.Option(help="The file with your key for it.")],
) -> None:
    """Name a gateway, and use it from now on."""
    known = contexts.load()
    made = {**known.contexts, name: contexts.Context(server, str(key_file.expanduser().absolute()))}
    say(f"{contexts.save(contexts.Contexts(name, made))}: {name} is used from now on")


@context.command()
def use(name: Annotated[str, typer.Argument()]) -> None:
    """Use another named gateway from now on."""
    known = contexts.load()
    if name not in known.contexts:
        raise Failed(f"There is no context {name!r}.", exit_code=Exit.REFUSED, hint="gatewayctl context list")
    contexts.save(replace(known, current=name))


def doctor(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """Look for what is wrong between here and the gateway, and with the gateway itself. Ends with 3 when something is."""
    findings = list(_findings(session_of(ctx)))
    show(findings, [column(name) for name in ("check", "result", "found", "what_to_do")], output)
    wrong = sum(finding["result"] == "wrong" for finding in findings)
    if wrong:
        hint = "Mend the first; the rest may follow."
        raise Failed(f"{wrong} of {len(findings)} checks found something.", exit_code=Exit.ENVIRONMENT, hint=hint)


def completion(shell: Annotated[str, typer.Argument(help=", ".join(SHELLS))]) -> None:
    """Print the completion script of a shell: gatewayctl completion bash > ~/.local/share/bash-completion/completions/gatewayctl"""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # noqa: PLC0415 -- there, though not declared

    if shell not in SHELLS:
        raise Failed(f"There is no completion for {shell!r}.", exit_code=Exit.USAGE, hint=f"There is for {', '.join(SHELLS)}.")
    sys.stdout.write(get_completion_script(prog_name="gatewayctl", complete_var="_GATEWAYCTL_COMPLETE", shell=shell) + "\n")


def _findings(session: Session) -> Iterator[Finding]:
    """One check after the other; those that could tell nothing after a failure are left out."""
    try:
        target = session.target
    except Failed as failed:
        yield _finding("key", failed)
        return
    yield from _key_file(session)
    yield _finding("encryption", "not encrypted" if target.in_clear else "", "put TLS before the gateway")
    client = Client(target)
    try:
        yield from _reachable(client)
        yield from _inside(client)
    except Failed as failed:
        yield _finding("answer", failed)


def _key_file(session: Session) -> Iterator[Finding]:
    named = session.key_file or os.environ.get("GATEWAYCTL_KEY_FILE")
    if named is not None and Path(named).exists():
        open_to_all = contexts.exposed(Path(named))
        yield _finding("key file", "others may read it" if open_to_all else "", f"chmod 600 {named}")


def _reachable(client: Client) -> Iterator[Finding]:
    began = time.monotonic()
    with client.open("GET", "/healthz", timeout_s=10) as answer:
        took_ms = 1000 * (time.monotonic() - began)
        date = answer.headers["Date"]
    yield {"check": "server", "result": "good", "found": f"{client.server} answers in {took_ms:.0f} ms", "what_to_do": ""}
    skew = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    yield _finding("clock", f"{skew:.0f} s apart from the gateway's" if skew > SKEW_S else "", "let both follow the same time server (NTP)")


def _inside(client: Client) -> Iterator[Finding]:
    me = client.get("/v1/session")
    yield {"check": "key", "result": "good", "found": f"{me['name']}: {', '.join(me['roles'])}", "what_to_do": ""}
    if "health:read" in me["permissions"]:
        parts = client.get("/v1/readiness")["parts"]
        yield _finding("parts", "; ".join(f"{name}: {why}" for name, why in parts.items()), "journalctl -u city-gateway")
        states = client.get("/v1/health/summary")["states"]
        unseen = states["unknown"] == sum(states.values()) > 0
        yield _finding("checks", "no device has been checked" if unseen else "", "wait half a minute; then: does the daemon reach them?")


def _finding(check: str, wrong: str | Failed, what_to_do: str = "") -> Finding:
    if isinstance(wrong, Failed):
        return {"check": check, "result": "wrong", "found": str(wrong), "what_to_do": wrong.hint}
    return {"check": check, "result": "wrong" if wrong else "good", "found": wrong, "what_to_do": what_to_do if wrong else ""}
