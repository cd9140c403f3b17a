// Plays a channel or a recording in Chromium, in a page for each player, and
// tells what ad breaks come out of it.
//
//   node ads.mjs <browser> <site> <count> <player>=<url> ...
//
// The player is hls for hls.js or native for Chromium's own; the site has a page
// for each. A line of JSON tells what each page knows when those with hls.js know
// the ends of so many breaks and all have played for three seconds, or after a minute.
import { chromium } from 'playwright-core';

const [, , executablePath, site, count, ...videos] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    // All pages are in front.
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});

// play runs in the page.
function play({ url, player }) {
  const video = document.querySelector('video');
  const seen = { ranges: {}, cues: [], errors: [] };
  window.seen = seen;
  video.addEventListener('error', () => seen.errors.push(video.error.message));
  if (player === 'native') {
    video.src = url;
  } else {
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (_, { details, fatal, error }) => {
      if (fatal || details === 'levelParsingError') seen.errors.push(`${details}: ${error?.message}`);
    });
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      for (const [id, range] of Object.entries(details.dateRanges)) {
        seen.ranges[id] = {
          start: range.startDate.getTime(), end: range.endDate?.getTime() ?? null, valid: range.isValid,
          planned: range.plannedDuration, attributes: Object.keys(range.attr),
        };
      }
      if (details.playlistParsingError) seen.errors.push(details.playlistParsingError.message);
    });
    // What hls.js makes of them for the page.
    const { addCue } = TextTrack.prototype;
    TextTrack.prototype.addCue = function (cue) {
      const { key, data } = cue.value;
      if (key.startsWith('SCTE35')) seen.cues.push({ key, table: new Uint8Array(data)[0] });
      return addCue.call(this, cue);
    };
    hls.loadSource(url);
    hls.attachMedia(video);
  }
  video.play().catch((error) => seen.errors.push(String(error)));
}

const pages = [];
for (const argument of videos) {
  const player = argument.slice(0, argument.indexOf('='));
  const url = argument.slice(player.length + 1);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${site}/page/${player}`);
  await page.evaluate(play, { url, player });
  pages.push({ page, player });
}

const look = () => Promise.all(pages.map(async ({ page, player }) => ({
  player, ...await page.evaluate(() => {
    const video = document.querySelector('video');
    const played = video.played;
    let time = 0;
    for (let i = 0; i < played.length; i++) time += played.end(i) - played.start(i);
    return { ...window.seen, time };
  }),
})));
const done = ({ player, ranges, time }) => time > 3
  && (player === 'native' || Object.values(ranges).filter(({ attributes }) => attributes.includes('SCTE35-IN')).length >= Number(count));
for (let i = 0; i < 600 && !(await look()).every(done); i++) await new Promise((next) => setTimeout(next, 100));
console.log(JSON.stringify(await look()));
await browser.close();
