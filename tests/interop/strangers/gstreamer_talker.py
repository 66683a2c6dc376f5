"""GStreamer as a talker: speaks a WAV file through an ONVIF backchannel with `rtspsrc`, run by the system's Python.

Usage: gstreamer_talker.py URL USER PASSWORD tcp|udp PCMA|PCMU FILE. Ends with 0 once all was sent and the session is closed, else says
what went wrong. `rtspsrc` plays no source by itself: an appsink takes packets from a payloader, at the pace of the clock, and each is
pushed into the backchannel once PLAY has been answered.
"""

import ctypes
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402 -- the version must be required first

LIBRARY = ctypes.CDLL("libgstreamer-1.0.so.0")
LIBRARY.gst_mini_object_ref.restype = ctypes.c_void_p
LINGER_MS = 200
PLAYING = "Sent PLAY request"
SPEECH = (
    "filesrc location={file} ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=8000,channels=1 ! {law}enc"
    " ! rtp{name}pay min-ptime=20000000 max-ptime=20000000 ! appsink name=out emit-signals=true sync=true"
)


class Talker:
    def __init__(self, source: Gst.Element, speech: Gst.Element) -> None:
        self.loop = GLib.MainLoop()
        self.failure = ""
        self.stream = -1
        self.source, self.speech = source, speech
        source.connect("select-stream", self.select)
        speech.get_by_name("out").connect("new-sample", self.push)
        self.session = Gst.Pipeline()
        self.session.add(source)
        for pipeline in (self.session, speech):
            bus = pipeline.get_bus()
            bus.add_signal_watch()
            bus.connect("message::error", self.fail)
        self.session.get_bus().connect("message::progress", self.progress)
        speech.get_bus().connect("message::eos", lambda *_: GLib.timeout_add(LINGER_MS, self.loop.quit))

    def select(self, _source: Gst.Element, number: int, caps: Gst.Caps) -> bool:
        """Take the stream that goes to the device, and no other."""
        structure = caps.get_structure(0)
        goes_there = structure.has_field("a-sendonly")
        if goes_there:
            self.stream = number
        return goes_there

    def progress(self, _bus: Gst.Bus, message: Gst.Message) -> None:
        if message.parse_progress()[2] == PLAYING:
            self.speech.set_state(Gst.State.PLAYING)

    def push(self, sink: Gst.Element) -> Gst.FlowReturn:
        sample = sink.emit("pull-sample")
        LIBRARY.gst_mini_object_ref(ctypes.c_void_p(hash(sample)))  # rtspsrc 1.22 gives up a reference that it was not given
        return self.source.emit("push-backchannel-sample", self.stream, sample)

    def fail(self, _bus: Gst.Bus, message: Gst.Message) -> None:
        error, detail = message.parse_error()
        self.failure = f"{error.message} ({detail})"
        self.loop.quit()

    def run(self) -> str:
        self.session.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.speech.set_state(Gst.State.NULL)
        self.session.set_state(Gst.State.NULL)  # TEARDOWN
        return self.failure


def main() -> None:
    url, user, password, transport, encoding, file = sys.argv[1:]
    Gst.init(None)
    source = Gst.ElementFactory.make("rtspsrc")
    source.set_property("location", url)
    source.set_property("user-id", user)
    source.set_property("user-pw", password)
    source.set_property("latency", 0)
    source.set_property("teardown-timeout", 3 * Gst.SECOND)
    Gst.util_set_object_arg(source, "protocols", transport)
    Gst.util_set_object_arg(source, "backchannel", "onvif")
    law = {"PCMA": "alaw", "PCMU": "mulaw"}[encoding]
    speech = Gst.parse_launch(SPEECH.format(file=file, law=law, name=encoding.lower()))
    sys.exit(Talker(source, speech).run() or 0)


main()
