"""A simulated city in a process of its own, for a bench that measures what meets it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def served(city: Path, *, only: str) -> Iterator[None]:
    """The city of the file `city` is there for the block, by the protocols that `only` names: `http,snmp`."""
    command = [sys.executable, "-m", "simulators", "serve", "--city", str(city), "--only", only, "--control", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["ready"]
            yield
        finally:
            process.terminate()
