"""Getting a terminal ready: named gateways, and the shell's completion."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl import contexts
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, column, say, show
from gateway.ctl.session import Output

SHELLS = ("bash", "zsh", "fish")

context = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
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


def completion(shell: Annotated[str, typer.Argument(help=", ".join(SHELLS))]) -> None:
    """Print the completion script of a shell: gatewayctl completion bash > ~/.local/share/bash-completion/completions/gatewayctl"""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # there, though not declared

    if shell not in SHELLS:
        raise Failed(f"There is no completion for {shell!r}.", exit_code=Exit.USAGE, hint=f"There is for {', '.join(SHELLS)}.")
    sys.stdout.write(get_completion_script(prog_name="gatewayctl", complete_var="_GATEWAYCTL_COMPLETE", shell=shell) + "\n")
