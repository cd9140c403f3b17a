#!/usr/bin/python3
"""Publishes a Matroska file with H.264 and Opus to a stage, or subscribes to a
participant of one, with GStreamer's webrtcbin, for some seconds at most. A subscriber
ends when it has decoded a hundred pictures and sounds, and prints how many it
has.

    gstreamer.py publish URL TOKEN SECONDS FILE
    gstreamer.py subscribe URL TOKEN SECONDS
"""
import json
import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

mode, url, token, seconds = sys.argv[1:5]
Gst.init(None)
loop = GLib.MainLoop()
decoded = {"video": 0, "audio": 0}
failure = None


def fail(why):
    global failure
    failure = why
    loop.quit()


def offer(webrtc):
    def created(promise, _):
        reply = promise.get_reply()  # what it holds goes with it
        description = reply.get_value("offer")
        webrtc.emit("set-local-description", description, Gst.Promise.new())

    webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(created, None))


def gathered(webrtc, _):
    if webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        return
    GLib.idle_add(post, webrtc)


def post(webrtc):
    sdp = webrtc.get_property("local-description").sdp.as_text()
    request = urllib.request.Request(url, sdp.encode(), {"Authorization": "Bearer " + token, "Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read()
    except urllib.error.HTTPError as e:
        fail("%s: %s\n%s" % (e, e.read(), sdp))
        return
    _, answer = GstSdp.SDPMessage.new_from_text(text.decode())
    description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer)
    webrtc.emit("set-remote-description", description, Gst.Promise.new())


def received(webrtc, pad, pipeline):
    """Decodes what comes, and counts it."""
    kind = pad.get_current_caps().get_structure(0).get_string("media")
    decode = {"video": "rtph264depay ! h264parse ! avdec_h264", "audio": "rtpopusdepay ! opusdec"}[kind]
    branch = Gst.parse_bin_from_description("queue ! %s ! fakesink name=end signal-handoffs=true sync=false" % decode, True)

    def count(*_):
        decoded[kind] += 1
        if min(decoded.values()) >= 100:
            loop.quit()

    branch.get_by_name("end").connect("handoff", count)
    pipeline.add(branch)
    branch.sync_state_with_parent()
    pad.link(branch.get_static_pad("sink"))


if mode == "publish":
    pipeline = Gst.parse_launch(
        "webrtcbin name=webrtc bundle-policy=max-bundle filesrc location=%s ! matroskademux name=file "
        "file.video_0 ! queue ! h264parse ! rtph264pay config-interval=-1 aggregate-mode=zero-latency "
        "! application/x-rtp,media=video,encoding-name=H264,payload=96 ! clocksync ! webrtc. "
        "file.audio_0 ! queue ! opusparse ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! clocksync ! webrtc." % sys.argv[5])
    webrtc = pipeline.get_by_name("webrtc")
else:
    pipeline = Gst.Pipeline()
    webrtc = Gst.ElementFactory.make("webrtcbin")
    webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(webrtc)
    webrtc.connect("pad-added", received, pipeline)
    for caps in (
        "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1,profile-level-id=(string)42e01f",
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2",
    ):
        webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
webrtc.connect("on-negotiation-needed", offer)
webrtc.connect("notify::ice-gathering-state", gathered)


def message(_, m):
    if m.type == Gst.MessageType.ERROR:
        fail(str(m.parse_error()))
    if m.type == Gst.MessageType.EOS:
        loop.quit()


bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", message)
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add(int(float(seconds) * 1000), loop.quit)
loop.run()
pipeline.set_state(Gst.State.NULL)
if failure:
    sys.exit(failure)
print(json.dumps(decoded))
