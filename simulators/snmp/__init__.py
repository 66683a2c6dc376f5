"""SNMP for all devices of the city: v1, v2c and v3 with USM, on one socket."""
