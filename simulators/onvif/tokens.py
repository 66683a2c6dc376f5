"""Tokens that more than one service names."""

from typing import Final

VIDEO_SOURCE: Final = "VideoSource_1"
