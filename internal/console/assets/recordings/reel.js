// Plays one recording in one video, also while it is still being made: its media
// playlist is an EVENT then, which grows every few seconds until EXT-X-ENDLIST.
//
//   attempt → lost → look at the recording anew → attempt from there → …
//
// An attempt is one hls.js, or one source of the browser's own player. What it
// cannot mend by itself (the server was restarted, the URL has expired) ends it.
import { mediaURL } from './service.js';
import { Timeline } from './timeline.js';

// Milliseconds.
const AGAIN = [1000, 2000, 5000, 10000]; // until the next attempt, the last of them forever
const CALM = 30000; // of an attempt that was none in vain
const LOOK_EVERY = 10000; // at the playlist, beside the browser's own player

const useHls = typeof Hls !== 'undefined' && Hls.isSupported() && new URLSearchParams(location.search).get('player') !== 'native';
const playable = useHls || document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '';

const sleep = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});

export class Reel {
  recording = null;
  timeline = new Timeline();
  words = ''; // why nothing plays
  errors = []; // the newest, for diagnosis
  #video;
  #changed;
  #config;
  #began;
  #life = new AbortController(); // of what is open

  // changed is called when timeline or words are others; config is hls.js's; began
  // is called with the hls.js of each attempt.
  constructor(video, changed, { config = {}, began = () => {} } = {}) {
    this.#video = video;
    this.#changed = changed;
    this.#config = config;
    this.#began = began;
  }

  // Plays a recording, unless it is to be paused at first. renew resolves to what is
  // known of it by then.
  async open(recording, renew, paused = false) {
    this.close();
    const { signal } = this.#life;
    this.recording = recording;
    if (!playable) this.#say('This browser cannot play HLS.');
    let place = { at: 0, paused };
    for (let trouble = 0; playable && !signal.aborted; trouble++) {
      const url = this.#url();
      if (url) {
        const began = performance.now();
        const lost = await (useHls ? this.#withHls(url, place, signal) : this.#natively(url, place, signal));
        if (signal.aborted) return;
        if (performance.now() - began > CALM) trouble = 0;
        place = lost;
        this.#say(`${lost.why} Trying again.`);
      } else if (this.growing) {
        this.#say('There is nothing to play yet. It starts here as soon as the first pictures are stored.');
        trouble = 1;
      } else {
        this.#say('There is nothing to play in this recording.');
        return;
      }
      await sleep(AGAIN[Math.min(trouble, AGAIN.length - 1)], signal);
      try {
        const known = await renew();
        if (!signal.aborted) this.recording = known;
      } catch {
        // The next round may do better.
      }
    }
  }

  // Tells what is known of the recording by now.
  update(recording) {
    if (recording.id !== this.recording?.id) return;
    this.recording = recording;
    this.#changed();
  }

  close() {
    this.#life.abort();
    this.#life = new AbortController();
    this.recording = null;
    this.#video.removeAttribute('src');
    this.#video.load();
    this.#learn('');
    this.#say('');
  }

  // Goes to a media time.
  seek(time) {
    this.#video.currentTime = Math.max(0, Math.min(time, this.timeline.duration - 0.1));
  }

  // Whether more will come.
  get growing() { return this.recording?.state === 'RECORDING_STARTED' && !this.timeline.ended; }

  // The media time up to which it is buffered from where it is.
  get loaded() {
    const { buffered, currentTime } = this.#video;
    let end = currentTime;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.5) end = Math.max(end, buffered.end(i));
    }
    return end;
  }

  #url() {
    const { playbackUrl } = this.recording;
    return playbackUrl ? mediaURL(playbackUrl) : '';
  }

  // Resolves to why it is over, and where it was.
  #withHls(url, place, signal) {
    const video = this.#video;
    return new Promise((over) => {
      const hls = new Hls({ ...this.#config, startPosition: place.at, lowLatencyMode: false });
      let mended = 0; // when
      const end = (why) => {
        const { currentTime: at, paused } = video; // which go with the source
        hls.destroy();
        over({ why, at, paused });
      };
      signal.addEventListener('abort', () => end(''), { once: true });
      this.#began(hls);
      hls.on(Hls.Events.LEVEL_LOADED, (_event, { details }) => this.#learn(details.m3u8));
      hls.on(Hls.Events.ERROR, (_event, e) => {
        const code = e.response?.code;
        const lost = e.fatal || code === 403; // the URL has expired
        this.#note(e.details, lost, code);
        if (!lost) return;
        if (e.type !== Hls.ErrorTypes.MEDIA_ERROR) end(code ? `The server answered ${code}.` : 'The server does not answer.');
        else if (performance.now() - mended < 5000) end('The media cannot be played.');
        else hls.recoverMediaError();
        mended = performance.now();
      });
      hls.loadSource(url);
      hls.attachMedia(video);
      if (!place.paused) this.#begin();
    });
  }

  #natively(url, place, signal) {
    const video = this.#video;
    return new Promise((over) => {
      const attempt = new AbortController();
      const end = (why) => {
        attempt.abort();
        over({ why, at: video.currentTime || place.at, paused: video.paused && (place.paused || video.currentTime > 0) });
      };
      signal.addEventListener('abort', () => end(''), { once: true });
      video.addEventListener('error', () => {
        this.#note(video.error?.message, true);
        end('The media cannot be played.');
      }, { signal: attempt.signal });
      video.preload = 'auto';
      video.src = url;
      video.currentTime = place.at;
      if (!place.paused) this.#begin();
      this.#follow(url, attempt.signal);
    });
  }

  // Reads the media playlist for as long as it grows.
  async #follow(url, signal) {
    const read = async (from) => {
      const answer = await fetch(from, { cache: 'no-cache', signal });
      return answer.ok ? answer.text() : '';
    };
    while (!signal.aborted && !this.timeline.ended) {
      try {
        const variant = (await read(url)).split('\n').find((line) => line !== '' && !line.startsWith('#'));
        const text = variant ? await read(new URL(variant, url)) : '';
        if (text && !signal.aborted) this.#learn(text);
      } catch (e) {
        if (!signal.aborted) this.#note(e.message, false);
      }
      await sleep(LOOK_EVERY, signal);
    }
  }

  // Where sound needs a click first, the button is there.
  #begin() { this.#video.play().catch(() => {}); }

  #note(details, fatal, code) {
    this.errors.push({ at: Date.now(), details, fatal, code });
    if (this.errors.length > 100) this.errors.shift();
  }

  // Takes in a media playlist.
  #learn(text) {
    this.timeline = new Timeline(text);
    this.#changed();
  }

  #say(words) {
    this.words = words;
    this.#changed();
  }
}
