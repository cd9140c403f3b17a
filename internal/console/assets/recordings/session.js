// The deck of a stage's session: the recordings of its participants side by side,
// each in a video of its own.
//
//   clock, a date ─→ where each video should be ─→ a little faster or slower, or a leap
//
// The clock runs while all who are there at its date have media. Where one has none
// the others wait for it, but not forever.
import { layoutOf } from '../stage/words.js';
import { Tile } from './tile.js';
import { CommonTimeline } from './together.js';

const MOST = 12; // tiles
const GAP = 6; // pixels between them

// Milliseconds.
const TICK = 100;
const PATIENCE = 8000; // with one that has no media
const STARTING = 1000; // until videos move that were told to

export class Session {
  timeline = new CommonTimeline();
  paused = true;
  words = '';
  recordings = []; // all, in the order in which they began
  #tiles = new Map(); // by recording id, those that are shown
  #changed;
  #renew;
  #list = document.getElementById('tiles');
  #timer = 0;
  #opened = 0; // when
  #date = NaN; // on the clock
  #read = 0; // when the clock was
  #moving = false; // the clock runs
  #told = 0; // when videos were told to play, 0 while they are not
  #rate = 1;
  #muted = false;
  #volume = 1;

  // changed is called when the controls must show something else.
  constructor(changed) {
    this.#changed = changed;
    new ResizeObserver(() => this.#arrange()).observe(this.#list);
  }

  // Plays recordings; renew resolves to what is known of one by then.
  open(recordings, renew) {
    this.close();
    this.#renew = renew;
    this.#opened = performance.now();
    this.paused = false;
    this.update(recordings);
    this.#tick();
  }

  // Tells what is known of the session by now. What is new gets a tile, if there is room.
  update(recordings) {
    const known = new Set(this.recordings.map(({ id }) => id));
    this.recordings = recordings.toSorted((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt));
    for (const recording of this.recordings) {
      if (!known.has(recording.id)) this.show(recording.id, true);
      this.#tiles.get(recording.id)?.reel.update(recording);
    }
  }

  close() {
    clearTimeout(this.#timer);
    for (const { id } of this.recordings) this.show(id, false);
    this.recordings = [];
    [this.#date, this.#moving, this.paused, this.words] = [NaN, false, true, ''];
  }

  // Gives a recording a tile, or takes it away.
  show(id, shown) {
    const tile = this.#tiles.get(id);
    if (!shown && tile) {
      tile.close();
      this.#tiles.delete(id);
    } else if (shown && !tile && !this.full) {
      const made = new Tile(this.recordings.find((r) => r.id === id), () => this.#learn(), this.#renew);
      this.#tiles.set(id, made);
      [made.video.muted, made.video.volume, made.rate] = [this.#muted, this.#volume, this.#rate];
      const after = this.recordings.slice(this.recordings.findIndex((r) => r.id === id) + 1).find((r) => this.#tiles.has(r.id));
      this.#list.insertBefore(made.element, this.#tiles.get(after?.id)?.element ?? null);
    } else {
      return;
    }
    this.#learn();
    this.#arrange();
    this.#changed();
  }

  get full() { return this.#tiles.size === MOST; }
  shows(id) { return this.#tiles.has(id); }

  // The timeline of a recording that is shown.
  timelineOf(id) { return this.#tiles.get(id)?.reel.timeline; }

  get errors() { return [...this.#tiles.values()].flatMap(({ reel }) => reel.errors); }
  get growing() { return [...this.#tiles.values()].some(({ reel }) => reel.growing); }
  get waiting() { return !this.paused && !this.#moving; }

  // Seconds on the line.
  get position() { return Math.max(0, Math.min(this.timeline.timeAt(this.#date) || 0, this.timeline.duration)); }
  get loaded() { return this.position + (this.#here.length && Math.min(...this.#here.map((tile) => tile.reel.loaded - tile.place.time))); }

  play() {
    if (this.#date >= this.timeline.end && !this.growing) this.#date = this.timeline.begin;
    this.paused = false;
    // In the click, for some browsers want one for each video that has sound.
    for (const tile of this.#tiles.values()) tile.play(() => this.pause());
    this.#place();
  }

  pause() {
    this.paused = true;
    this.#tick();
  }

  seek(time) {
    if (this.timeline.duration === 0) return;
    this.#date = this.timeline.dateAt(Math.max(0, Math.min(time, this.timeline.duration - 0.1)));
    this.#place();
  }

  set rate(rate) {
    this.#tick();
    this.#rate = rate;
    for (const tile of this.#tiles.values()) tile.rate = rate;
  }

  get muted() { return this.#muted; }

  set muted(muted) {
    this.#muted = muted;
    for (const { video } of this.#tiles.values()) video.muted = muted;
    this.#changed();
  }

  set volume(volume) {
    this.#volume = volume;
    for (const { video } of this.#tiles.values()) video.volume = volume;
  }

  get #here() { return [...this.#tiles.values()].filter(({ here }) => here); }

  // Takes in the timelines as they are now.
  #learn() {
    this.timeline = new CommonTimeline([...this.#tiles.values()].map(({ name, reel }) => [name, reel.timeline]));
  }

  // Brings all videos to where the clock is.
  #place() {
    this.#moving = false;
    for (const tile of this.#tiles.values()) {
      tile.learn(this.#date);
      tile.stand();
    }
    this.#tick();
  }

  #tick() {
    clearTimeout(this.#timer);
    if (this.recordings.length === 0) return;
    const now = performance.now();
    if (this.#moving) this.#date += (now - this.#read) * this.#rate;
    this.#read = now;
    const all = [...this.#tiles.values()];
    const opening = now - this.#opened < PATIENCE && all.some((tile) => !tile.settled);
    if (Number.isNaN(this.#date) && !opening) this.#date = this.timeline.begin;
    if (this.#date > this.timeline.end) this.#date = this.timeline.end; // it has none while nobody is shown
    for (const tile of all) tile.learn(this.#date);
    if (!this.paused && !opening) this.#skip(all);

    const late = all.filter((tile) => tile.late(this.timeline));
    const held = opening || late.length > 0 || this.#here.some((tile) => tile.dry && now - tile.dry < PATIENCE);
    this.words = late.length > 0 && !this.paused ? 'It goes on as soon as more is stored.' : '';
    if (this.paused || held || this.#here.length === 0) {
      [this.#moving, this.#told] = [false, 0];
      // Who lacks media plays on: hls.js leaps over small holes for those alone that do.
      for (const tile of all) if (this.paused || !tile.dry) tile.stand();
    } else {
      this.#go(all, now);
    }
    const edge = Math.min(...all.map(({ place }) => place.until ?? Infinity)) - this.#date;
    this.#timer = setTimeout(() => this.#tick(), this.#moving ? Math.min(TICK, Math.max(1, edge / this.#rate)) : TICK);
    this.#changed();
  }

  // Leaves out what nobody has; stops behind the last.
  #skip(all) {
    if (this.#here.length > 0 || this.timeline.duration === 0) return;
    const next = Math.min(...all.map(({ place }) => place.until ?? Infinity));
    if (next < Infinity) {
      this.#date = next;
      for (const tile of all) tile.learn(next);
    } else if (!this.growing) {
      this.paused = true;
    }
  }

  #go(all, now) {
    for (const tile of all) {
      if (!tile.here) tile.stand();
      else if (tile.video.paused && !tile.dry) tile.play(() => this.pause());
    }
    const playing = this.#here.filter((tile) => !tile.dry);
    if (this.#moving) {
      for (const tile of playing) tile.keep(this.#rate);
      return;
    }
    // Videos take a while to start, each its own: then the clock starts in their midst.
    this.#told ||= now;
    if (playing.some((tile) => !tile.moved) && now - this.#told < STARTING) return;
    const near = playing.filter((tile) => tile.moved && Math.abs(tile.ahead) < 1);
    if (near.length > 0) this.#date += 1000 * near.reduce((sum, tile) => sum + tile.ahead, 0) / near.length;
    this.#moving = true;
  }

  #arrange() {
    const { clientWidth, clientHeight } = this.#list;
    this.#list.style.setProperty('--width', `${layoutOf(this.#tiles.size, clientWidth, clientHeight, GAP).width}px`);
  }
}
