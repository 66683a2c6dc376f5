"""GStreamer's rtspsrc as a player: what it receives goes to a file as a byte stream (annex B).

Usage: gstreamer_player.py URL tcp|udp H264|H265 PICTURES FILE [onvif START STOP]. With `onvif` it plays in ONVIF mode, without rate
control, from START to STOP, absolute times in seconds since 1900. Prints how it ended: eos, or the error.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 -- the version must be required first


def main() -> None:
    url, protocols, codec, pictures, path, *onvif = sys.argv[1:]
    Gst.init(None)
    name = codec.lower()
    manner = "onvif-mode=true onvif-rate-control=false is-live=false" if onvif else ""
    line = Gst.parse_launch(
        f"rtspsrc name=source location={url} protocols={protocols} latency=0 {manner} ! rtp{name}depay ! {name}parse config-interval=-1"
        f" ! video/x-{name},stream-format=byte-stream,alignment=au ! identity eos-after={pictures} ! filesink location={path} sync=false"
    )
    if onvif:
        line.set_state(Gst.State.PAUSED)
        line.get_state(20 * Gst.SECOND)
        start, stop = (int(float(moment) * Gst.SECOND) for moment in onvif[1:])
        flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
        line.seek(1.0, Gst.Format.TIME, flags, Gst.SeekType.SET, start, Gst.SeekType.SET, stop)
    line.set_state(Gst.State.PLAYING)
    message = line.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
    line.set_state(Gst.State.NULL)
    print("nothing came" if message is None else message.parse_error() if message.type is Gst.MessageType.ERROR else "eos")


if __name__ == "__main__":
    main()
