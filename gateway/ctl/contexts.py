"""Which gateway, with which key: from the command line, the environment, or a named context in ~/.config/gatewayctl/contexts.yaml."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.ctl.failure import Exit, Failed

DEFAULT_SERVER = "http://127.0.0.1:8080"
LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway's address and the key for it."""

    server: str
    key: str = field(repr=False)

    @property
    def in_clear(self) -> bool:
        """Whether the key travels unencrypted over a network."""
        parts = urlsplit(self.server)
        return parts.scheme == "http" and not (parts.hostname or "").startswith(LOOPBACK)


@dataclass(frozen=True, slots=True)
class Context:
    """A named gateway. The key stays in its own file."""

    server: str
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Contexts:
    """All named gateways, and which one is meant when none is named."""

    current: str = ""
    contexts: Mapping[str, Context] = field(default_factory=dict)


def folder(env: Mapping[str, str] = os.environ) -> Path:
    return Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "~")).expanduser() / ".config") / "gatewayctl"


def load(env: Mapping[str, str] = os.environ) -> Contexts:
    """The contexts file; none at all where there is no file."""
    path = folder(env) / "contexts.yaml"
    if not path.exists():
        return Contexts()
    import yaml  # only who has a contexts file pays for it

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        contexts = {str(name): Context(**value) for name, value in dict(document.get("contexts") or {}).items()}
        return Contexts(str(document.get("current") or ""), contexts)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        hint = "It holds `current: NAME` and `contexts: {NAME: {server: …, key_file: …}}`."
        raise Failed(f"{path} cannot be used: {error}", exit_code=Exit.ENVIRONMENT, hint=hint) from error


def save(contexts: Contexts, env: Mapping[str, str] = os.environ) -> Path:
    """Write the contexts file, readable by its owner alone."""
    import yaml

    path = folder(env) / "contexts.yaml"
    document: dict[str, Any] = {
        "current": contexts.current,
        "contexts": {name: {"server": one.server, "key_file": one.key_file} for name, one in contexts.contexts.items()},
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def resolve(*, server: str | None, key_file: Path | None, context: str | None, env: Mapping[str, str] = os.environ) -> Target:
    """The gateway that is meant: an option goes before the environment, and that before the context."""
    chosen = _chosen(load(env), context)
    address = server or env.get("GATEWAY_URL") or chosen.server or DEFAULT_SERVER
    return Target(_checked(address), _key(key_file, chosen, env))


def _chosen(known: Contexts, name: str | None) -> Context:
    wanted = name or known.current
    if not wanted:
        return Context("")
    if wanted not in known.contexts:
        names = ", ".join(sorted(known.contexts)) or "none"
        hint = f"There are: {names}. Make it with: gatewayctl context set {wanted} --server URL --key-file FILE"
        raise Failed(f"There is no context {wanted!r}.", exit_code=Exit.ENVIRONMENT, hint=hint)
    return known.contexts[wanted]


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        hint = "Write http://HOST:PORT or https://HOST, without anything secret in it."
        raise Failed("The server's address is not one.", exit_code=Exit.USAGE, hint=hint)
    return address.rstrip("/")


def _key(file: Path | None, chosen: Context, env: Mapping[str, str]) -> str:
    if file is None and env.get("GATEWAY_KEY"):
        return env["GATEWAY_KEY"].strip()
    named = file or env.get("GATEWAYCTL_KEY_FILE") or chosen.key_file
    if not named:
        hint = "Give --key-file FILE, or set GATEWAY_KEY, or make a context: gatewayctl context set NAME --server URL --key-file FILE"
        raise Failed("No key is given.", exit_code=Exit.ENVIRONMENT, hint=hint)
    path = Path(named).expanduser()
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"The key file {path} cannot be read: {error}", exit_code=Exit.ENVIRONMENT, hint="Is it the right file?") from error


def exposed(path: Path) -> bool:
    """Whether others on this machine may read the file."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
