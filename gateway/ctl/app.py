"""The command line of gatewayctl, put together."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl.commands import (
    act,
    broadcasts,
    doctor,
    footage,
    hearing,
    incidents,
    keys,
    look,
    maintain,
    onboard,
    quiet,
    records,
    report,
    schedules,
    setup,
    speak,
    top,
)
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import say as talk
from gateway.ctl.session import Session

PROGRAM = "gatewayctl"
_EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 environment, 4 not found or not allowed, 5 done in part."

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    help="The city gateway from a terminal.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (look, top, incidents, maintain, report, speak, act, hearing, quiet, records, onboard, doctor, setup):
    part.add_to(app)
app.add_typer(broadcasts.app, name="broadcasts", help="The ledger: what was said where, and what came of it.")
app.add_typer(footage.app, name="footage", help="Ask for footage, decide on it, fetch it.")
app.add_typer(onboard.discover, name="discover", help="Look for devices in the network, and decide on what is found.")
app.add_typer(onboard.uplinks, name="uplinks", help="Which switch port each device hangs on, as the switches tell.")
app.add_typer(hearing.bindings, name="bindings", help="Which loudspeaker is heard where a camera looks.")
app.add_typer(quiet.hours, name="quiet-hours", help="When the city's loudspeakers may speak, and on which days that is otherwise.")
app.add_typer(schedules.app, name="schedules", help="What is said again and again, on which days and at what time.")
app.add_typer(keys.app, name="keys", help="Make and revoke API keys.")
app.add_typer(records.audit, name="audit", help="Who did what, and whether the record holds.")
app.add_typer(setup.context, name="context", help="Name gateways, so that their address and key need not be given.")


ServerOption = Annotated[
    str | None, typer.Option(help="Its address; else the environment's GATEWAY_URL, else the context's, else http://127.0.0.1:8080.")
]
KeyFileOption = Annotated[
    Path | None, typer.Option(help="The file with your key; else GATEWAYCTL_KEY_FILE names it, or GATEWAY_KEY is the key itself.")
]
ContextOption = Annotated[str | None, typer.Option(help="A named gateway of ~/.config/gatewayctl/contexts.yaml.")]


@app.callback()
def options(ctx: typer.Context, *, server: ServerOption = None, key_file: KeyFileOption = None, context: ContextOption = None) -> None:
    """The city gateway from a terminal."""
    ctx.obj = Session(server, key_file, context)


def run(arguments: list[str]) -> int:
    """Carry out one command line; its exit code."""
    try:
        app(arguments, prog_name=PROGRAM)
    except Failed as failed:
        _complain(failed)
        return failed.exit_code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.OK if ended.code is None else Exit.FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has seen enough
        return Exit.FAILED
    return Exit.OK


def _complain(failed: Failed) -> None:
    talk(f"{PROGRAM}: {failed}")
    for fault in failed.faults:
        talk(f"  {fault}")
    if failed.hint:
        talk(f"  → {_as_command(failed.hint)}")


def _as_command(hint: str) -> str:
    """The API's advice to look at a list, as the command that shows it."""
    called = {f"GET {resource.path} lists": f"{PROGRAM} get {noun} lists" for noun, resource in look.RESOURCES.items()}
    return next((hint.replace(asked, command) for asked, command in called.items() if asked in hint), hint)
