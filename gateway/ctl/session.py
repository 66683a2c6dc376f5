"""What every command shares: the gateway that is meant, found only when it is needed, and the options that repeat."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, cast

import typer

from gateway.ctl.client import Client
from gateway.ctl.contexts import Target, resolve
from gateway.ctl.output import Format, say


@dataclass
class Session:
    """The options before the command."""

    server: str | None = None
    key_file: Path | None = None
    context: str | None = None

    @cached_property
    def target(self) -> Target:
        """The gateway and the key. Failed when they are not given or cannot be read."""
        target = resolve(server=self.server, key_file=self.key_file, context=self.context)
        if target.in_clear:
            say(f"warning: your key travels unencrypted to {target.server}; put TLS before the gateway")
        return target

    @cached_property
    def client(self) -> Client:
        return Client(self.target)


def client_of(ctx: typer.Context) -> Client:
    return session_of(ctx).client


def session_of(ctx: typer.Context) -> Session:
    return cast("Session", ctx.obj)


Output = Annotated[Format, typer.Option("--output", "-o", help="How to show it.")]
