// A stage as pages see it, on a clock that goes when it is told to.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Stage, StageError } from '../dist/index.js';
import { codecs, pass, Peer, seen, tokenOf, Track, whipUrl, world } from './fakes.mjs';

let server;
let stage;
let happened;

function make(claims, options) {
  stage = new Stage(tokenOf(claims), options);
  happened = [];
  for (const name of ['state', 'left', 'participant-joined', 'participant-left', 'stream-added', 'stream-removed', 'publish-state']) {
    stage.on(name, (what, more) => happened.push([name, what?.id ?? what, more instanceof StageError ? more.code : undefined].filter(Boolean).join(' ')));
  }
}

// In the stage, with others.
async function inside(...others) {
  const joined = stage.join();
  await pass(0);
  server.state(seen('me'), ...others);
  await joined;
  await pass(200);
  happened.length = 0;
}

// Settles a promise that fails, and lets time pass meanwhile.
async function failure(promise, milliseconds = 0) {
  const settled = promise.then(() => null, (error) => error);
  await pass(milliseconds);
  return settled;
}

const camera = () => [new Track('audio'), new Track('video', { width: 1280, height: 720 })];
const posts = (path) => server.count(`POST ${path}`);

beforeEach(() => {
  server = world();
  make();
});

// --- joining ----------------------------------------------------------------

test('joining shows the token to both endpoints, and tells who is there', async () => {
  const joined = stage.join();
  await pass(0);
  assert.equal(stage.state, 'connecting');
  const [socket] = server.sockets;
  assert.deepEqual([socket.url, socket.protocols, socket.sent], ['wss://stage.example/events/Qw3rTy7uIoP1', [tokenOf()], ['{"type":"PING"}']]);
  assert.deepEqual([server.requests[0].method, server.requests[0].url, server.requests[0].headers.Authorization], ['OPTIONS', whipUrl, `Bearer ${tokenOf()}`]);
  server.state(seen('me', false, { userId: 'zoë' }), seen('ana', false, { attributes: { role: 'guest', odd: 1 } }), { id: 7 }, null);
  await joined;
  assert.deepEqual(happened, ['state connecting', 'participant-joined ana', 'state connected']);
  const [ana] = stage.participants;
  assert.deepEqual([ana.userId, ana.attributes, ana.isLocal, stage.participants.length], ['user ana', { role: 'guest' }, false, 1]);
  server.state(seen('me'));
  assert.deepEqual([happened.at(-1), stage.participants], ['participant-left ana', []]);
});

test('a refused token is told in words, and not tried again', async () => {
  for (const [status, body, code] of [[401, { message: 'token has expired' }, 'REFUSED'], [403, { message: 'no', errorCode: 'INSUFFICIENT_CAPABILITIES' }, 'INSUFFICIENT_CAPABILITIES']]) {
    server = world();
    make();
    server.deaf = true;
    server.refuse('OPTIONS /whip', status, body);
    const error = await failure(stage.join(), 60_000);
    assert.deepEqual([error.code, error.message, error.status], [code, body.message, status]);
    assert.deepEqual(happened, ['state connecting', 'state disconnected', `left refused ${code}`]);
    assert.equal(server.count('OPTIONS /whip'), 1);
  }
});

test('a server that is away is tried for 30 s', async () => {
  server.deaf = true;
  server.refuse('OPTIONS /whip', 0);
  let error;
  stage.join().catch((e) => { error = e; });
  await pass(29_000);
  assert.deepEqual([error, stage.state], [undefined, 'connecting']);
  await pass(2000);
  assert.deepEqual([error.code, stage.state], ['TIMEOUT', 'disconnected']);
});

test('the socket comes back by itself, and says when it was away', async () => {
  await inside(seen('ana'));
  server.deaf = true;
  server.sockets[0].closed();
  await pass(20_000);
  assert.deepEqual([stage.state, happened], ['reconnecting', ['state reconnecting']]);
  assert.equal(stage.participants.length, 1, 'who was there is still shown');
  server.deaf = false;
  await pass(5000);
  server.state(seen('me'), seen('bob'));
  assert.deepEqual(happened.slice(1), ['participant-left ana', 'participant-joined bob', 'state connected']);
});

test('a socket that says nothing is taken for gone', async () => {
  await inside();
  const [silent] = server.sockets;
  await pass(20_000);
  assert.equal(silent.sent.length, 3, 'a PING at the start and every 10 s');
  silent.receive({ type: 'PONG' });
  silent.receive('{"type":');
  silent.receive({ type: 'SOMETHING_NEW', payload: 7 });
  await pass(19_000);
  assert.equal(stage.state, 'connected');
  await pass(12_000);
  assert.equal(stage.state, 'reconnecting');
  server.sockets.at(-1).receive({ type: 'PING' });
  assert.equal(server.sockets.at(-1).sent.at(-1), '{"type":"PONG"}');
});

test('the server ends it with a reason', async () => {
  for (const reason of ['token-reused', 'participant-disconnected', 'stage-deleted', 'a new one']) {
    server = world();
    make();
    await inside(seen('ana', true));
    const published = stage.publish(camera());
    await pass(200);
    await published;
    happened.length = 0;
    server.left(reason);
    await pass(60_000);
    assert.ok(happened.includes(`left ${reason}`), reason);
    assert.deepEqual([stage.state, stage.publishState, stage.participants, server.sockets], ['disconnected', 'unpublished', [], []]);
    assert.ok(Peer.all.every((peer) => peer.connectionState === 'closed'));
  }
});

test('leaving ends everything at the server, once', async () => {
  await inside(seen('ana', true));
  const published = stage.publish(camera());
  await pass(200);
  await published;
  await stage.leave();
  await stage.leave();
  const ended = server.requests.filter(({ method }) => method === 'DELETE');
  assert.deepEqual(ended.map(({ path, keepalive }) => [path, keepalive]).sort(), [['/whip/session/me/1', true], ['/whip/session/me/2', true]]);
  const requests = server.requests.length;
  await pass(60_000);
  assert.equal(server.requests.length, requests);
  await inside(seen('ana', true)); // and again
  assert.equal(stage.participants[0].streaming, 'connected');
});

// --- subscribing ------------------------------------------------------------

test('whoever publishes is subscribed to', async () => {
  await inside(seen('ana', true), seen('bob'), seen('me', true));
  assert.deepEqual(server.lines, ['OPTIONS /whip', 'POST /whip/subscribe/ana']);
  const [ana, bob] = stage.participants;
  assert.deepEqual([ana.streaming, ana.stream.getTracks().map(({ kind }) => kind), bob.streaming], ['connected', ['audio', 'video'], 'none']);
  const [audio, video] = Peer.newest.transceivers;
  assert.deepEqual([audio.direction, video.direction], ['recvonly', 'recvonly']);
  assert.deepEqual(video.codecs, [codecs[3], codecs[1], codecs[2]], 'H.264 and its retransmissions alone');
  server.state(seen('me'), seen('ana', true), seen('bob', true));
  await pass(200);
  assert.deepEqual(happened, ['stream-added bob']);
});

test('a page says what it wants of whom, and may say otherwise later', async () => {
  const wanted = { ana: 'none', bob: 'audio' };
  make({}, { subscribe: ({ id }) => wanted[id] });
  await inside(seen('ana', true), seen('bob', true));
  assert.deepEqual([server.lines.slice(1), Peer.newest.transceivers.map(({ kind }) => kind)], [['POST /whip/subscribe/bob'], ['audio']]);
  Object.assign(wanted, { ana: 'audio-video', bob: 'none' });
  stage.refreshSubscriptions();
  await pass(200);
  assert.deepEqual(happened.sort(), ['stream-added ana', 'stream-removed bob']);
  make({ capabilities: { allow_publish: true } });
  await inside(seen('ana', true));
  assert.equal(posts('/whip/subscribe/ana'), 1, 'none by a token that does not allow it');
});

test('a publisher who is back within 10 s goes on in the same stream', async () => {
  await inside(seen('ana', true));
  const [ana] = stage.participants;
  const { stream } = ana;
  server.state(seen('me'), seen('ana', false));
  await pass(9000);
  server.state(seen('me'), seen('ana', true));
  await pass(20_000);
  assert.deepEqual([posts('/whip/subscribe/ana'), happened, ana.stream === stream, ana.streaming], [1, [], true, 'connected']);
  server.state(seen('me'), seen('ana', false));
  await pass(11_000);
  assert.deepEqual([happened, stream.getTracks(), server.lines.at(-1)], [['stream-removed ana'], [], 'DELETE /whip/session/me/1']);
});

test('a subscription that was lost is made anew, in the same stream', async () => {
  await inside(seen('ana', true));
  const [ana] = stage.participants;
  const [{ stream }, tracks] = [ana, ana.stream.getTracks()];
  const transport = Peer.newest.transceivers[0].sender.transport;
  transport.state = 'closed'; // the server hung up
  transport.dispatchEvent(new Event('statechange'));
  await pass(1000);
  assert.deepEqual([happened, posts('/whip/subscribe/ana'), ana.stream === stream], [['stream-removed ana', 'stream-added ana'], 2, true]);
  assert.deepEqual([stream.getTracks().length, stream.getTracks().some((track) => tracks.includes(track))], [2, false]);
});

test('a publisher that is not found yet is tried again, and a refusal is told once', async () => {
  const errors = [];
  stage.on('subscribe-error', ({ id }, { code }) => errors.push(`${id} ${code}`));
  server.refuse('POST /whip/subscribe/ana', 404, { errorCode: 'PUBLISHER_NOT_FOUND' }, 3);
  server.refuse('POST /whip/subscribe/bob', 403, { errorCode: 'INSUFFICIENT_CAPABILITIES' });
  await inside(seen('ana', true), seen('bob', true));
  await pass(10_000);
  assert.deepEqual([posts('/whip/subscribe/ana'), posts('/whip/subscribe/bob')], [4, 1]);
  assert.deepEqual(errors.sort(), ['ana PUBLISHER_NOT_FOUND', 'ana PUBLISHER_NOT_FOUND', 'ana PUBLISHER_NOT_FOUND', 'bob INSUFFICIENT_CAPABILITIES']);
});

// --- publishing -------------------------------------------------------------

test('publishing offers sound and H.264, within the limits', async () => {
  await inside();
  const published = stage.publish([new Track('video', { width: 1080, height: 1920 })], { maxBitrate: 1_000_000, maxFramerate: 15 });
  await pass(200);
  await published;
  assert.deepEqual(happened, ['publish-state connecting', 'stream-added me', 'publish-state published'].sort((a, b) => happened.indexOf(a) - happened.indexOf(b)));
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

// --- statistics -------------------------------------------------------------

test('statistics are told each second, and who is silent', async () => {
  await inside(seen('ana', true));
  const peer = Peer.newest;
  const [ana] = stage.participants;
  const inbound = (kind, seconds, lost, more = {}) => ({
    id: kind, type: 'inbound-rtp', kind, bytesReceived: 10_000 * seconds, packetsReceived: 90 * seconds, packetsLost: lost, ...more,
  });
  const pair = { id: 'p', type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.012 };
  const second = async (...stats) => {
    peer.stats = [pair, ...stats];
    await pass(1000);
  };
  const size = { frameWidth: 1280, frameHeight: 720, framesPerSecond: 30 };
  await second(inbound('audio', 1, 0), inbound('video', 1, 0, size));
  await second(inbound('audio', 2, 0), inbound('video', 2, 20, size));
  assert.deepEqual(ana.stats, {
    bitrate: 160_000, loss: 0.1, roundTrip: 0.012, width: 1280, height: 720, framesPerSecond: 30, packets: { audio: 90, video: 90 },
  });
  assert.deepEqual([ana.audioMuted, ana.videoStopped], [false, false]);
  await second(inbound('audio', 2, 0), inbound('video', 2, 20, size));
  assert.deepEqual([ana.audioMuted, ana.videoStopped], [false, false], 'a second may be an accident');
  await second(inbound('audio', 2, 0), inbound('video', 2, 20, size));
  assert.deepEqual([ana.audioMuted, ana.videoStopped], [true, false]);
  await second(inbound('audio', 2, 0), inbound('video', 2, 20, size));
  assert.deepEqual([ana.audioMuted, ana.videoStopped, ana.stats.loss], [true, true, 0]);
  await second(inbound('audio', 3, 0), inbound('video', 3, 15, size)); // late ones make up for lost ones
  assert.deepEqual([ana.audioMuted, ana.videoStopped, ana.stats.loss], [false, false, 0]);
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

test('a listener that throws harms no other', async () => {
  const problems = [];
  globalThis.reportError = ({ message }) => problems.push(message);
  stage.on('state', () => { throw new Error('mine'); });
  const states = [];
  const forget = stage.on('state', (state) => states.push(state));
  await inside();
  forget();
  await stage.leave();
  await pass(0);
  assert.deepEqual([states, problems], [['connecting', 'connected'], ['mine', 'mine', 'mine']]);
});
