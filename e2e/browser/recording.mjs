// Plays recordings in Chromium, from start to end and then from the places it
// is told to seek to, and reads in each picture which one it is: blocks of
// black and white along its top (see shot in tools_recording_test.go).
//
//   node recording.mjs <browser> <rate> <seconds,...> <player> <url>
//
// The player is hls for hls.js or native for Chromium's own; the URL's origin
// has a page for each. It plays rate times as fast as life. One line of JSON
// tells what it showed.
import { chromium } from 'playwright-core';

const [, , executablePath, rate, seeks, player, url] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    // All pages are in front.
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});

// play runs in the page.
async function play({ url, rate, seeks, player }) {
  const video = document.querySelector('video');
  const seen = { shown: [], seeks: [], stalls: [], jumps: 0, errors: [], ended: false };
  const canvas = Object.assign(document.createElement('canvas'), { width: 12, height: 9 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingEnabled = false; // one point from the middle of each block

  // The code of the picture in sight, null when the picture does not tell.
  const shot = () => {
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, 12, 2);
    let code = 0;
    for (let i = 0; i < 12; i++) {
      const [bit, opposite] = [data[4 * i] > 127, data[4 * (12 + i)] > 127];
      if (bit === opposite) return null;
      code = 2 * code + bit;
    }
    return code;
  };
  const event = (target, name) => new Promise((done) => target.addEventListener(name, done, { once: true }));
  const picture = () => new Promise((done) => video.requestVideoFrameCallback((_, { mediaTime }) => done({ at: mediaTime, code: shot() })));

  video.addEventListener('error', () => seen.errors.push(video.error.message));
  if (player === 'hls') {
    const hls = new Hls();
    hls.on('hlsError', (_, { details, fatal, reason, error }) => {
      if (details === 'bufferStalledError' && !fatal) return; // a slow machine's: see stalls
      seen.errors.push([details, fatal ? 'fatal' : '', reason ?? error?.message ?? ''].join(' '));
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url;
  }
  // From start to end.
  let waiting = null;
  const stop = () => { if (waiting !== null) seen.stalls.push({ at: video.currentTime, ms: performance.now() - waiting }); waiting = null; };
  video.addEventListener('waiting', () => { waiting = performance.now(); });
  video.addEventListener('playing', stop);
  video.addEventListener('seeking', () => { seen.jumps++; });
  const ended = event(video, 'ended').then(() => { seen.ended = true; });
  const failed = event(video, 'error');
  // Whoever stands still for this long has come to the end of what it can do.
  const stuck = (async () => {
    for (let at = -1; at !== video.currentTime && !video.ended;) {
      at = video.currentTime;
      await new Promise((done) => setTimeout(done, 15000));
    }
  })();
  video.playbackRate = rate;
  video.play().catch((error) => seen.errors.push(String(error)));
  let playing = true;
  (async () => {
    for (let next = await picture(); playing; next = await picture()) seen.shown.push(next);
  })();
  await Promise.race([ended, failed, stuck]);
  playing = false;
  stop();
  const shown = seen.shown.slice(), { jumps } = seen;
  Object.assign(seen, { duration: video.duration, time: video.currentTime });

  // Across the joins, there and back.
  video.pause();
  for (const to of seen.ended ? seeks : []) {
    const sought = event(video, 'seeked');
    let next = picture();
    video.currentTime = to;
    await sought;
    // One from before may be shown first, on a slow machine.
    for (let shown = await next; Math.abs(shown.at - to) > 1; shown = await next) {
      next = Promise.race([picture(), new Promise((done) => setTimeout(done, 2000, { at: to }))]);
    }
    seen.seeks.push({ to, time: video.currentTime, code: shot() });
  }
  return { ...seen, shown, jumps, audioBytes: video.webkitAudioDecodedByteCount };
}

const page = await browser.newPage();
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
await page.goto(`${new URL(url).origin}/page/${player}`);
const seen = await page.evaluate(play, { url, rate: Number(rate), seeks: seeks.split(',').map(Number), player });
console.log(JSON.stringify({ ...seen, problems }));
await browser.close();
