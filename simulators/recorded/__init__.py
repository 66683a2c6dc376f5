"""Devices that somebody recorded: their answers served again, and the tool that records them with their secrets removed."""
