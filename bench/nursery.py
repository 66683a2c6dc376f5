"""`python -m bench.nursery CONFIG`: brings daemons to life without their imports, which take longer than all else that a start does.

For each line on standard input it forks: the child becomes `python -m gateway serve --config CONFIG`, and its id is printed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from gateway import app, cli

assert app  # most of what a daemon needs is imported here, once


def main() -> None:
    config = Path(sys.argv[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(config)
        print(child, flush=True)


def _live(config: Path) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(config.with_suffix(".log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, end in enumerate((nothing, nothing, log)):
        os.dup2(end, number)
    sys.argv = ["gateway", "serve", "--config", str(config)]
    try:
        cli.main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
