"""A recorder made of GStreamer's own ONVIF server with replay support, run by the system's Python.

Usage: gstreamer_recorder.py onvif|silent|plain FILE ADDRESS PATH BEGIN. Replays FILE (Matroska, H.264 and A-law) at PATH as if it had been
recorded from BEGIN (seconds since 1900) on; `silent`: its pictures alone; `plain`: by GStreamer's ordinary server, which knows nothing of
replay. Prints its port, ends when standard input is closed.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 -- the versions must be required first

KIND, FILE, ADDRESS, PATH, BEGIN = *sys.argv[1:5], int(sys.argv[5])
Gst.init(None)  # before a media class is derived, or its signals do not know what a message is
PLAIN = "( filesrc location={file} ! matroskademux name=tape tape.video_0 ! {queue} ! h264parse ! rtph264pay name=pay0 )"
# Queues of three seconds: with shorter ones the two tracks of a tape now and then wait for each other for ever.
QUEUE = "queue max-size-time=3000000000 max-size-buffers=0"
ONVIF = (
    "( filesrc location={file} ! matroskademux name=tape"
    " tape.video_0 ! {queue} ! h264parse ! rtph264pay config-interval=-1 ! rtponviftimestamp name=pay0 ntp-offset={offset} {more} )"
)
SOUND = "tape.audio_0 ! {queue} ! rtppcmapay ! rtponviftimestamp name=pay1 ntp-offset={offset}"


class Tape(GstRtspServer.RTSPOnvifMedia):
    """Absolute times are those of the tape, which begins at BEGIN."""

    def do_convert_range(self, asked: GstRtsp.RTSPTimeRange, unit: GstRtsp.RTSPRangeUnit) -> bool:
        if asked.unit == unit:
            return True
        if unit != GstRtsp.RTSPRangeUnit.NPT:
            shift(asked, BEGIN)
        done = GstRtsp.rtsp_range_convert_units(asked, unit)
        if unit == GstRtsp.RTSPRangeUnit.NPT:
            shift(asked, -BEGIN)
        return bool(done)


def shift(asked: GstRtsp.RTSPTimeRange, seconds: int) -> None:
    for edge in (asked.min, asked.max):
        if edge.type == GstRtsp.RTSPTimeType.SECONDS:
            edge.seconds += seconds


def main() -> None:
    onvif = KIND != "plain"
    server = (GstRtspServer.RTSPOnvifServer if onvif else GstRtspServer.RTSPServer).new()
    server.set_address(ADDRESS)
    server.set_service("0")
    factory = (GstRtspServer.RTSPOnvifMediaFactory if onvif else GstRtspServer.RTSPMediaFactory).new()
    known = {"file": FILE, "queue": QUEUE, "offset": BEGIN * Gst.SECOND}
    factory.set_launch((ONVIF if onvif else PLAIN).format(**known, more=SOUND.format(**known) if KIND == "onvif" else ""))
    if onvif:
        factory.set_replay_support(True)
        factory.set_media_gtype(Tape)
    server.get_mount_points().add_factory(PATH, factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
