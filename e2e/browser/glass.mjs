// Watches a channel in Chromium and reads the clock in its picture: blocks of
// black and white, eight in a row, five rows, that spell the time at which the
// picture was made (see glassFrame in bench_glass.go).
//
//   node glass.mjs <browser> <url> <visits> <settle> <seconds>
//
// It prints one line of JSON: how long each visit waited for its first picture,
// and what each picture of the last one told in the seconds after the player
// had settled.
import { chromium } from 'playwright-core';

const [, , executablePath, url, visits, settle, seconds] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required'],
});

// Runs before the page's own scripts, so that the first picture is not missed.
function observe() {
  const glass = { first: null, samples: [], unreadable: 0, stalls: 0 };
  window.glass = glass;
  document.addEventListener('DOMContentLoaded', () => {
    const video = document.querySelector('video');
    const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 5 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingEnabled = false; // one point from the middle of each block

    // The low 32 bits of the time in Unix milliseconds, and a check of 8; null
    // when the picture does not tell.
    const clock = () => {
      context.drawImage(video, 0, 0, 8, 5);
      const { data } = context.getImageData(0, 0, 8, 5);
      const bytes = [0, 0, 0, 0, 0];
      for (let i = 0; i < 40; i++) bytes[i >> 3] = (bytes[i >> 3] << 1) | (data[4 * i] > 127);
      const [a, b, c, d, check] = bytes;
      return (a ^ b ^ c ^ d ^ 0xa5) === check ? ((a << 24) | (b << 16) | (c << 8) | d) : null;
    };

    const frame = () => {
      const now = Date.now();
      glass.first ??= performance.now(); // since the navigation began
      const made = clock();
      const player = window.anabranch?.hls;
      if (made === null) glass.unreadable++;
      else {
        glass.samples.push({
          glass: (now - made) | 0, // both wrap at 32 bits
          date: window.anabranch?.latency() ?? null,
          position: player?.latency ?? null,
          rate: video.playbackRate,
          ahead: video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0,
        });
      }
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    video.addEventListener('waiting', () => { glass.stalls++; });
  });
}

let page;
const firsts = []; // milliseconds since the navigation began
for (let visit = 0; visit < Number(visits); visit++) {
  await page?.close();
  page = await browser.newPage({ viewport: { width: 960, height: 720 } }); // with a cache of its own
  await page.addInitScript(observe);
  await page.goto(url);
  await page.waitForFunction(() => window.glass.first !== null, null, { timeout: 20000 });
  firsts.push(await page.evaluate(() => window.glass.first));
}
const sleep = (s) => new Promise((done) => setTimeout(done, 1000 * s));
await sleep(Number(settle));
const before = await page.evaluate(() => {
  Object.assign(window.glass, { samples: [], unreadable: 0, stalls: 0 });
  return document.querySelector('video').getVideoPlaybackQuality().droppedVideoFrames;
});
await sleep(Number(seconds));
const seen = await page.evaluate((dropped) => {
  const { hls } = window.anabranch ?? {};
  const { samples, unreadable, stalls } = window.glass;
  return {
    samples, unreadable, stalls,
    dropped: document.querySelector('video').getVideoPlaybackQuality().droppedVideoFrames - dropped,
    target: hls?.targetLatency ?? null,
    partTarget: hls?.latestLevelDetails?.partTarget ?? null,
    errors: (window.anabranch?.errors ?? []).map((e) => e.details),
  };
}, before);
console.log(JSON.stringify({ firsts, ...seen }));
await browser.close();
