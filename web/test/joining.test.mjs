// Joining a stage, being in it, and leaving it.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { pass, Peer, seen, tokenOf, whipUrl } from './fakes.mjs';
import { begin, camera, failure, happened, inside, make, server, stage } from './page.mjs';

beforeEach(() => begin());

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
    begin();
    server.deaf = true;
    server.refuse('OPTIONS /whip', status, body);
    const error = await failure(stage.join(), 60_000);
    assert.deepEqual([error.code, error.message, error.status], [code, body.message, status]);
    assert.deepEqual(happened, ['state connecting', 'state disconnected', `left refused ${code}`]);
    assert.equal(server.count('OPTIONS /whip'), 1);
  }
});

test('a stage that is not there any more ends it, at first and later', async () => {
  const gone = [404, { message: 'the stage does not exist' }];
  await inside(seen('ana'));
  server.deaf = true;
  server.refuse('OPTIONS /whip', ...gone);
  server.sockets[0].closed();
  await pass(1000);
  assert.deepEqual(happened, ['state reconnecting', 'participant-left ana', 'state disconnected', 'left refused REFUSED']);

  begin();
  server.deaf = true;
  server.refuse('OPTIONS /whip', ...gone);
  assert.equal((await failure(stage.join(), 1000)).message, 'the stage does not exist');
});

test('where the browser opens no socket it is told at once, in its words', async () => {
  server.barred = true;
  const error = await failure(stage.join(), 1000);
  assert.deepEqual([error.code, error.message], ['REFUSED', 'the browser opens no socket to wss://stage.example/events/Qw3rTy7uIoP1: insecure']);
  assert.deepEqual(happened, ['state connecting', 'state disconnected', 'left refused REFUSED']);
});

test('who joins once more meanwhile waits for the same', async () => {
  const known = [];
  for (const name of ['first', 'second']) stage.join().then(() => known.push(name));
  await pass(5000);
  assert.deepEqual([known, server.sockets.length, server.lines], [[], 1, ['OPTIONS /whip']]);
  server.state(seen('me'));
  await pass(0);
  assert.deepEqual(known, ['first', 'second']);
  await stage.join(); // it is known

  make();
  const given = [stage.join(), stage.join()].map((joining) => failure(joining));
  await stage.leave();
  assert.deepEqual((await Promise.all(given)).map(({ message }) => message), Array(2).fill('left the stage: user-initiated'));
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
    begin();
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

test('who leaves on hearing that it is joined has left', async () => {
  stage.on('state', (state) => { if (state === 'connecting') stage.leave(); });
  const error = await failure(stage.join(), 60_000);
  assert.deepEqual([error.message, stage.state, server.sockets], ['left the stage: user-initiated', 'disconnected', []]);
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
