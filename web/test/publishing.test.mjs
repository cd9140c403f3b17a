// What a page publishes.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { codecs, pass, Peer, seen, tokenOf, Track, whipUrl } from './fakes.mjs';
import { begin, camera, failure, happened, inside, make, posts, server, stage } from './page.mjs';

beforeEach(() => begin());

const openPeers = () => Peer.all.filter(({ connectionState }) => connectionState !== 'closed').length;

test('publishing offers sound and H.264, within the limits', async () => {
  await inside();
  const published = stage.publish([new Track('video', { width: 1080, height: 1920 })], { maxBitrate: 1_000_000, maxFramerate: 15 });
  await pass(200);
  await published;
  assert.deepEqual(happened, ['publish-state connecting', 'stream-added me', 'publish-state published']);
  const [audio, video] = Peer.newest.transceivers;
  assert.deepEqual([audio.kind, audio.sender.track, audio.direction, audio.sender.parameters.encodings], ['audio', null, 'sendonly', [{ maxBitrate: 64_000 }]]);
  assert.deepEqual(video.sender.parameters.encodings, [{ maxBitrate: 1_000_000, maxFramerate: 15, scaleResolutionDownBy: 1.5 }]);
  assert.equal(video.codecs[0], codecs[3]);
  const post = server.requests.find(({ method }) => method === 'POST');
  assert.deepEqual([post.url, post.headers['Content-Type'], post.headers.Authorization], [whipUrl, 'application/sdp', `Bearer ${tokenOf()}`]);
  assert.match(post.body, /a=candidate:1 /);
});

test('the ICE servers of the server are used', async () => {
  server.link = '<turn:turn.example>; rel="ice-server"; username="u"; credential="p"';
  await inside(seen('ana', true));
  assert.deepEqual(Peer.newest.config.iceServers, [{ urls: 'turn:turn.example', username: 'u', credential: 'p' }]);
});

test('candidates that come late are trickled, together', async () => {
  Peer.gathers = false;
  Peer.reachable = false;
  await inside();
  const published = stage.publish(camera());
  await pass(100);
  assert.equal(posts('/whip'), 0, 'it waits a little for candidates');
  await pass(100);
  assert.equal(posts('/whip'), 1);
  Peer.newest.gathered(3, false);
  Peer.newest.gathered(4);
  await pass(150);
  const patches = server.requests.filter(({ method }) => method === 'PATCH');
  assert.deepEqual(patches.map(({ path, headers }) => [path, headers['If-Match'], headers['Content-Type']]), [['/whip/session/me/1', '"1"', 'application/trickle-ice-sdpfrag']]);
  assert.match(patches[0].body, /a=candidate:3 .*\r\na=candidate:4 .*\r\na=end-of-candidates\r\n$/s);
  Peer.newest.turn('connected');
  await pass(0);
  await published;
});

test('ICE is restarted where the network is away for 2 s', async () => {
  await inside();
  const published = stage.publish(camera());
  await pass(200);
  await published;
  const peer = Peer.newest;
  peer.turn('disconnected');
  await pass(1500);
  peer.turn('connected'); // it mended by itself
  await pass(5000);
  assert.ok(!server.lines.includes('PATCH /whip/session/me/1'));
  peer.turn('disconnected');
  await pass(2500);
  const restart = server.requests.at(-1);
  assert.deepEqual([restart.method, restart.headers['If-Match']], ['PATCH', '*']);
  assert.match(restart.body, /a=ice-ufrag:client1\r\n/);
  assert.match(peer.remoteDescription.sdp, /a=ice-ufrag:again\r\na=ice-pwd:secret2\r\na=candidate:9 /);
  await pass(60_000);
  assert.deepEqual([posts('/whip'), stage.publishState, server.count('DELETE /whip/session/me/1')], [1, 'published', 0]);
});

test('where a restart does not help, it is published anew with the same tracks', async () => {
  await inside();
  const tracks = camera();
  const published = stage.publish(tracks);
  await pass(200);
  await published;
  await stage.mute('audio');
  happened.length = 0;
  server.refuse('PATCH /whip/session/me/1', 404);
  server.refuse('POST /whip', 503, {}, 2);
  Peer.newest.turn('failed');
  await pass(3000);
  assert.deepEqual([Peer.all.length, posts('/whip'), stage.publishState], [4, 4, 'published']);
  assert.deepEqual(Peer.newest.transceivers.map(({ sender }) => sender.track), [null, tracks[1]]);
  assert.equal(happened.at(-1), 'publish-state published');
  assert.equal(server.count('DELETE /whip/session/me/1'), 1);
});

test('a connection that never comes about is given up after 10 s, and tried again', async () => {
  Peer.reachable = false;
  await inside();
  const published = stage.publish(camera());
  await pass(10_300);
  assert.deepEqual([happened.at(-1), server.count('DELETE /whip/session/me/1')], ['publish-state connecting TIMEOUT', 1]);
  Peer.reachable = true;
  await pass(1000);
  await published;
  assert.equal(stage.publishState, 'published');
});

test('tracks change without another offer', async () => {
  await inside();
  const [audio, video] = camera();
  const published = stage.publish([audio, video]);
  await pass(200);
  await published;
  const [a, v] = Peer.newest.transceivers.map(({ sender }) => sender);
  const screen = new Track('video', { width: 2560, height: 1440 });
  await stage.replaceTrack('video', screen);
  assert.deepEqual([v.track, v.parameters.encodings[0].scaleResolutionDownBy, stage.me.stream.getTracks()], [screen, 2, [audio, screen]]);
  screen.settings = { width: 640, height: 360 }; // a window may shrink
  await pass(1000);
  assert.equal(v.parameters.encodings[0].scaleResolutionDownBy, 1);
  await stage.mute('video');
  await stage.mute('audio');
  assert.deepEqual([v.track, a.track, stage.me.audioMuted, stage.me.videoStopped], [null, null, true, true]);
  await stage.replaceTrack('video', video);
  assert.equal(v.track, null, 'it stays muted');
  await stage.unmute('video');
  assert.deepEqual([v.track, stage.me.videoStopped], [video, false]);
  await assert.rejects(stage.replaceTrack('audio', video), { code: 'UNSUPPORTED' });
  assert.equal(posts('/whip'), 1);
  await stage.unpublish();
  assert.deepEqual([stage.publishState, stage.me.streaming, stage.me.stream.getTracks()], ['unpublished', 'none', []]);
});

test('publishing that is refused, in the server\'s words', async () => {
  await inside();
  server.refuse('POST /whip', 403, { message: 'stage has 12 publishers', errorCode: 'QUOTA_EXCEEDED' });
  const error = await failure(stage.publish(camera()), 30_000);
  assert.deepEqual([error.code, error.message, posts('/whip'), stage.publishState], ['QUOTA_EXCEEDED', 'stage has 12 publishers', 1, 'unpublished']);
  make({ capabilities: { allow_subscribe: true } });
  await inside();
  assert.equal((await failure(stage.publish(camera()))).code, 'INSUFFICIENT_CAPABILITIES');
  globalThis.RTCRtpReceiver.getCapabilities = () => ({ codecs: [{ mimeType: 'video/VP8' }] });
  make();
  assert.equal((await failure(stage.publish(camera()))).code, 'REFUSED', 'not before it is joined');
  await inside();
  assert.equal((await failure(stage.publish(camera()), 1000)).code, 'UNSUPPORTED');
});

test('what a stage ended for what it is stays ended, with the reason', async () => {
  await inside();
  const published = stage.publish(camera());
  await pass(200);
  await published;
  happened.length = 0;
  server.refuse('POST /whip', 403, { message: 'the picture has 1920 × 1080 pixels', errorCode: 'RESOLUTION_EXCEEDED' });
  const { transport } = Peer.newest.transceivers[0].sender;
  transport.state = 'closed'; // the server hung up
  transport.dispatchEvent(new Event('statechange'));
  await pass(15_000);
  assert.deepEqual(happened, ['stream-removed me', 'publish-state connecting', 'publish-state unpublished RESOLUTION_EXCEEDED']);
  assert.deepEqual([posts('/whip'), stage.state, openPeers()], [2, 'connected', 0]);
});

test('whoever leaves at once has published nothing, and has left', async () => {
  await inside();
  const published = failure(stage.publish(camera()));
  await Promise.resolve();
  await Promise.resolve();
  const left = stage.leave();
  await pass(20_000);
  await left;
  assert.deepEqual([posts('/whip'), openPeers(), (await published).code], [0, 0, 'CLOSED']);
});

test('of two that are published at once the second one counts', async () => {
  await inside();
  const first = failure(stage.publish(camera()));
  const second = stage.publish(camera());
  await pass(20_000);
  await second;
  assert.deepEqual([openPeers(), stage.publishState, (await first).code], [1, 'published', 'CLOSED']);
});

test('nothing is published anew once the stage is left', async () => {
  await inside();
  const first = stage.publish(camera());
  await pass(500);
  await first;
  const second = failure(stage.publish(camera()));
  stage.leave();
  await pass(20_000);
  assert.deepEqual([openPeers(), stage.publishState, (await second).code], [0, 'unpublished', 'REFUSED']);
});

test('what is sent is measured as the server sees it', async () => {
  await inside();
  const published = stage.publish(camera());
  await pass(200);
  await published;
  const count = (seconds, lost) => [
    { id: 'v', type: 'outbound-rtp', kind: 'video', bytesSent: 100_000 * seconds, packetsSent: 100 * seconds, frameWidth: 640, frameHeight: 360, framesPerSecond: 15 },
    { id: 'r', type: 'remote-inbound-rtp', localId: 'v', packetsLost: lost },
  ];
  Peer.newest.stats = count(1, 0);
  await pass(1000);
  Peer.newest.stats = count(2, 5);
  await pass(1000);
  const { bitrate, loss, width } = stage.me.stats;
  assert.deepEqual([bitrate, loss, width], [800_000, 0.05, 640]);
});
