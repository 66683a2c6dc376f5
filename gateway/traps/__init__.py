"""Traps and informs: received in a process of their own, believed only from devices of the inventory, taken as hints that are verified."""
