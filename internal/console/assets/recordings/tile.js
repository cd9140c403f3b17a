// One participant's recording among those of a session.
import { nameOf } from './list.js';
import { Reel } from './reel.js';
import { mediaURL } from './service.js';
import { correction, placeOf } from './together.js';
import { timeOf } from './words.js';

const STILL = 0.04; // seconds that a video which stands may be off

const LAST = 500; // milliseconds before it leaves, in which no media need follow

// Many are open at once: none may hold much.
const config = { maxBufferLength: 15, maxMaxBufferLength: 30, backBufferLength: 15 };

export class Tile {
  element = document.createElement('li');
  video = Object.assign(document.createElement('video'), { playsInline: true });
  place = {}; // on the clock, as placeOf has it
  dry = 0; // since when it lacks media that it should have, 0 if it does not
  #curtain = document.createElement('p');
  #stood = NaN; // at which media time it was told to play
  #leapt = NaN; // to which media time it went since

  // changed is called when its timeline is another; renew is as the Session's.
  constructor(recording, changed, renew) {
    this.name = nameOf(recording);
    this.element.className = 'tile';
    this.element.dataset.recording = recording.id;
    this.#curtain.className = 'curtain';
    const who = document.createElement('span');
    who.className = 'who';
    who.textContent = this.name;
    this.element.append(this.video, this.#curtain, who);
    if (recording.thumbnailUrl) this.video.poster = mediaURL(recording.thumbnailUrl);
    this.reel = new Reel(this.video, changed, { config });
    this.reel.open(recording, () => renew(recording.id), true);
  }

  close() {
    this.reel.close();
    this.element.remove();
  }

  get #known() { return this.reel.timeline.duration > 0; }

  // Whether it is known what there is of it, or why there is nothing.
  get settled() { return this.#known ? this.video.readyState > 0 : this.reel.words !== ''; }

  get here() { return this.place.time !== undefined; }
  get ahead() { return this.video.currentTime - this.place.time; }
  get moved() { return this.video.currentTime > this.#stood; }

  set rate(rate) { this.video.playbackRate = this.video.defaultPlaybackRate = rate; }

  // Learns the date on the clock.
  learn(date) {
    const { reel, video } = this;
    this.place = this.#known ? placeOf(reel.timeline, date) : {};
    const lacks = video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && this.place.until - date > LAST;
    this.dry = this.here && (video.seeking || lacks) ? this.dry || performance.now() : 0;
    const words = this.#words();
    if (this.#curtain.textContent !== words) this.#curtain.textContent = words;
    this.element.classList.toggle('absent', !this.here);
    this.element.classList.toggle('dry', this.dry > 0);
  }

  #words() {
    const { reel, place } = this;
    if (!this.#known) return reel.words || 'It is being loaded.';
    if (this.here) return this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA ? reel.words : '';
    if (place.until) return `${place.before ? 'comes' : 'away, back'} at ${timeOf(place.until)}`;
    return reel.growing ? 'No more is stored yet.' : `left at ${timeOf(reel.timeline.parts.at(-1).to)}`;
  }

  // Whether more of it will be stored any moment, as far as the others tell.
  late(line) {
    const { growing, timeline } = this.reel;
    return this.#known && growing && !this.here && !this.place.until && line.end - timeline.parts.at(-1).to < 1000 * line.target;
  }

  // Plays from where it is; forbidden is called if the browser wants a click first.
  play(forbidden) {
    [this.#stood, this.#leapt] = [this.video.currentTime, NaN];
    this.video.playbackRate = this.video.defaultPlaybackRate;
    this.video.play().catch((e) => {
      if (e.name === 'NotAllowedError') forbidden();
    });
  }

  // Stands where it should be, or where it goes on next.
  stand() {
    const { video, place } = this;
    if (!video.paused) video.pause();
    const time = place.time ?? place.next;
    if (time === undefined || video.readyState === 0 || time === this.#leapt || Math.abs(video.currentTime - time) < STILL) return;
    this.#leapt = time;
    this.reel.seek(time);
  }

  // Keeps up with the clock.
  keep(rate) {
    const { seek, rate: wanted } = correction(this.ahead, rate);
    if (seek) this.reel.seek(this.place.time);
    else if (this.video.playbackRate !== wanted) this.video.playbackRate = wanted;
  }
}
