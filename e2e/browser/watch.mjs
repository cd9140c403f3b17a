// Opens pages in Chromium and answers a test about their videos.
//
//   node watch.mjs <browser>
//
// Each line on the standard input is a command, answered with one line of JSON:
//
//   open <url>             a page of its own, with caches of its own
//   look <page>            what the page shows; the first one's number is 0
//   picture <page> <file>  the same, and a screenshot
//
// The end of the input ends the browser.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [, , executablePath] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    // All pages are in front.
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});
const pages = [];

async function open(url) {
  const context = await browser.newContext({ viewport: { width: 960, height: 720 } });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(url);
  // A page that was loaded again would have lost the mark.
  await page.evaluate(() => { window.mark = true; });
  pages.push({ page, problems });
}

async function look({ page, problems }) {
  const seen = await page.evaluate(() => {
    const video = document.querySelector('video');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [64, 36];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const luma = [];
    for (let i = 0; i < data.length; i += 4) luma.push(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
    const mean = luma.reduce((a, b) => a + b) / luma.length;
    const errors = (window.anabranch?.errors ?? window.errors ?? []).filter((e) => e.fatal).map((e) => e.details);
    return {
      marked: window.mark === true,
      time: video.currentTime,
      ended: video.ended,
      width: video.videoWidth,
      // A blank picture has none.
      variance: luma.reduce((sum, y) => sum + (y - mean) ** 2, 0) / luma.length,
      audioBytes: video.webkitAudioDecodedByteCount,
      latency: window.anabranch?.latency() ?? null,
      state: document.body.dataset.state,
      errors: video.error ? [...errors, video.error.message] : errors,
    };
  });
  return { ...seen, problems };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument, file] = line.split(' ');
  if (command === 'open') await open(argument);
  if (command === 'picture') await pages[argument].page.screenshot({ path: file });
  console.log(JSON.stringify(command === 'open' ? {} : await look(pages[argument])));
}
await browser.close();
