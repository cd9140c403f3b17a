// The deck of one recording: its media time is what the time bar shows.
import { QualityMenu } from './quality.js';
import { Reel } from './reel.js';

const video = document.getElementById('video');

export class Player {
  #quality = new QualityMenu(document.getElementById('quality'));
  #reel;

  // changed is called when the controls must show something else.
  constructor(changed) {
    this.#reel = new Reel(video, changed, { began: (hls) => this.#quality.follow(hls) });
    for (const event of ['timeupdate', 'progress', 'seeking', 'seeked', 'play', 'pause', 'playing', 'waiting', 'ended', 'volumechange', 'loadeddata', 'emptied']) {
      video.addEventListener(event, changed);
    }
  }

  open(recording, renew) {
    this.#quality.reset();
    return this.#reel.open(recording, renew);
  }

  update(recording) { this.#reel.update(recording); }

  close() {
    this.#quality.reset();
    this.#reel.close();
  }

  get recording() { return this.#reel.recording; }
  get timeline() { return this.#reel.timeline; }
  get errors() { return this.#reel.errors; }
  get growing() { return this.#reel.growing; }
  get loaded() { return this.#reel.loaded; }
  get position() { return Math.min(video.currentTime, this.timeline.duration); }
  get paused() { return video.paused; }

  get waiting() { return !video.paused && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA; }

  // What is told over the picture.
  get words() {
    if (video.error || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return this.#reel.words;
    return this.waiting && this.growing && this.position > this.timeline.duration - 1 ? 'It goes on as soon as more is stored.' : '';
  }

  play() { video.play().catch(() => {}); }
  pause() { video.pause(); }

  seek(time) {
    const again = video.ended;
    this.#reel.seek(time);
    if (again) this.play();
  }

  set rate(rate) { video.playbackRate = video.defaultPlaybackRate = rate; }
  get muted() { return video.muted; }
  set muted(muted) { video.muted = muted; }
  set volume(volume) { video.volume = volume; }
}
