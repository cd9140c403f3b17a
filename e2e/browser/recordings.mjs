// Works the page of recordings in Chromium, for a test.
//
//   node recordings.mjs <browser>
//
// Each line on the standard input is a command as JSON, done in the page that
// was opened last and answered with one line of JSON: what the page shows then.
//
//   {"do": "open", "url": …}                      a page of its own, with a session of its own
//   {"do": "load"}                                the page once more
//   {"do": "fill", "selector": …, "text": …}
//   {"do": "click", "selector": …}
//   {"do": "key", "selector": …, "text": …}       a key, on what has the selector
//   {"do": "point", "at": …}                      to a place on the time bar, from 0 to 1
//   {"do": "seek", "at": …}                       a click there
//   {"do": "select", "selector": …, "text": …}    an option, by its value
//   {"do": "refuse"}                              the next request for media, with 403
//   {"do": "watch", "seconds": …}                 for so long, how the picture moves
//   {"do": "shots", "seconds": …}                 for so long, which pictures the tiles of a session show when
//   {"do": "picture", "file": …, "width": …, "height": …}
//   {"do": "look"}
//
// The end of the input ends the browser.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [, , executablePath] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    '--host-resolver-rules=MAP media.example 127.0.0.1', // a host that is not this one, for the browser
  ],
});
let page;
let problems;

async function barAt(at) {
  const box = await page.locator('#bar').boundingBox();
  return [box.x + at * box.width, box.y + box.height / 2];
}

const commands = {
  async open({ url }) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', timezoneId: 'Asia/Kolkata' });
    page = await context.newPage();
    const list = problems = [];
    page.on('pageerror', (error) => list.push(String(error)));
    page.on('console', (message) => {
      const refused = message.text().includes('the server responded with a status of 403');
      if (message.type() === 'error' && !refused) list.push(message.text());
    });
    await page.goto(url);
    await page.evaluate(() => { window.mark = true; }); // lost when it is loaded again
  },
  load: () => page.reload(),
  fill: ({ selector, text }) => page.fill(selector, text),
  click: ({ selector }) => page.click(selector),
  select: ({ selector, text }) => page.selectOption(selector, text),
  key: ({ selector, text }) => page.press(selector, text),
  point: async ({ at }) => page.mouse.move(...await barAt(at)),
  seek: async ({ at }) => page.mouse.click(...await barAt(at)),
  refuse: () => page.route('**/recordings/media/**', (route) => route.fulfill({ status: 403 }), { times: 1 }),
  // The longest time without a new position, in seconds.
  watch: ({ seconds }) => page.evaluate(async (milliseconds) => {
    const { video } = window;
    const began = performance.now();
    let [position, moved, longest] = [video.currentTime, began, 0];
    while (performance.now() - began < milliseconds) {
      await new Promise((done) => setTimeout(done, 10));
      const now = performance.now();
      longest = Math.max(longest, now - moved);
      if (video.currentTime !== position) [position, moved] = [video.currentTime, now];
    }
    return { longest: longest / 1000 };
  }, 1000 * seconds),
  // Pictures tell what they are in two rows of twelve blocks, the second of which
  // has the opposites of the first. Times are in milliseconds: at, when it was on the
  // screen; told, its date by the recording. clocks are the dates that the tiles were
  // at, 20 times a second.
  shots: ({ seconds }) => page.evaluate(async (milliseconds) => {
    const { deck } = window.anabranch;
    const [columns, rows] = [12, 9];
    const canvas = Object.assign(document.createElement('canvas'), { width: columns, height: rows });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingEnabled = false;
    const codeOf = (video) => {
      context.drawImage(video, 0, 0, columns, rows);
      const { data } = context.getImageData(0, 0, columns, 2);
      const bits = Array.from({ length: 2 * columns }, (_, i) => data[4 * i] > 127);
      const good = bits.slice(0, columns).every((bit, i) => bit !== bits[columns + i]);
      return good ? bits.slice(0, columns).reduce((code, bit) => 2 * code + bit, 0) : -1;
    };
    const [shots, clocks] = [[], []];
    let over = false;
    const dates = () => Object.fromEntries([...document.querySelectorAll('.tile:not(.absent)')].map((tile) =>
      [tile.querySelector('.who').textContent, deck.timelineOf(tile.dataset.recording).dateAt(tile.querySelector('video').currentTime)]));
    const reading = setInterval(() => clocks.push(dates()), 50);
    for (const tile of document.querySelectorAll('.tile')) {
      const video = tile.querySelector('video');
      const look = (_now, { expectedDisplayTime: at, mediaTime }) => {
        if (over) return;
        const told = deck.timelineOf(tile.dataset.recording).dateAt(mediaTime);
        if (!video.paused) shots.push({ name: tile.querySelector('.who').textContent, code: codeOf(video), at, told });
        video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);
    }
    await new Promise((done) => setTimeout(done, milliseconds));
    over = true;
    clearInterval(reading);
    return { shots, clocks };
  }, 1000 * seconds),
  async picture({ file, width, height }) {
    const size = page.viewportSize();
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: file });
    await page.setViewportSize(size);
  },
  look() {},
};

const look = () => page.evaluate(() => {
  const $ = (id) => document.getElementById(id);
  const shown = (id) => ($(id).checkVisibility() ? $(id).textContent : '');
  const { left, width } = $('bar').getBoundingClientRect();
  const { deck } = window.anabranch ?? {};
  const part = (element, selector) => [...element.querySelectorAll(selector)].map((e) => e.getBoundingClientRect());
  return {
    address: location.href,
    marked: window.mark === true,
    door: $('door').checkVisibility(),
    refused: shown('refused'),
    missing: shown('missing') !== '',
    status: shown('status'),
    rows: [...$('list').children].map((row) => [...row.querySelectorAll('a > *')].filter((e) => e.checkVisibility()).map((e) => e.textContent)),
    state: shown('state'),
    curtain: shown('curtain'),
    when: shown('when'),
    tip: shown('bar'),
    command: shown('line'),
    parts: [...$('parts').children].map((part) => part.textContent),
    marks: [...document.querySelectorAll('.marks i')].map((mark) => {
      const box = mark.getBoundingClientRect();
      return (box.left + box.width / 2 - left) / width;
    }),
    qualities: $('quality').checkVisibility() ? [...$('quality').options].map((option) => option.text) : [],
    height: $('video').videoHeight,
    time: $('video').currentTime,
    paused: deck?.paused ?? true,
    position: deck?.position ?? 0,
    duration: deck?.timeline.duration ?? 0,
    ended: deck?.timeline.ended ?? false,
    tiles: [...document.querySelectorAll('.tile')].map((tile) => {
      const { currentTime, paused } = tile.querySelector('video');
      return { name: tile.querySelector('.who').textContent, curtain: tile.querySelector('.curtain').textContent, time: currentTime, paused };
    }),
    lanes: [...document.querySelectorAll('#lanes li')].map((lane) => {
      const [{ left: from, width: all }] = part(lane, '.bars');
      return {
        name: lane.querySelector('.who').textContent,
        shown: lane.querySelector('.who').getAttribute('aria-pressed') === 'true',
        there: part(lane, '.there').map((box) => [(box.left - from) / all, (box.right - from) / all]),
        joins: part(lane, '.join').map((box) => ((box.left + box.right) / 2 - from) / all),
      };
    }),
    wide: document.documentElement.scrollWidth > innerWidth,
    keptKeys: sessionStorage.length + localStorage.length,
    errors: (deck?.errors ?? []).filter((e) => e.fatal).map((e) => e.details),
  };
});

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  const found = await commands[name](given);
  console.log(JSON.stringify({ ...await look(), ...(name === 'watch' || name === 'shots' ? found : {}), problems }));
}
await browser.close();
