"""SNMP for all devices of the city: v1, v2c and v3 with USM, on one socket."""

from simulators.snmp.recorded import recorded_device
from simulators.snmp.server import SnmpServer, serve

__all__ = ["SnmpServer", "recorded_device", "serve"]
