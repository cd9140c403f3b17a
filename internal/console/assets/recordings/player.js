// Plays one recording, also while it is still being made: its media playlist is
// an EVENT then, which grows every 10 to 30 s until EXT-X-ENDLIST.
//
//   attempt → lost → look at the recording anew → attempt from there → …
//
// An attempt is one hls.js, or one source of the browser's own player. What it
// cannot mend by itself (the server was restarted, the URL has expired) ends it.
import { QualityMenu } from './quality.js';
import { mediaURL } from './service.js';
import { PartList, TimeBar } from './timebar.js';
import { Timeline } from './timeline.js';
import { clockOf, momentOf, timeOf } from './words.js';

const $ = (id) => document.getElementById(id);
const video = $('video');

// Milliseconds.
const AGAIN = [1000, 2000, 5000, 10000]; // until the next attempt, the last of them forever
const CALM = 30000; // of an attempt that was none in vain
const LOOK_EVERY = 10000; // at the playlist, beside the browser's own player
const IDLE = 3000; // without the pointer moving, the controls of a full screen go

const useHls = typeof Hls !== 'undefined' && Hls.isSupported() && new URLSearchParams(location.search).get('player') !== 'native';
const playable = useHls || video.canPlayType('application/vnd.apple.mpegurl') !== '';

const sleep = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});

export class Player {
  hls = null;
  timeline = new Timeline();
  recording = null;
  errors = []; // the newest, for diagnosis
  #bar = new TimeBar($('bar'), (time) => this.seek(time));
  #parts = new PartList($('parts'), (time) => this.seek(time));
  #quality = new QualityMenu($('quality'));
  #life = new AbortController(); // of what is open

  constructor() {
    for (const event of ['timeupdate', 'progress', 'seeking', 'seeked', 'play', 'pause', 'playing', 'waiting', 'ended', 'volumechange', 'ratechange', 'loadeddata', 'emptied']) {
      video.addEventListener(event, () => this.#show());
    }
    const toggle = () => (video.paused ? video.play().catch(() => {}) : video.pause());
    video.addEventListener('click', toggle);
    $('play').addEventListener('click', toggle);
    $('mute').addEventListener('click', () => { video.muted = !video.muted; });
    $('newest').addEventListener('click', () => this.seek(this.#newest));
    $('speed').addEventListener('change', () => { video.playbackRate = video.defaultPlaybackRate = Number($('speed').value); });
    $('full').addEventListener('click', () => this.#toggleFull());
    $('screen').addEventListener('keydown', (e) => this.#key(e));
    let idle;
    $('screen').addEventListener('pointermove', () => {
      clearTimeout(idle);
      $('screen').classList.remove('idle');
      idle = setTimeout(() => $('screen').classList.add('idle'), IDLE);
    });
  }

  // Plays a recording; renew resolves to what is known of it by then.
  async open(recording, renew) {
    this.close();
    const { signal } = this.#life;
    this.recording = recording;
    if (!playable) this.#say('This browser cannot play HLS.');
    let place = { at: 0, paused: false };
    for (let trouble = 0; playable && !signal.aborted; trouble++) {
      const url = this.#url();
      if (url) {
        const began = performance.now();
        const lost = await (useHls ? this.#withHls(url, place, signal) : this.#natively(url, place, signal));
        if (signal.aborted) return;
        if (performance.now() - began > CALM) trouble = 0;
        place = lost;
        this.#say(`${lost.why} Trying again.`);
      } else if (this.#growing) {
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
    this.#show();
  }

  close() {
    this.#life.abort();
    this.#life = new AbortController();
    this.recording = null;
    this.#quality.reset();
    video.removeAttribute('src');
    video.load();
    this.#learn('');
    this.#say('');
  }

  seek(time) {
    const again = video.ended;
    video.currentTime = Math.max(0, Math.min(time, this.timeline.duration - 0.1));
    if (again) video.play().catch(() => {});
  }

  #url() {
    const { playbackUrl } = this.recording;
    return playbackUrl ? mediaURL(playbackUrl) : '';
  }

  // The last place from where playing goes on without waiting for the playlist.
  get #newest() { return Math.max(0, this.timeline.duration - 4 * this.timeline.target); }

  get #growing() { return this.recording?.state === 'RECORDING_STARTED' && !this.timeline.ended; }

  // Resolves to why it is over, and where it was.
  #withHls(url, place, signal) {
    return new Promise((over) => {
      const hls = new Hls({ startPosition: place.at, lowLatencyMode: false });
      this.hls = hls;
      let mended = 0; // when
      const end = (why) => {
        const { currentTime: at, paused } = video; // which go with the source
        hls.destroy();
        over({ why, at, paused });
      };
      signal.addEventListener('abort', () => end(''), { once: true });
      this.#quality.follow(hls);
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
    return new Promise((over) => {
      const attempt = new AbortController();
      const end = (why) => {
        attempt.abort();
        over({ why, at: video.currentTime || place.at, paused: video.paused && video.currentTime > 0 });
      };
      signal.addEventListener('abort', () => end(''), { once: true });
      video.addEventListener('error', () => {
        this.#note(video.error?.message, true);
        end('The media cannot be played.');
      }, { signal: attempt.signal });
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
  #begin() { video.play().catch(() => {}); }

  #note(details, fatal, code) {
    this.errors.push({ at: Date.now(), details, fatal, code });
    if (this.errors.length > 100) this.errors.shift();
  }

  // Takes in a media playlist.
  #learn(text) {
    this.timeline = new Timeline(text);
    this.#parts.show(this.timeline);
    this.#show();
  }

  #say(words) {
    if ($('curtain').textContent !== words) $('curtain').textContent = words;
  }

  #show() {
    const { timeline } = this;
    const position = Math.min(video.currentTime, timeline.duration);
    this.#bar.show(timeline, position, video.buffered);
    this.#parts.mark(timeline.partAt(position));
    $('time').textContent = `${clockOf(position)} / ${clockOf(timeline.duration)}`;
    const date = timeline.dateAt(position);
    $('when').textContent = timeOf(date);
    $('when').title = momentOf(date);
    $('newest').hidden = !this.#growing || timeline.parts.length === 0;
    $('newest').disabled = position >= this.#newest;
    const press = (id, pressed, name) => {
      $(id).dataset.pressed = pressed;
      $(id).setAttribute('aria-label', name);
      $(id).title = name;
    };
    press('play', !video.paused, video.paused ? 'Play' : 'Pause');
    press('mute', video.muted, video.muted ? 'Sound on' : 'Sound off');
    const dry = !video.paused && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    $('screen').classList.toggle('waiting', dry);
    if (video.error || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#say(dry && this.#growing && position > timeline.duration - 1 ? 'It goes on as soon as more is stored.' : '');
  }

  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if ($('screen').requestFullscreen) $('screen').requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.(); // iPhones show the video alone
  }

  // The keys that most players have. Those that have the focus come first.
  #key(e) {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target.matches('select') || e.target.matches('button') && e.key === ' ') return;
    const action = {
      ' ': () => $('play').click(), k: () => $('play').click(), m: () => $('mute').click(), f: () => $('full').click(),
      ArrowLeft: () => this.seek(video.currentTime - 5), ArrowRight: () => this.seek(video.currentTime + 5),
    }[e.key];
    if (!action) return;
    e.preventDefault();
    action();
  }
}
