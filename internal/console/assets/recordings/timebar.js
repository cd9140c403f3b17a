// A slider over the media time of a recording: what is buffered, what was
// played, and a mark at each join. It is worked by pointer or by keys.
import { clockOf, lengthOf, tellJoin, timeOf } from './words.js';

const NEAR = 7; // pixels from a mark at which the join is told
const STEP = 5; // seconds, of an arrow key
const LEAP = 60; // of page up and down

export class TimeBar {
  #root;
  #seek;
  #parts = {};
  #marks = [];
  #timeline = null;
  #position = 0;
  #drag = null; // the media time a pointer holds the knob at

  // Makes root the bar, which calls seek with media times.
  constructor(root, seek) {
    this.#root = root;
    this.#seek = seek;
    for (const name of ['track', 'buffered', 'played', 'marks', 'knob', 'tip']) {
      this.#parts[name] = document.createElement('span');
      this.#parts[name].className = name;
      root.append(this.#parts[name]);
    }
    this.#parts.tip.hidden = true;
    root.addEventListener('keydown', (e) => this.#key(e));
    root.addEventListener('pointermove', (e) => this.#hover(e));
    root.addEventListener('pointerleave', () => { this.#parts.tip.hidden = this.#drag === null; });
    root.addEventListener('pointerdown', (e) => {
      if (e.button !== 0 || !this.#length) return;
      root.setPointerCapture(e.pointerId);
      this.#drag = this.#timeOf(e);
      this.#hover(e);
    });
    root.addEventListener('pointerup', () => {
      if (this.#drag !== null) this.#seek(this.#drag);
      this.#release();
    });
    root.addEventListener('pointercancel', () => this.#release());
  }

  get #length() { return this.#timeline?.duration ?? 0; }

  // Shows a place in a timeline, which is loaded from there to another.
  show(timeline, position, loaded) {
    this.#position = position;
    if (timeline !== this.#timeline) this.#draw(timeline);
    this.#place(this.#parts.buffered, 'width', Math.max(position, loaded));
    this.#place(this.#parts.played, 'width', this.#drag ?? position);
    this.#place(this.#parts.knob, 'left', this.#drag ?? position);
    const aria = {
      valuenow: Math.floor(position),
      valuetext: `${clockOf(position)} of ${clockOf(this.#length)}, ${timeOf(timeline.dateAt(position))}`,
    };
    for (const name in aria) this.#root.setAttribute(`aria-${name}`, aria[name]);
  }

  #draw(timeline) {
    this.#timeline = timeline;
    this.#root.setAttribute('aria-valuemin', 0);
    this.#root.setAttribute('aria-valuemax', Math.floor(this.#length));
    const { joins } = timeline;
    while (this.#marks.length > joins.length) this.#marks.pop().remove();
    while (this.#marks.length < joins.length) {
      this.#marks.push(document.createElement('i'));
      this.#parts.marks.append(this.#marks.at(-1));
    }
    joins.forEach((join, i) => this.#place(this.#marks[i], 'left', join.time));
  }

  #place(element, side, time) {
    element.style[side] = `${this.#length ? 100 * Math.min(1, time / this.#length) : 0}%`;
  }

  #timeOf(e) {
    const { left, width } = this.#root.getBoundingClientRect();
    return this.#length * Math.min(1, Math.max(0, (e.clientX - left) / width));
  }

  #hover(e) {
    const { tip } = this.#parts;
    if (!this.#length) return;
    const time = this.#timeOf(e);
    if (this.#drag !== null) this.#drag = time;
    const reach = NEAR * this.#length / this.#root.clientWidth;
    const join = this.#timeline.joins.find((j) => Math.abs(j.time - time) < reach);
    tip.textContent = join ? `${clockOf(join.time)} · ${tellJoin(join)}` : `${clockOf(time)} · ${timeOf(this.#timeline.dateAt(time))}`;
    tip.classList.toggle('join', join !== undefined);
    // As far over the edge of the tip as the pointer is along the bar, so that
    // it never hangs over an end.
    const along = 100 * time / this.#length;
    tip.style.left = `${along}%`;
    tip.style.transform = `translateX(-${along}%)`;
    tip.hidden = false;
  }

  #release() {
    this.#drag = null;
    this.#parts.tip.hidden = true;
  }

  #key(e) {
    const to = {
      ArrowLeft: this.#position - STEP, ArrowDown: this.#position - STEP,
      ArrowRight: this.#position + STEP, ArrowUp: this.#position + STEP,
      PageDown: this.#position - LEAP, PageUp: this.#position + LEAP,
      Home: 0, End: this.#length,
    }[e.key];
    if (to === undefined || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    e.stopPropagation();
    this.#seek(to);
  }
}

// A list of the parts with the times between them; a button plays from where a
// part begins.
export class PartList {
  #root;
  #seek;
  #timeline = null;
  #told = null;

  constructor(root, seek) {
    this.#root = root;
    this.#seek = seek;
  }

  // Shows the parts of a timeline, and which of them has a place.
  show(timeline, position) {
    if (timeline !== this.#timeline) this.#draw(timeline);
    this.#timeline = timeline;
    const current = timeline.parts.length && timeline.partAt(position);
    [...this.#root.children].forEach((row, i) => row.querySelector('button').setAttribute('aria-current', i === current));
  }

  #draw({ parts, joins }) {
    const told = parts.map((p) => [timeOf(p.from), clockOf(p.end - p.start)]);
    if (told.join() === this.#told) return;
    this.#told = told.join();
    this.#root.hidden = parts.length < 2;
    const rows = parts.map((part, i) => {
      const row = document.createElement('li');
      if (i > 0) {
        const away = document.createElement('span');
        away.className = 'away';
        const seconds = (joins[i - 1].back - joins[i - 1].left) / 1000;
        away.textContent = seconds >= 0 ? `away ${lengthOf(seconds)}` : 'away';
        away.title = tellJoin(joins[i - 1]);
        row.append(away);
      }
      const button = document.createElement('button');
      button.type = 'button';
      const name = document.createElement('b');
      name.textContent = `Part ${i + 1}`;
      button.append(name, ` ${told[i][0]} · ${told[i][1]}`);
      button.addEventListener('click', () => this.#seek(part.start));
      row.append(button);
      return row;
    });
    // A part that grows keeps its button, and with it the focus.
    const focused = [...this.#root.querySelectorAll('button')].indexOf(document.activeElement);
    this.#root.replaceChildren(...rows);
    if (focused >= 0) rows[focused]?.querySelector('button').focus();
  }
}
