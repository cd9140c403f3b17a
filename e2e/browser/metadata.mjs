// Plays channels or recordings in Chromium, each in a page of its own, and tells
// what timed metadata comes out of them.
//
//   node metadata.mjs <browser> <site> <rate> <count> <player>=<url> ...
//
// The player is hls for hls.js or native for Chromium's own; the site has a page
// for each. It plays rate times as fast as life. A first line of JSON tells that
// all pages play, a second one what each of them heard: printed when all with
// hls.js have parsed so many pieces and come to the last, or after a minute.
import { chromium } from 'playwright-core';

const [, , executablePath, site, rate, count, ...videos] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    // All pages are in front.
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});

// play runs in the page.
function play({ url, rate, player }) {
  const video = document.querySelector('video');
  const seen = { parsed: [], cues: [], told: [], errors: [] };
  window.seen = seen;
  video.addEventListener('error', () => seen.errors.push(video.error.message));
  if (player === 'native') {
    video.src = url;
  } else {
    const owner = 'metadata.live-video.net\0';
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (_, { details, fatal }) => fatal && seen.errors.push(details));
    // What the demuxer finds, and the date at which it is.
    hls.on(Hls.Events.FRAG_PARSING_METADATA, (_, { frag, samples }) => samples.forEach(({ data, pts, type }) => {
      const [tag, text] = new TextDecoder().decode(data.subarray(20)).split(owner);
      if (text !== undefined && tag === '') seen.parsed.push({ text, type, date: frag.programDateTime + 1000 * (pts - frag.start) });
    }));
    // What a page is told when playback comes to it.
    video.textTracks.addEventListener('addtrack', ({ track }) => {
      if (track.kind !== 'metadata') return;
      const heed = (cue) => {
        const { key, info, data } = cue.value;
        if (key !== 'PRIV' || `${info}\0` !== owner) return;
        const text = new TextDecoder().decode(data);
        seen.cues.push(text);
        cue.addEventListener('enter', () => seen.told.push({ text, late: video.currentTime - cue.startTime }));
      };
      // The event comes after the first cues.
      [...track.cues].forEach(heed);
      const add = track.addCue.bind(track);
      track.addCue = (cue) => { heed(cue); add(cue); };
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  }
  video.playbackRate = rate;
  video.play().catch((error) => seen.errors.push(String(error)));
}

const pages = [];
for (const argument of videos) {
  const player = argument.slice(0, argument.indexOf('='));
  const url = argument.slice(player.length + 1);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${site}/page/${player}`);
  await page.evaluate(play, { url, rate: Number(rate), player });
  pages.push({ page, player });
}

const look = () => Promise.all(pages.map(async ({ page, player }) => ({
  player, ...await page.evaluate(() => ({ ...window.seen, time: document.querySelector('video').currentTime })),
})));
// until waits for a minute at most.
async function until(done) {
  for (let i = 0; i < 600 && !(await look()).every(done); i++) await new Promise((next) => setTimeout(next, 100));
}

await until(({ time }) => time > 0.5);
console.log(JSON.stringify(await look()));
await until(({ player, parsed, told }) => player === 'native'
  || new Set(parsed.map(({ text }) => text)).size >= Number(count) && told.some(({ text }) => text === parsed.at(-1).text));
console.log(JSON.stringify(await look()));
await browser.close();
