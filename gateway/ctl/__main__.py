"""`python -m gateway.ctl`."""

from gateway.ctl import main

main()
