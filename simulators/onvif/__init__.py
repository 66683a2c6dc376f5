"""The ONVIF side of cameras, loudspeakers and recorders."""
