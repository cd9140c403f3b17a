// Tests what the pages of recordings and of stages are made of, where no page is needed:
//
//   node --test modules_test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalQuery, sign } from './assets/recordings/sigv4.js';
import { Timeline } from './assets/recordings/timeline.js';
import { CommonTimeline, correction, placeOf } from './assets/recordings/together.js';
import { clockOf, lengthOf, tellJoin, timeOf, utcOf } from './assets/recordings/words.js';
import { deviceProblem, layoutOf, nameOf, rateOf, reasonOf, refusalOf, statsOf, watchersOf } from './assets/stage/words.js';

// AWS's own examples: get-vanilla, get-vanilla-query-order-value and
// get-vanilla-query-unreserved of its test suite of signatures.
test('signatures', async () => {
  const keys = { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
  const scope = { region: 'us-east-1', service: 'service' };
  const unreserved = '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  for (const [pairs, signature] of [
    [[], '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    [[['Param2', 'value2'], ['Param1', 'value1']], 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500'],
    [[[unreserved, unreserved]], '9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197'],
  ]) {
    const headers = await sign(keys, scope, {
      host: 'example.amazonaws.com', path: '/', query: canonicalQuery(pairs), date: new Date('2015-08-30T12:36:00Z'),
    });
    assert.equal(headers['X-Amz-Date'], '20150830T123600Z');
    assert.equal(headers.Authorization,
      `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`);
  }
});

test('queries are ordered by their escaped bytes', () => {
  for (const [pairs, want] of [
    [[], ''],
    [[['b', '2'], ['a', '9'], ['a', '1']], 'a=1&a=9&b=2'],
    [[['a', 'x y'], ['A', '!*\'()~'], ['ä', '/:+=&']], '%C3%A4=%2F%3A%2B%3D%26&A=%21%2A%27%28%29~&a=x%20y'],
    [[['a', ''], ['a-b', '1'], ['aB', '1']], 'a=&a-b=1&aB=1'],
  ]) assert.equal(canonicalQuery(pairs), want);
});

const playlist = [
  '#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-TARGETDURATION:12', '#EXT-X-PLAYLIST-TYPE:EVENT', '#EXT-X-MEDIA-SEQUENCE:0',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:00.500Z', '#EXTINF:10.250,', '0.ts',
  '#EXTINF:4.750,', '1.ts', // without a date of its own
  '#EXT-X-DISCONTINUITY',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:24.500Z', '#EXTINF:10.000,', '2.ts',
  '#EXT-X-DISCONTINUITY',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-02T09:00:00.000Z', '#EXTINF:1.000,', '3.ts',
];
const date = (text) => Date.parse(text);

test('a timeline tells parts, joins and dates', () => {
  for (const newline of ['\n', '\r\n']) {
    const t = new Timeline(playlist.join(newline));
    assert.equal(t.duration, 26);
    assert.equal(t.target, 12);
    assert.equal(t.ended, false);
    assert.deepEqual(t.parts.map((p) => [p.start, p.end]), [[0, 15], [15, 25], [25, 26]]);
    assert.deepEqual(t.joins, [
      { time: 15, left: date('2026-03-01T10:00:15.500Z'), back: date('2026-03-01T10:00:24.500Z') },
      { time: 25, left: date('2026-03-01T10:00:34.500Z'), back: date('2026-03-02T09:00:00.000Z') },
    ]);
    for (const [time, at, part] of [
      [0, '2026-03-01T10:00:00.500Z', 0], [-1, '2026-03-01T09:59:59.500Z', 0], [12, '2026-03-01T10:00:12.500Z', 0],
      [14.999, '2026-03-01T10:00:15.499Z', 0], [15, '2026-03-01T10:00:24.500Z', 1], [25.5, '2026-03-02T09:00:00.500Z', 2],
      [99, '2026-03-02T09:01:14.000Z', 2],
    ]) {
      assert.equal(Math.round(t.dateAt(time)), date(at), `date at ${time}`);
      assert.equal(t.partAt(time), part, `part at ${time}`);
    }
  }
  assert.equal(new Timeline([...playlist, '#EXT-X-ENDLIST', ''].join('\n')).ended, true);
});

test('a timeline of nothing, or of what is no playlist', () => {
  for (const text of ['', '#EXTM3U\n', '<html>', '#EXTINF:x,\n0.ts', '#EXTINF:-1,\n0.ts', '{"message":"no"}']) {
    const t = new Timeline(text);
    assert.deepEqual([t.duration, t.parts, t.joins, t.partAt(0)], [0, [], [], -1], text);
    assert.ok(Number.isNaN(t.dateAt(0)));
  }
  const undated = new Timeline('#EXTINF:2,\n0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n1.ts');
  assert.equal(undated.joins.length, 1);
  assert.ok(Number.isNaN(undated.dateAt(3)));
});

// One that is away for nine seconds, and whose picture had another size before.
const sized = [
  '#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-TARGETDURATION:12', '#EXT-X-PLAYLIST-TYPE:VOD', '#EXT-X-MAP:URI="init-0.mp4"',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:04.000Z', '#EXTINF:1.500,', '0.mp4',
  '#EXT-X-DISCONTINUITY', '#EXT-X-MAP:URI="init-1.mp4"',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:05.520Z', '#EXTINF:6.000,', '1.mp4', '#EXTINF:0.500,', '2.mp4',
  '#EXT-X-DISCONTINUITY', '#EXT-X-MAP:URI="init-2.mp4"',
  '#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:21.000Z', '#EXTINF:3.000,', '3.mp4', '#EXT-X-ENDLIST',
].join('\n');

test('another size of the picture is no join', () => {
  const t = new Timeline(sized);
  assert.deepEqual(t.parts.map((p) => [p.start, p.end]), [[0, 8], [8, 11]]);
  assert.deepEqual(t.joins, [{ time: 8, left: date('2026-03-01T10:00:12.020Z'), back: date('2026-03-01T10:00:21.000Z') }]);
});

test('a date has a media time, or none', () => {
  const t = new Timeline(sized);
  for (const [at, time, place] of [
    ['10:00:03.999', NaN, { next: 0, until: date('2026-03-01T10:00:04Z'), before: true }],
    ['10:00:04.000', 0], ['10:00:05.250', 1.25],
    ['10:00:05.510', 1.5], // between two sizes
    ['10:00:05.520', 1.5], ['10:00:11.620', 7.6], ['10:00:12.019', 7.999],
    ['10:00:12.020', NaN, { next: 8, until: date('2026-03-01T10:00:21Z'), before: false }],
    ['10:00:20.999', NaN, { next: 8, until: date('2026-03-01T10:00:21Z'), before: false }],
    ['10:00:21.000', 8], ['10:00:23.900', 10.9],
    ['10:00:24.000', NaN, {}],
  ]) {
    const then = date(`2026-03-01T${at}Z`);
    const found = t.timeAt(then);
    assert.ok(Number.isNaN(time) ? Number.isNaN(found) : Math.abs(found - time) < 1e-6, `${at} is at ${found}`);
    const until = date(`2026-03-01T${time < 8 ? '10:00:12.020' : '10:00:24.000'}Z`);
    assert.deepEqual(placeOf(t, then), place ?? { time: found, until }, at);
    if (!place && at !== '10:00:05.510') assert.equal(Math.round(t.dateAt(found)), then, `and back from ${at}`);
  }
  // The clock was set back by five seconds: the later is meant.
  const back = new Timeline(['10:00:10', '10:00:05'].map((at) => `#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T${at}Z\n#EXTINF:8,\nx\n#EXTINF:2,\ny`).join('\n'));
  assert.deepEqual([6, 9, 12, 16].map((s) => back.timeAt(date('2026-03-01T10:00:00Z') + 1000 * s)), [11, 14, 17, 6]);
  assert.ok(Number.isNaN(new Timeline().timeAt(0)));
  assert.deepEqual(placeOf(new Timeline('#EXTINF:2,\n0.ts'), 0), {}); // without a date
});

test('a line for several recordings', () => {
  const early = new Timeline('#EXT-X-TARGETDURATION:4\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:00.250Z\n#EXTINF:30,\n0.mp4');
  const line = new CommonTimeline([['bob', new Timeline(sized)], ['ana', early], ['nobody', new Timeline()]]);
  assert.deepEqual([line.begin, line.end, line.duration], [date('2026-03-01T10:00:00.250Z'), date('2026-03-01T10:00:30.250Z'), 30]);
  assert.deepEqual([line.target, line.ended], [12, false]);
  assert.deepEqual(line.joins, [{ time: 20.75, who: 'bob', left: date('2026-03-01T10:00:12.020Z'), back: date('2026-03-01T10:00:21.000Z') }]);
  const both = new CommonTimeline([['late', new Timeline(playlist.join('\n'))], ['bob', new Timeline(sized)]]);
  assert.deepEqual(both.joins.map(({ who, time }) => [who, Math.round(time)]), [['bob', 21], ['late', 24], ['late', 82800]]);
  assert.equal(line.dateAt(1.5), date('2026-03-01T10:00:01.750Z'));
  assert.equal(line.timeAt(line.dateAt(12.5)), 12.5);
  assert.equal(new CommonTimeline([['bob', new Timeline(sized)]]).ended, true);
  for (const all of [[], [['a', new Timeline()]], [['a', new Timeline('#EXTINF:2,\n0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n1.ts')]]]) {
    assert.deepEqual([new CommonTimeline(all).duration, new CommonTimeline(all).joins], [0, []]);
  }
});

test('a video comes back in step', () => {
  for (const speed of [0.5, 1, 4]) {
    for (const [ahead, want] of [[0, 1], [0.009, 1], [-0.009, 1], [0.02, 0.92], [-0.02, 1.08], [0.2, 0.8], [-0.2, 1.2]]) {
      const { rate } = correction(ahead, speed);
      assert.ok(Math.abs(rate - speed * want) < 1e-9, `${ahead} s ahead at ${speed}: ${rate}`);
    }
    assert.deepEqual([correction(1.21, speed), correction(-2, speed)], [{ seek: true }, { seek: true }]);
  }
  assert.deepEqual([correction(0.31, 1), correction(-0.31, 0.5)], [{ seek: true }, { seek: true }]);
  // Videos start late, which at a speed of 4 is four times as far: they must not leap for ever.
  assert.ok(correction(-1, 4).rate > 4);
  // Ten times a second, it is within 10 ms of the clock after half a second, and stays there.
  for (const start of [-0.12, 0.12]) {
    let ahead = start;
    for (let tick = 1; tick <= 50; tick++) {
      ahead += (correction(ahead, 1).rate - 1) / 10;
      if (tick >= 10) assert.ok(Math.abs(ahead) < 0.011, `${ahead} s after ${tick} ticks`);
    }
  }
});

test('words', () => {
  for (const [seconds, clock, length] of [
    [0, '0:00', '0 s'], [0.2, '0:00', 'less than 1 s'], [9.2, '0:09', '9 s'], [60, '1:00', '1 min'], [187, '3:07', '3 min 7 s'],
    [3600, '1:00:00', '1 h'], [3723.9, '1:02:03', '1 h 2 min'], [3605, '1:00:05', '1 h'], [172800, '48:00:00', '48 h'],
  ]) {
    assert.equal(clockOf(seconds), clock);
    assert.equal(lengthOf(seconds), length);
  }
  assert.equal(utcOf(date('2026-03-01T10:00:07.412Z')), '2026-03-01 10:00:07 UTC');
  assert.deepEqual([timeOf(NaN), utcOf(NaN), clockOf(-1)], ['–', '', '0:00']);
  const left = date('2026-03-01T10:00:15.500Z');
  assert.equal(tellJoin({ left, back: left + 9000 }), `left at ${timeOf(left)}, back 9 s later`);
  assert.equal(tellJoin({ left, back: left + 200 }), `left at ${timeOf(left)}, back at once`);
  assert.equal(tellJoin({ who: 'bob', left, back: left + 9000 }), `bob left at ${timeOf(left)}, back 9 s later`);
  assert.equal(tellJoin({ left: NaN, back: NaN }), 'a join, at unknown times');
});

test('what the page of a stage says', () => {
  for (const [rate, want] of [[0, '0 kbit/s'], [64_400, '64 kbit/s'], [999_400, '999 kbit/s'], [999_500, '1.0 Mbit/s'], [2_460_000, '2.5 Mbit/s']]) {
    assert.equal(rateOf(rate), want);
  }
  const stats = { width: 1280, height: 720, framesPerSecond: 29.97, bitrate: 1_200_000, loss: 0.0123, roundTrip: 0.0124 };
  assert.equal(statsOf(stats), '1280 × 720 · 30/s · 1.2 Mbit/s · 1.2 % lost · 12 ms');
  assert.equal(statsOf(stats, true), '1280 × 720 · 1.2 Mbit/s · 1.2 % lost');
  assert.equal(statsOf({ ...stats, width: 0, roundTrip: null }), '1.2 Mbit/s · 1.2 % lost');
  for (const [error, want] of [
    [{ code: 'REFUSED', status: 401, message: 'token has expired' }, 'The server refuses this token: token has expired.'],
    [{ code: 'QUOTA_EXCEEDED', status: 403, message: '12 publish' }, 'The stage is full. (12 publish)'],
    [{ code: 'RESOLUTION_EXCEEDED', status: 403, message: '1920 × 1080' }, 'The picture is larger than the stage takes. (1920 × 1080)'],
    [{ code: 'BITRATE_EXCEEDED', status: 403, message: '' }, 'More is sent than the stage takes.'],
    [{ code: 'STREAM_DURATION_EXCEEDED', status: 403, message: '' }, 'This was published for as long as the stage takes.'],
    [{ code: 'TOKEN_MALFORMED', status: 0, message: 'x' }, 'This is not a participant token.'],
    [{ code: 'NETWORK', status: 0, message: 'fetch failed' }, 'The server does not answer.'],
    [{ code: 'REFUSED', status: 400, message: 'line 3' }, 'That did not work: line 3.'],
    [{ code: 'REFUSED', status: 500, message: '' }, 'That did not work.'],
  ]) assert.equal(refusalOf(error), want);
  assert.match(reasonOf('token-reused'), /elsewhere/);
  assert.equal(reasonOf('a new one'), 'The server has ended this: a new one.');
  assert.match(deviceProblem('camera', { name: 'NotAllowedError' }), /address bar/);
  assert.equal(deviceProblem('camera', { name: 'OtherError', message: 'no' }), 'The camera does not work: no.');
  assert.deepEqual([nameOf({ id: 'p1', userId: '' }), nameOf({ id: 'p1', userId: 'ana', isLocal: true })], ['p1', 'ana (you)']);
  assert.deepEqual([watchersOf([], false), watchersOf([], true), watchersOf(['ana', 'bob'], true)], ['Nobody else is here yet.', '', 'Watching: ana, bob']);
  assert.equal(watchersOf([...'abcdefg'], true), 'Watching: a, b, c, d, e and 2 more');
});

test('tiles are as large as there is room', () => {
  for (const [n, width, height, want] of [
    [1, 1600, 900, { columns: 1, width: 1600 }],
    [1, 400, 800, { columns: 1, width: 400 }],
    [2, 1600, 600, { columns: 2, width: 795 }],
    [2, 400, 800, { columns: 1, width: 400 }], // a phone
    [4, 1600, 900, { columns: 2, width: 791 }],
    [6, 1600, 900, { columns: 3, width: 526 }],
    [6, 400, 800, { columns: 1, width: 222 }],
    [9, 400, 800, { columns: 2, width: 195 }],
    [3, 0, 0, { columns: 1, width: 0 }],
  ]) assert.deepEqual(layoutOf(n, width, height, 10), want, `${n} in ${width} × ${height}`);
});
