"""A loudspeaker made of GStreamer's own ONVIF server, run by the system's Python: what it hears goes to a file, byte by byte.

Usage: gstreamer_speaker.py horn|camera|single PCMA|PCMU FILE [USER PASSWORD]. Prints its port, ends when standard input is closed. A
`camera` sends video and audio of its own beside; a `single` horn has room for one session and refuses a second one by 503. Whoever sets
up its backchannel alone is sometimes not heard: GStreamer's live sources then find no sink, and now and then that error reaches the
whole pipeline after PLAY's 200.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 -- the versions must be required first

VIDEO = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=5/1 ! x264enc tune=zerolatency ! rtph264pay name=pay0 pt=96"
AUDIO = "audiotestsrc is-live=true wave=silence ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=97"
NOTHING = "audiotestsrc is-live=true ! fakesink async=false"
# async=false: a sink that waits for its first buffer keeps the whole session from playing.
HEARD = (
    '( capsfilter caps="application/x-rtp, media=audio, payload={payload}, clock-rate=8000, encoding-name={name}" name=depay_backchannel'
    " ! rtp{codec}depay ! filesink location={path} async=false sync=false buffer-mode=unbuffered )"
)


def main() -> None:
    kind, name, path, *login = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPOnvifServer.new()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPOnvifMediaFactory.new()
    factory.set_launch(f"( {VIDEO} {AUDIO} )" if kind == "camera" else f"( {NOTHING} )")
    codec = name.lower()
    factory.set_backchannel_launch(HEARD.format(payload={"PCMU": 0, "PCMA": 8}[name], name=name, codec=codec, path=path))
    factory.set_shared(False)
    factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
    if kind == "single":
        server.get_session_pool().set_max_sessions(1)
    if login:
        protect(server, factory, *login)
    server.get_mount_points().add_factory("/speaker", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


def protect(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken.new()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, user)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions.new()
    permissions.add_permission_for_role(user, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
    permissions.add_permission_for_role(user, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
    factory.set_permissions(permissions)


main()
