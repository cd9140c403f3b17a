// Plays a channel of several renditions in Chromium and changes from one to
// another.
//
//   node switching.mjs <browser> <player> <url>
//
// The player is
//
//   hls     hls.js, told which level to play, all the way down and up again
//   slow    hls.js, which chooses by itself on a connection that becomes slow,
//           and good again
//   native  Chromium's own, which chooses by itself
//   watch   the watch page, of which the URL is; its menu is used
//
// One line of JSON tells what was seen.
import { chromium } from 'playwright-core';

const [, , executablePath, player, url] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required'],
});
const page = await (await browser.newContext({ viewport: { width: 420, height: 780 } })).newPage();
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));

// observe runs in the page, as soon as there is a video.
function observe() {
  const video = document.querySelector('video');
  const seen = { stalls: [], errors: [], heights: [] };
  let waiting = null;
  video.addEventListener('waiting', () => { waiting ??= performance.now(); });
  video.addEventListener('playing', () => {
    if (waiting !== null) seen.stalls.push(Math.round(performance.now() - waiting));
    waiting = null;
  });
  video.addEventListener('error', () => seen.errors.push(video.error.message));
  video.addEventListener('resize', () => seen.heights.push(video.videoHeight));
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  // Waits until what is true; false when that takes too long.
  const until = async (what, limit = 30000) => {
    for (const from = performance.now(); !what(); await sleep(20)) if (performance.now() - from > limit) return false;
    return true;
  };
  // Watches for some time: how far the picture went on, and whether it stalled.
  const watch = async (ms) => {
    const from = video.currentTime, before = seen.stalls.length;
    await sleep(ms);
    return { moved: video.currentTime - from, stalls: seen.stalls.slice(before) };
  };
  const play = (url) => {
    const hls = new Hls();
    hls.on('hlsError', (_, { details, fatal, reason, error }) => {
      if (details === 'bufferStalledError' && !fatal) return; // see stalls
      seen.errors.push([details, fatal ? 'fatal' : '', reason ?? error?.message ?? ''].join(' '));
    });
    hls.loadSource(url);
    hls.attachMedia(video);
    hls.once('hlsManifestParsed', () => video.play().catch((error) => seen.errors.push(String(error))));
    seen.hls = hls;
    return hls;
  };
  window.test = { video, seen, sleep, until, watch, play };
}

// What a page knows at the end.
const told = () => page.evaluate(() => {
  const { video, seen: { stalls, errors, heights, hls } } = window.test;
  return { stalls, errors, heights, levels: hls?.levels.map(({ height, bitrate }) => ({ height, bitrate })) ?? [], time: video.currentTime };
});

const plays = {
  async hls() {
    return page.evaluate(async (url) => {
      const { video, until, watch, play } = window.test;
      const hls = play(url);
      await until(() => video.currentTime > 0 && !video.paused);
      const top = hls.levels.length - 1;
      hls.nextLevel = top;
      await until(() => video.videoHeight === hls.levels[top].height);
      await watch(2000);
      const steady = await watch(5000);
      const down = [...hls.levels.keys()].reverse();
      const way = [...down.slice(1), ...down.reverse().slice(1), 0, top];
      const steps = [];
      let from = top;
      // A machine that is busy stalls by itself: what stalled is tried again.
      for (const [how, level] of [...way.map((i) => ['nextLevel', i]), ['currentLevel', 0], ['currentLevel', top]]) {
        const step = { how, from: hls.levels[from].height, to: hls.levels[level].height, shown: false, moved: 0, stalls: [], tries: 0 };
        while (step.tries++ < 3) {
          const began = performance.now(), at = video.currentTime, before = window.test.seen.stalls.length;
          hls[how] = level;
          step.shown = await until(() => video.videoHeight === step.to);
          step.took = Math.round(performance.now() - began);
          step.moved = (await watch(1500)).moved;
          step.forward = video.currentTime > at;
          step.stalls = window.test.seen.stalls.slice(before);
          if (!step.shown || step.stalls.length === 0 || how === 'currentLevel') break;
          hls.nextLevel = from;
          await until(() => video.videoHeight === step.from);
          await watch(2000);
        }
        steps.push(step);
        from = level;
      }
      return { steady, steps };
    }, url);
  },

  async slow() {
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    const limit = (bitsPerSecond) => network.send('Network.emulateNetworkConditions', {
      offline: false, latency: 20, downloadThroughput: bitsPerSecond / 8, uploadThroughput: -1,
    });
    const settled = (up) => page.evaluate(async (up) => {
      const { video, until, watch, seen: { hls } } = window.test;
      const shown = await until(() => video.currentTime > 0 && (video.videoHeight === hls.levels.at(-1).height) === up, 60000);
      return { shown, height: video.videoHeight, bitrate: hls.levels[hls.currentLevel]?.bitrate ?? 0, ...await watch(3000) };
    }, up);
    await page.evaluate((url) => { window.test.play(url); }, url);
    const steps = [await settled(true)];
    // Too slow for the best, not for all.
    await limit(await page.evaluate(() => window.test.seen.hls.levels.at(-1).bitrate / 2));
    steps.push(await settled(false));
    await limit(-1);
    steps.push(await settled(true));
    return { steps };
  },

  async native() {
    return page.evaluate(async (url) => {
      const { video, until, watch } = window.test;
      video.src = url;
      video.play();
      await until(() => video.currentTime > 0);
      return { steps: [{ shown: true, height: video.videoHeight, ...await watch(8000) }] };
    }, url);
  },

  async watch() {
    const menu = page.locator('#quality');
    await page.waitForFunction(() => document.body.dataset.state === 'live');
    await page.waitForTimeout(1000);
    if (!await menu.isVisible()) return { choices: [] };
    const choices = await menu.locator('option').allTextContents();
    const steps = [];
    const step = async (choose) => {
      await choose();
      const to = await menu.evaluate((select) => parseInt(select.selectedOptions[0].text, 10) || 0);
      steps.push(await page.evaluate(async (to) => {
        const { video, until, watch } = window.test;
        const shown = await until(() => !to || Math.min(video.videoWidth, video.videoHeight) === to);
        return { to, shown, height: video.videoHeight, ...await watch(1500) };
      }, to));
    };
    for (const name of choices.slice(1).reverse()) await step(() => menu.selectOption(name));
    await step(async () => { // with the keyboard, one down from the best
      await menu.focus();
      await page.keyboard.press('ArrowDown');
    });
    // A new attempt of the page keeps what was chosen.
    await page.evaluate(() => window.anabranch.hls.trigger(Hls.Events.ERROR, { type: 'otherError', details: 'manifestLoadError', fatal: true }));
    await page.waitForTimeout(3000);
    await step(() => {});
    await step(() => menu.selectOption(''));
    const auto = await menu.locator('option').first().textContent();
    const box = await menu.boundingBox();
    return { choices, steps, auto, fits: box.x >= 0 && box.x + box.width <= page.viewportSize().width };
  },
};

await page.goto(player === 'watch' ? url : `${new URL(url).origin}/page/${player === 'native' ? 'native' : 'hls'}`);
await page.evaluate(observe);
const found = await plays[player]();
console.log(JSON.stringify({ ...await told(), ...found, problems }));
await browser.close();
