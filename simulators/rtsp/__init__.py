"""RTSP for all devices of the city: live pictures, replay of footage, and the audio backchannel (ONVIF Streaming Specification)."""

from simulators.rtsp.server import RtspServer, serve

__all__ = ["RtspServer", "serve"]
