"""Ports for the demo's processes."""

from demo.processes import free_port


def test_no_port_is_given_twice() -> None:
    assert len({free_port(0) for _ in range(600)}) == 600
