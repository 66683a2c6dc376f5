"""Which ports and switches somebody has switched off: the state of the city's cables and power."""

from dataclasses import dataclass, field

Port = tuple[str, int]
"""A switch's id and the number of its port, from 1."""


@dataclass(slots=True)
class Wires:
    """`ports_down`: switched off; `unpowered`: give no power over Ethernet; `off`: switches without power.

    `cut`: who is dark for one of these, and whether that took its power, too, and not only its line.
    """

    ports_down: set[Port] = field(default_factory=set)
    unpowered: set[Port] = field(default_factory=set)
    off: set[str] = field(default_factory=set)
    cut: dict[str, bool] = field(default_factory=dict)
