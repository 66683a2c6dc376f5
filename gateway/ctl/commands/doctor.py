"""Looking for what is wrong: between here and the gateway, inside the gateway, and on this machine when the gateway runs on it."""

import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gateway.ctl import contexts, machine
from gateway.ctl.client import Client
from gateway.ctl.contexts import Target
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.machine import Finding, Result
from gateway.ctl.output import Format, column, show
from gateway.ctl.session import Output, Session, session_of

SKEW_S = 5.0
EXPIRES_SOON_DAYS = 21
_PATIENCE_S = 10.0
_LATE_S = 2.0


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    ctx: typer.Context,
    *,
    here: Annotated[
        bool | None, typer.Option(help="Look at this machine, too; else only when the gateway's address is this machine's.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The daemon's data folder on this machine.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Look for what is wrong, each thing with the next command. Ends with 1 when something fails; what merely warns ends with 0."""
    found = [asdict(finding) for finding in _findings(session_of(ctx), here=here, data=data)]
    show(found, [column(name) for name in ("check", "result", "found", "next")], output)
    failed = [one for one in found if one["result"] == Result.FAIL]
    if failed:
        hint = failed[0]["next"] or "Mend the first; the rest may follow."
        raise Failed(f"{len(failed)} of {len(found)} checks failed.", exit_code=Exit.FAILED, hint=hint)


def _findings(session: Session, *, here: bool | None, data: Path | None) -> Iterator[Finding]:
    """One check after the other; those that could tell nothing after a failure are left out."""
    target = None
    try:
        target = session.target
    except Failed as failed:
        yield Finding("key", Result.FAIL, str(failed), failed.hint)
    if target is not None:
        yield from _key_file(session)
        yield from _asked(target)
    if here or (here is None and (target is None or _is_local(target.server))):
        yield from machine.findings(data or _usual_data())


def _is_local(server: str) -> bool:
    return (urlsplit(server).hostname or "").startswith(contexts.LOOPBACK)


def _usual_data() -> Path | None:
    """Where the daemon keeps its data when nobody says: as its own configuration has it, or as the package of systemd units does."""
    named = os.environ.get("GATEWAY_DATA_DIR")
    candidates = [Path(named)] if named else [Path("/var/lib/city-gateway"), Path("data")]
    return next((path for path in candidates if path.is_dir()), None)


def _asked(target: Target) -> Iterator[Finding]:
    client = Client(target)
    yield from _encryption(target)
    try:
        yield from _reachable(client)
        yield from _inside(client)
    except Failed as failed:
        yield Finding("answer", Result.FAIL, str(failed), failed.hint or "gatewayctl --help")


def _key_file(session: Session) -> Iterator[Finding]:
    named = session.key_file or os.environ.get("GATEWAYCTL_KEY_FILE")
    if named is not None and Path(named).exists():
        exposed = contexts.exposed(Path(named))
        result, found = (Result.FAIL, "others may read it") if exposed else (Result.OK, "only you may read it")
        yield Finding("key file", result, found, f"chmod 600 {named}" if exposed else "")


def _encryption(target: Target) -> Iterator[Finding]:
    parts = urlsplit(target.server)
    if target.in_clear:
        yield Finding("encryption", Result.WARN, "your key travels unencrypted", "put TLS before the gateway: docs/operate/install.md")
    if parts.scheme == "https":
        yield _certificate(parts.hostname or "", parts.port or 443)


def _certificate(host: str, port: int) -> Finding:
    """Until when the address' certificate is good; a wrong one fails the shaking of hands."""
    try:
        with (
            socket.create_connection((host, port), timeout=_PATIENCE_S) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            until = str((encrypted.getpeercert() or {}).get("notAfter"))
    except ssl.SSLCertVerificationError as error:
        return Finding("certificate", Result.FAIL, error.verify_message, f"openssl s_client -connect {host}:{port} </dev/null")
    except OSError as error:
        return Finding("certificate", Result.FAIL, str(error), f"openssl s_client -connect {host}:{port} </dev/null")
    left = (ssl.cert_time_to_seconds(until) - time.time()) / 86_400
    soon = left < EXPIRES_SOON_DAYS
    return Finding("certificate", Result.WARN if soon else Result.OK, f"good for {left:.0f} days", "renew it" if soon else "")


def _reachable(client: Client) -> Iterator[Finding]:
    began = time.monotonic()
    with client.open("GET", "/healthz", timeout_s=_PATIENCE_S) as answer:
        took_ms = 1000 * (time.monotonic() - began)
        date = answer.headers["Date"]
    yield Finding("server", Result.OK, f"{client.server} answers in {took_ms:.0f} ms")
    skew = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    apart = abs(skew) > SKEW_S
    found = f"the gateway's is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}" if apart else "the same as the gateway's"
    yield Finding("clock", Result.FAIL if apart else Result.OK, found, "timedatectl: let both follow the same time server" if apart else "")


def _inside(client: Client) -> Iterator[Finding]:
    me = client.get("/v1/session")
    yield Finding("key", Result.OK, f"{me['name']}: {', '.join(me['roles'])}")
    if "health:read" not in me["permissions"]:
        yield Finding("parts", Result.WARN, "this key may not ask how the gateway is", "use a key with the role viewer")
        return
    yield from _parts(client.get("/v1/readiness")["parts"])
    with client.open("GET", "/metrics") as answer:
        figures = _figures(answer.read().decode())
    yield _broker(figures)
    yield _sight(figures)
    states = client.get("/v1/health/summary")["states"]
    if states["unknown"] == sum(states.values()) > 0:
        yield Finding("checks", Result.FAIL, "no device has been checked", "wait half a minute; then: gatewayctl get devices -o wide")
    else:
        yield Finding("checks", Result.OK, ", ".join(f"{count} {state}" for state, count in states.items()))


def _parts(unready: dict[str, str]) -> Iterator[Finding]:
    journal = "journalctl -u city-gateway -n 50"
    if "store" in unready:
        yield Finding("database", Result.FAIL, unready["store"], "df -h; is the database there?")
    else:
        yield Finding("database", Result.OK, "stores what happens")
    rest = {name: why for name, why in unready.items() if name != "store"}
    for name, why in rest.items():
        yield Finding(f"part {name}", Result.FAIL, why, journal)
    if not rest:
        yield Finding("parts", Result.OK, "all of them run")


def _broker(figures: dict[str, float]) -> Finding:
    connected = figures.get("gateway_mqtt_connected")
    if connected is None:
        return Finding("broker", Result.OK, "none is configured")
    if connected:
        return Finding("broker", Result.OK, "connected")
    return Finding("broker", Result.FAIL, "not connected", "journalctl -u city-gateway | grep mqtt")


def _sight(figures: dict[str, float]) -> Finding:
    if figures.get("gateway_health_blind"):
        return Finding("sight", Result.FAIL, "no device at all answers: the fault is the gateway's own", "ip route; ping a switch")
    late = figures.get("gateway_health_lateness_seconds", 0.0)
    if late > _LATE_S:
        return Finding("sight", Result.WARN, f"the checks are {late:.1f} s late", "top: is the machine too busy?")
    return Finding("sight", Result.OK, "devices answer, checks are in time")


_FIGURE = re.compile(r"^(gateway_\w+) ([0-9.eE+-]+)$", re.MULTILINE)


def _figures(text: str) -> dict[str, float]:
    """The figures without labels."""
    return {name: float(value) for name, value in _FIGURE.findall(text)}
