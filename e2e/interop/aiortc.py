#!/usr/bin/python3
"""Publishes a file to a stage, or subscribes to a participant of one, with
aiortc, for some seconds at most. A subscriber
ends when it has decoded a hundred pictures and sounds, and prints how many it
has.

    aiortc.py publish URL TOKEN SECONDS FILE
    aiortc.py subscribe URL TOKEN SECONDS
"""
import asyncio
import json
import sys
import urllib.request

sys.path.pop(0)  # where this file is, which has the module's name
from aiortc import RTCPeerConnection, RTCSessionDescription  # noqa: E402
from aiortc.contrib.media import MediaPlayer  # noqa: E402
from aiortc.mediastreams import MediaStreamError  # noqa: E402

mode, url, token, seconds = sys.argv[1:5]
decoded = {"video": 0, "audio": 0}


def post(sdp):
    request = urllib.request.Request(url, sdp.encode(), {"Authorization": "Bearer " + token, "Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()
    except urllib.error.HTTPError as e:
        sys.exit("%s: %s\n%s" % (e, e.read(), sdp))


async def count(track):
    try:
        while True:
            await track.recv()
            decoded[track.kind] += 1
            if min(decoded.values()) >= 100:
                enough.set()
    except MediaStreamError:
        pass


async def run():
    global enough
    enough = asyncio.Event()
    pc = RTCPeerConnection()
    if mode == "publish":
        player = MediaPlayer(sys.argv[5])
        pc.addTrack(player.audio)
        pc.addTrack(player.video)
    else:
        pc.addTransceiver("audio", direction="recvonly")
        pc.addTransceiver("video", direction="recvonly")
        pc.on("track", lambda track: asyncio.ensure_future(count(track)))
    await pc.setLocalDescription(await pc.createOffer())
    answer = await asyncio.get_event_loop().run_in_executor(None, post, pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    try:
        await asyncio.wait_for(enough.wait(), float(seconds))
    except asyncio.TimeoutError:
        pass
    await pc.close()
    print(json.dumps(decoded))


asyncio.run(run())
