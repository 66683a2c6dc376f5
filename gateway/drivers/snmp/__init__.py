"""SNMP v1, v2c and v3 (RFC 1157, 3416, 3414): two engines behind one narrow interface, and the sensors that profiles declare."""
