// What a page receives of others.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { codecs, pass, Peer, seen } from './fakes.mjs';
import { begin, happened, inside, make, posts, server, stage } from './page.mjs';

beforeEach(() => begin());

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
