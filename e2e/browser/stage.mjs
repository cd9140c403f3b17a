// Works pages of stages in Chromium, for a test. Cameras and microphones are
// fake: a moving picture, and beeps.
//
//   node stage.mjs <browser>
//
// Each line on the standard input is a command as JSON, answered with one line
// of JSON: what the page shows then. Pages have numbers, from 0.
//
//   {"do": "open", "url": …}                             a page of its own, with a session of its own
//   {"do": "load", "page": …}                            the page once more
//   {"do": "click", "page": …, "selector": …}
//   {"do": "fill", "page": …, "selector": …, "text": …}
//   {"do": "picture", "page": …, "file": …, "width": …, "height": …}
//   {"do": "look", "page": …}
//   {"do": "clock", "page": …, "token": …}               publishes a clock by the client library
//   {"do": "read", "page": …, "token": …, "seconds": …}  subscribes by it, and reads the clock
//   {"do": "restart", "page": …}                         has ICE fail, as the page sees it
//   {"do": "close", "page": …}
//
// The end of the input ends the browser.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [, , executablePath] = process.argv;
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--autoplay-policy=no-user-gesture-required',
    '--use-fake-device-for-media-stream=fps=10', '--use-fake-ui-for-media-stream', '--auto-accept-this-tab-capture',
    // All pages are in front.
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
  ],
});
const pages = [];

// Runs before the page's own scripts: counts what its videos show, and hears
// what they sound like.
function observe() {
  const peers = window.peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...config) {
      super(...config);
      peers.push(this);
    }
  };
  const seen = new WeakMap(); // by video
  const context = new AudioContext();
  const samples = new Float32Array(2048);
  const loudness = (analyser) => {
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((sum, x) => sum + x * x, 0);
  };
  setInterval(() => {
    for (const video of document.querySelectorAll('video')) {
      const now = seen.get(video) ?? { frames: 0, sound: null, energy: 0 };
      if (!seen.has(video)) {
        seen.set(video, now);
        const count = () => {
          now.frames++;
          video.requestVideoFrameCallback(count);
        };
        video.requestVideoFrameCallback(count);
      }
      const [track] = video.srcObject?.getAudioTracks() ?? [];
      if (track !== now.sound) {
        now.sound = track;
        now.analyser = track && new AnalyserNode(context);
        if (track) new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) }).connect(now.analyser);
      }
      if (now.analyser) now.energy += loudness(now.analyser);
    }
  }, 50);
  window.seen = seen;
}

const commands = {
  async open({ url }) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      const refused = /status of 40[0-9]|WebSocket connection to/.test(message.text()); // which the page tells
      if (message.type() === 'error' && !refused) problems.push(message.text());
    });
    await page.addInitScript(observe);
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    pages.push({ page, problems, sent: [], calls: [] });
    // To where the token goes.
    page.on('request', (request) => {
      const headers = request.headers();
      if (headers.authorization || request.url().includes('token=')) pages.find((p) => p.page === page)?.sent.push(new URL(request.url()).origin);
    });
    page.on('response', (response) => {
      const [request, { pathname }] = [response.request(), new URL(response.url())];
      if (pathname.startsWith('/whip')) pages.find((p) => p.page === page)?.calls.push(`${request.method()} ${pathname.split('/')[2] ?? 'publish'} ${response.status()}`);
    });
    await mark(page);
    return pages.length - 1;
  },
  async load({ page }) {
    await pages[page].page.reload({ waitUntil: 'domcontentloaded' });
    await mark(pages[page].page);
  },
  click: ({ page, selector }) => pages[page].page.click(selector),
  fill: ({ page, selector, text }) => pages[page].page.fill(selector, text),
  async picture({ page, file, width, height }) {
    const { page: tab } = pages[page];
    const size = tab.viewportSize();
    await tab.setViewportSize({ width, height });
    await tab.waitForTimeout(300); // tiles find their places
    await tab.screenshot({ path: file });
    await tab.setViewportSize(size);
  },
  look() {},
  restart: ({ page }) => pages[page].page.evaluate(() => {
    for (const peer of window.peers.filter(({ connectionState }) => connectionState === 'connected')) {
      Object.defineProperty(peer, 'iceConnectionState', { value: 'failed', configurable: true });
      peer.dispatchEvent(new Event('iceconnectionstatechange'));
      delete peer.iceConnectionState;
    }
  }),
  close: ({ page }) => pages[page].page.close({ runBeforeUnload: true }),

  // Eight blocks in a row, five rows, that spell the time, as in glass.mjs.
  clock: ({ page, token }) => pages[page].page.evaluate(async (token) => {
    const { Stage } = await import('/assets/vendor/stage/index.js');
    const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
    const context = canvas.getContext('2d', { alpha: false });
    const draw = () => {
      const now = Date.now() | 0;
      const bytes = [now >>> 24, (now >>> 16) & 255, (now >>> 8) & 255, now & 255];
      bytes.push(bytes.reduce((a, b) => a ^ b, 0xa5));
      for (let i = 0; i < 40; i++) {
        context.fillStyle = (bytes[i >> 3] >> (7 - (i & 7))) & 1 ? '#fff' : '#000';
        context.fillRect((i & 7) * 160, (i >> 3) * 144, 160, 144);
      }
    };
    const stage = window.clockStage = new Stage(token);
    await stage.join();
    draw();
    const stream = canvas.captureStream(0);
    const [track] = stream.getTracks();
    setInterval(() => {
      draw();
      track.requestFrame();
    }, 1000 / 30);
    await stage.publish(stream);
  }, token),

  read: ({ page, token, seconds }) => pages[page].page.evaluate(async ({ token, seconds }) => {
    const { Stage } = await import('/assets/vendor/stage/index.js');
    const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
    document.body.append(video);
    const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 5 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.imageSmoothingEnabled = false;
    const clock = () => {
      context.drawImage(video, 0, 0, 8, 5);
      const { data } = context.getImageData(0, 0, 8, 5);
      const bytes = [0, 0, 0, 0, 0];
      for (let i = 0; i < 40; i++) bytes[i >> 3] = (bytes[i >> 3] << 1) | (data[4 * i] > 127);
      const [a, b, c, d, check] = bytes;
      return (a ^ b ^ c ^ d ^ 0xa5) === check ? ((a << 24) | (b << 16) | (c << 8) | d) : null;
    };
    const found = { delays: [], unreadable: 0, heights: [] };
    const began = performance.now();
    const frame = () => {
      const now = Date.now();
      const made = clock();
      if (made === null) found.unreadable++;
      else found.delays.push({ at: (performance.now() - began) / 1000, seconds: ((now - made) | 0) / 1000 });
      if (video.videoHeight && found.heights.at(-1)?.height !== video.videoHeight) found.heights.push({ at: (performance.now() - began) / 1000, height: video.videoHeight });
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    const stage = new Stage(token);
    stage.on('stream-added', (_participant, stream) => { video.srcObject = stream; });
    await stage.join();
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    const [publisher] = stage.participants;
    found.stats = publisher.stats;
    await stage.leave();
    return found;
  }, { token, seconds }),
};

// A page that was loaded again, and a tile that was made anew, have lost the mark.
const mark = (page) => page.evaluate(() => { window.mark = true; });

const look = (page) => page.evaluate(() => {
  const shown = (selector) => {
    const element = document.querySelector(selector);
    return element?.checkVisibility() ? element.textContent.trim() : '';
  };
  const { stage } = window.anabranch ?? {};
  return {
    marked: window.mark === true,
    address: location.href,
    door: document.querySelector('#door')?.checkVisibility() ?? false,
    problem: shown('#problem'),
    state: document.body.dataset.state ?? '',
    publishing: stage?.publishState ?? '',
    others: shown('#others'),
    join: shown('#join'),
    wide: document.documentElement.scrollWidth > innerWidth,
    tiles: [...document.querySelectorAll('.tile')].map((tile) => {
      const video = tile.querySelector('video');
      const { frames = 0, energy = 0 } = window.seen?.get(video) ?? {};
      const part = (selector) => {
        const element = tile.querySelector(selector);
        return element.checkVisibility() ? element.textContent : '';
      };
      const known = tile.known === true;
      tile.known = true;
      return {
        id: tile.dataset.participant, known, frames, energy,
        name: part('.who'), muted: part('.sign') !== '', curtain: part('.curtain'), stats: part('.stats'), picture: tile.dataset.picture,
        width: video.videoWidth, height: video.videoHeight, time: video.currentTime, paused: video.paused,
      };
    }),
  };
});

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  const found = await commands[name](given);
  if (name === 'read') {
    console.log(JSON.stringify(found));
    continue;
  }
  const { page, problems, sent, calls } = pages[name === 'open' ? found : given.page];
  console.log(JSON.stringify({ ...(page.isClosed() ? {} : await look(page)), problems, sent: [...new Set(sent)], calls }));
}
await browser.close();
