// Opens a page in Chromium and answers a test about its video.
//
//   node watch.mjs <browser> <url>
//
// Each line on the standard input is a command: "look", or "picture <file>",
// which also saves a screenshot. Each is answered with one line of JSON.
// The end of the input ends the browser.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [, , executablePath, url] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required'],
});
const page = await browser.newPage({ viewport: { width: 960, height: 720 } });
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
await page.goto(url);

// A page that was loaded again would have lost the mark.
await page.evaluate(() => { window.mark = true; });

const look = () => page.evaluate(() => {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [64, 36];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const luma = [];
  for (let i = 0; i < data.length; i += 4) luma.push(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]);
  const mean = luma.reduce((a, b) => a + b) / luma.length;
  return {
    marked: window.mark === true,
    time: video.currentTime,
    width: video.videoWidth,
    // A blank picture has none.
    variance: luma.reduce((sum, y) => sum + (y - mean) ** 2, 0) / luma.length,
    audioBytes: video.webkitAudioDecodedByteCount,
    latency: window.anabranch?.latency() ?? null,
    state: document.body.dataset.state,
    errors: (window.anabranch?.errors ?? []).filter((e) => e.fatal).map((e) => e.details),
  };
});

for await (const line of createInterface({ input: process.stdin })) {
  const [command, file] = line.split(' ', 2);
  if (command === 'picture') await page.screenshot({ path: file });
  console.log(JSON.stringify({ ...(await look()), problems }));
}
await browser.close();
