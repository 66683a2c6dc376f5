"""The city gateway: one daemon between a city-management platform and its cameras, loudspeakers, recorders and switches."""

__version__ = "0.1.0"
