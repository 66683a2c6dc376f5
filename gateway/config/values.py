"""What a setting may be: kinds of values with their bounds, and the section that knows nothing else."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.errors import InvalidInput

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def without_password(url: str) -> str:
    """A URL that may be shown: ValueError when it holds a password."""
    try:
        secret = urlsplit(url).password
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if secret is not None:
        raise ValueError("must not hold a password; name a file that does")
    return url


def with_scheme(*known: str) -> AfterValidator:
    """That a URL begins with one of these schemes."""

    def check(url: str) -> str:
        if urlsplit(url).scheme not in known:
            raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in known)}")
        return url

    return AfterValidator(check)


_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*(?!\d+\.?$){_LABEL}\.?")  # RFC 1123, 2.1; the underscore is for container names


def host_name(name: str) -> str:
    """A name or an address of a host."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError("must be a host name or an IP address") from None
    return name


def host_url(url: str) -> str:
    """A URL whose host and port can be."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("must have a port from 1 to 65535, or none")
    host_name(parts.hostname or "")
    return url


def bare_endpoint(url: str) -> str:
    """A URL of a host with its port and nothing behind it."""
    parts = urlsplit(url)
    host_url(url)
    if parts.username or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be a host with its port, and nothing behind it; bucket and prefix are settings of their own")
    return url.rstrip("/")


def is_address(url: str) -> bool:
    """Whether the host of `url` is an IP address."""
    try:
        ipaddress.ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return False
    return True


def is_here(url: str) -> bool:
    """Whether `url` leads to this machine and no further."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_SEVERITIES = ("critical", "major", "minor", "warning")
_SEVERITY_KEY = re.compile(r"((camera|speaker|recorder|switch)\.)?([a-z0-9]+(-[a-z0-9]+)*|[a-z0-9]+-\*)")


def severity_table(table: Mapping[str, str]) -> Mapping[str, str]:
    """Severities by reason, family or state, with or without a kind of device."""
    for key, severity in table.items():
        if not _SEVERITY_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is neither a reason, a family (sensor-*) nor a state, with or without a kind (camera.down)")
        if severity not in _SEVERITIES:
            raise ValueError(f"{key}: must be one of {', '.join(_SEVERITIES)}")
    return table


def time_zone(name: str) -> str:
    """A time zone of the tz database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("is no time zone; they are named as Asia/Shanghai") from None
    return name


MOST_ADDRESSES = 131_072
"""Two networks of /16: with the default pace, three quarters of an hour for one search."""


def device_range(network: IPv4Network) -> IPv4Network:
    """A range in which devices can be."""
    if network.is_multicast or network.is_unspecified or network.prefixlen == 0:
        raise ValueError("is no range of addresses of devices")
    return network


def listed(value: object) -> object:
    """A list, or as a variable of the environment has it: by commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Section(BaseModel):
    """A part of the configuration: frozen, and without room for what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def rising(steps: Sequence[float]) -> Sequence[float]:
    """Seconds, each more than those before."""
    if any(step <= 0 for step in steps) or list(steps) != sorted(set(steps)):
        raise ValueError("must be seconds, each more than the one before")
    return steps


def read_secret(path: Path) -> str:
    """The one line in a secret's file. InvalidInput when it cannot be read or is empty."""
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        hint = "it must be a text file that the user that the gateway runs as may read"
        raise InvalidInput(f"the secret in {path} cannot be read", code="no-secret", hint=hint) from error
    if not secret:
        raise InvalidInput(f"the secret in {path} is empty", code="no-secret", hint="write the secret into it, on one line")
    return secret
