// Publishes to a stage from Chromium, by the client library: pictures that spell
// the time of the sound's clock, in hundredths of seconds modulo 40 s, and a beep
// with each second of it.
//
//   node publish.mjs <browser> <origin> <token> <height> <hint>
//
// The hint is what the pictures are, as a track's contentHint: of "detail" Chromium
// keeps the size, of "motion" it makes smaller ones where network or machine are slow.
//
// Prints a line of JSON when it publishes. Each line on the standard input is a
// command, answered with one more:
//
//   look            what is sent now
//   resize HEIGHT   sends pictures of another size
//   kill            ends the browser as the kernel would, all its processes at once
//
// The end of the input ends the browser as a user would.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [, , executablePath, origin, token, height, hint] = process.argv;
const server = await chromium.launchServer({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});
const browser = await chromium.connect(server.wsEndpoint());

// publish runs in the page.
async function publish({ token, height, hint }) {
  const { Stage } = await import('/assets/vendor/stage/index.js');
  const audio = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' });
  const destination = new MediaStreamAudioDestinationNode(audio);
  const tone = new OscillatorNode(audio, { frequency: 1000 });
  const gain = new GainNode(audio, { gain: 0 });
  tone.connect(gain).connect(destination);
  for (let second = 1; second < 600; second++) {
    gain.gain.setValueAtTime(0.5, second);
    gain.gain.setValueAtTime(0, second + 0.06);
  }
  // A hum, so that nobody takes the rest for silence that need not be sent.
  const hum = new GainNode(audio, { gain: 0.002 });
  tone.connect(hum).connect(destination);
  tone.start();

  // The sound's clock goes in steps of what is rendered at once: the line below
  // those of the last second. It stands still where the machine is too busy to render.
  const steps = [];
  const clock = () => {
    const now = performance.now() / 1000;
    steps.push({ now, behind: now - audio.currentTime });
    while (steps[0].now < now - 1) steps.shift();
    return now - Math.min(...steps.map(({ behind }) => behind));
  };
  const columns = 12;
  let width = height * 16 / 9;
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  window.resize = (to) => {
    height = canvas.height = to;
    width = canvas.width = to * 16 / 9;
  };
  let drawn = 0;
  const draw = () => {
    const code = Math.floor(clock() * 100) % 4000;
    context.fillStyle = `hsl(${drawn * 3 % 360} 60% 50%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = '#fff';
    context.fillRect(drawn * 7 % width, height / 2, 80, 80);
    for (let i = 0; i < columns; i++) {
      const bit = (code >> (columns - 1 - i)) & 1;
      for (let row = 0; row < 2; row++) {
        context.fillStyle = bit !== row ? '#fff' : '#000';
        context.fillRect(i * width / columns, row * height / 9, width / columns + 1, height / 9);
      }
    }
    drawn++;
  };
  for (const until = performance.now() + 500; performance.now() < until;) {
    clock();
    await new Promise((done) => setTimeout(done, 5));
  }
  const stage = window.stage = new Stage(token);
  await stage.join();
  draw();
  const pictures = canvas.captureStream(0);
  const [track] = pictures.getTracks();
  track.contentHint = hint;
  setInterval(() => {
    draw();
    track.requestFrame();
  }, 1000 / 30);
  await stage.publish([track, ...destination.stream.getTracks()]);
}

const page = await browser.newPage();
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
await page.goto(`${origin}/clock`, { waitUntil: 'domcontentloaded' });
await page.evaluate(publish, { token, height: Number(height), hint });
const say = (what) => console.log(JSON.stringify({ ...what, problems }));
say({ state: 'publishing' });
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'kill') {
    process.kill(-server.process().pid, 'SIGKILL');
    say({ state: 'killed' });
    process.exit();
  }
  const [command, value] = line.split(' ');
  if (command === 'resize') await page.evaluate((height) => window.resize(height), Number(value));
  say({ state: await page.evaluate(() => window.stage.publishState) });
}
await browser.close();
await server.close();
