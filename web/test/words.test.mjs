// What is read and written: tokens, SDP, Link headers, refusals.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal, StageError } from '../dist/errors.js';
import { candidatesOf, credentialsOf, fragmentOf, restarted, startAt } from '../dist/sdp.js';
import { readToken } from '../dist/token.js';
import { iceServers } from '../dist/whip.js';
import { eventsUrl, tokenOf, whipUrl } from './fakes.mjs';

test('a token tells who one is, where, and what one may do', () => {
  assert.deepEqual(readToken(tokenOf()), {
    stageId: 'Qw3rTy7uIoP1', participantId: 'me', userId: 'zoë', attributes: { role: 'host' }, canPublish: true, canSubscribe: true,
    expires: new Date('2030-01-01T01:00:00Z'), eventsUrl, whipUrl,
  });
  const bare = readToken(tokenOf({ user_id: undefined, attributes: { n: 1, s: 'x' }, capabilities: undefined }));
  assert.deepEqual([bare.userId, bare.attributes, bare.canPublish, bare.canSubscribe], ['', { s: 'x' }, false, false]);
});

test('what is no token is refused', () => {
  for (const bad of [
    '', 'x', 'a.b', 'a.b.c', `${tokenOf()}.d`, `${tokenOf()}=`, `${tokenOf()} `, tokenOf({ jti: '' }), tokenOf({ topic: 7 }), tokenOf({ whip_url: undefined }),
    tokenOf({ whip_url: 'javascript:alert(1)' }), tokenOf({ events_url: 'https://stage.example' }), `a.${Buffer.from('null').toString('base64url')}.c`,
  ]) assert.throws(() => readToken(bad), (e) => e instanceof StageError && e.code === 'TOKEN_MALFORMED' && e.final, bad);
});

const link = (...servers) => servers.join(', ');
test('ICE servers are read from Link headers', () => {
  const turn = '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="1700:me"; credential="a,b;\\"c"; credential-type="password"';
  for (const [header, want] of [
    ['', []],
    ['<stun:stun.example>; rel="ice-server"', [{ urls: 'stun:stun.example' }]],
    [turn, [{ urls: 'turn:turn.example:3478?transport=udp', username: '1700:me', credential: 'a,b;"c' }]],
    [`<stun:[2001:db8::1]:3478>;rel=ice-server,${turn.replaceAll('; ', ';')}`,
      [{ urls: 'stun:[2001:db8::1]:3478' }, { urls: 'turn:turn.example:3478?transport=udp', username: '1700:me', credential: 'a,b;"c' }]],
    [link('<turns:turn.example>; REL="next ice-server"; username=u; credential=p', '<https://stage.example/x>; rel="ice-server"', '<stun:s>; rel="next"'),
      [{ urls: 'turns:turn.example', username: 'u', credential: 'p' }]],
    ['<turn:t>; username="u"', [{ urls: 'turn:t' }]], // half of what is needed
    ['turn:t; rel="ice-server"', []],
  ]) assert.deepEqual(iceServers(header), want, header);
});

const offer = [
  'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=candidate:1 1 udp 2 192.0.2.1 5 typ host', 'a=ice-ufrag:u', 'a=ice-pwd:p', 'a=mid:0', 'a=sendonly',
  'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=candidate:2 1 udp 2 192.0.2.1 6 typ host', 'a=ice-ufrag:u', 'a=ice-pwd:p', 'a=mid:1', 'a=end-of-candidates', '',
].join('\r\n');

test('a fragment tells of the first section alone', () => {
  assert.deepEqual(credentialsOf(offer), { ufrag: 'u', pwd: 'p' });
  assert.equal(credentialsOf('v=0\r\na=ice-ufrag:u\r\n'), null);
  assert.deepEqual(candidatesOf(offer), ['candidate:1 1 udp 2 192.0.2.1 5 typ host']);
  assert.equal(fragmentOf(offer, candidatesOf(offer), true),
    'a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 2 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n');
  assert.ok(!fragmentOf(offer, [], false).includes('candidate'));
});

test('an ICE restart renews credentials and candidates of all sections, and nothing else', () => {
  const fresh = restarted(offer, 'a=ice-ufrag:v\r\na=ice-pwd:q\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:3 1 udp 2 192.0.2.2 7 typ host\r\na=end-of-candidates\r\n');
  const kept = (sdp) => sdp.split('\r\n').filter((line) => !/ice-|candidate/.test(line));
  assert.deepEqual(kept(fresh), kept(offer));
  for (const section of fresh.split('m=').slice(1)) {
    assert.deepEqual(section.split('\r\n').filter((line) => /ice-|candidate/.test(line)),
      ['a=ice-ufrag:v', 'a=ice-pwd:q', 'a=candidate:3 1 udp 2 192.0.2.2 7 typ host', 'a=end-of-candidates']);
  }
  assert.equal(restarted(offer, 'a=candidate:3 1 udp 2 192.0.2.2 7 typ host'), null);
});

test('the first bitrate is told for H.264 alone', () => {
  const answer = (more = '') => ['v=0', 'm=audio 9 X 111', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10', 'm=video 9 X 96 97',
    'a=rtpmap:96 H264/90000', `a=fmtp:96 packetization-mode=1${more}`, 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96', ''].join('\r\n');
  assert.equal(startAt(answer(), 1_200_400), answer(';x-google-start-bitrate=1200'));
  assert.equal(startAt('v=0\r\n', 1), 'v=0\r\n');
});

test('a refusal says what the server says', async () => {
  for (const [status, body, code, message, final] of [
    [403, '{"code":403,"message":"token lacks allow_publish","errorCode":"INSUFFICIENT_CAPABILITIES"}', 'INSUFFICIENT_CAPABILITIES', 'token lacks allow_publish', true],
    [401, '{"code":401,"message":"token has expired"}', 'REFUSED', 'token has expired', true],
    [404, '{"message":"no such publisher","errorCode":"PUBLISHER_NOT_FOUND"}', 'PUBLISHER_NOT_FOUND', 'no such publisher', false],
    [502, '<html>bad gateway</html>', 'REFUSED', 'the server answers 502', false],
    [429, 'null', 'REFUSED', 'the server answers 429', false],
    [400, '{"message":7}', 'REFUSED', 'the server answers 400', true],
  ]) {
    const error = await refusal(new Response(body, { status }));
    assert.deepEqual([error.code, error.message, error.status, error.final], [code, message, status, final], body);
  }
});
