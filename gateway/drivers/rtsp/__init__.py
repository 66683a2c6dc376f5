"""RTSP 1.0 (RFC 2326) as a client: the ONVIF backchannel of loudspeakers, ONVIF replay of recordings, and first-packet probes."""
