"""`python -m gateway`: the daemon's command."""

from gateway.cli import main

main()
