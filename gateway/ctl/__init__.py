"""gatewayctl: the gateway from a terminal. A client of the HTTP API and of nothing else; data on standard output, talk on standard error.

Exit codes: 0 done; 1 it failed; 2 wrong usage or input; 3 the environment (no server, no key); 4 not found or not allowed; 5 done in part.
"""

import sys


def main() -> None:
    """Entry point of `gatewayctl`."""
    from gateway.ctl.app import run  # what a shell's completion does not need is not loaded

    sys.exit(run(sys.argv[1:]))
