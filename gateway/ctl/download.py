"""A file from the gateway, put where its caller wants it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import say

TIMEOUT_S: Final = 120.0
"""A spreadsheet of a large city takes some seconds, and others may stand in line before it."""


def save(client: Client, path: str, query: Mapping[str, object], file: Path) -> None:
    """Write what `path` answers into `file`, and say how much. Failed (ENVIRONMENT) when the file cannot be written."""
    with client.open("GET", path, query=query, timeout_s=TIMEOUT_S) as answer:
        content = answer.read()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT) from None
    say(f"{file}: {len(content)} bytes")
