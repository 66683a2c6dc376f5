"""Processes of gatewayctl that need not import it, each for itself: forked from one that has. `python -m tests.ctl.forked SOCKET`.

A command is asked for by a line of JSON, its arguments, environment and folder, and answered by one: exit code, standard output and error.
Ends when its standard input does.
"""

import json
import os
import socketserver
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

from gateway.ctl import app as _imported  # noqa: F401 -- what a command takes longest for
from gateway.ctl import main


class _Command(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                _become(asked, out.fileno(), err.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            err.seek(0)
            told = {"code": code, "out": out.read().decode(), "err": err.read().decode()}
        self.wfile.write(json.dumps(told).encode() + b"\n")


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    pass


def _become(asked: Mapping[str, Any], out: int, err: int) -> None:
    """Be the command to its end, as `python -m gateway.ctl` is."""
    code: object = 1
    try:
        for ours, theirs in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(ours, theirs)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        time.tzset()
        sys.argv = ["gatewayctl", *asked["arguments"]]
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _end_with_the_input() -> None:
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    with _Server(sys.argv[1], _Command) as server:
        print("ready", flush=True)
        server.serve_forever()
