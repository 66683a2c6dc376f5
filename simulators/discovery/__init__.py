"""WS-Discovery (April 2005) as ONVIF Core §7 uses it: devices that say Hello and Bye and answer Probe and Resolve."""
