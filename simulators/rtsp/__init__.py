"""RTSP for all devices of the city: live pictures, replay of footage, and the audio backchannel (ONVIF Streaming Specification)."""
