// The lanes below the controls, one for each recording of a session: when the
// participant was there, and where it came back. A button gives it a tile.
import { nameOf } from './list.js';
import { lengthOf, tellJoin, timeOf } from './words.js';

export class Lanes {
  #root;
  #session;
  #rows = new Map(); // by recording id

  // Makes root the lanes of a Session, which a click on a lane has seek.
  constructor(root, session) {
    this.#root = root;
    this.#session = session;
    root.addEventListener('click', (e) => {
      const bars = e.target.closest('.bars');
      if (!bars) return;
      const { left, width } = bars.getBoundingClientRect();
      session.seek(session.timeline.duration * (e.clientX - left) / width);
    });
  }

  show() {
    const { recordings, timeline, position } = this.#session;
    for (const id of this.#rows.keys()) {
      if (recordings.some((r) => r.id === id)) continue;
      this.#rows.get(id).remove();
      this.#rows.delete(id);
    }
    recordings.forEach((recording, i) => {
      const row = this.#row(recording);
      if (this.#root.children[i] !== row) this.#root.insertBefore(row, this.#root.children[i] ?? null);
      const shown = this.#session.shows(recording.id);
      row.button.setAttribute('aria-pressed', shown);
      row.button.disabled = !shown && this.#session.full;
      this.#draw(row, recording, timeline);
    });
    this.#root.style.setProperty('--at', `${timeline.duration ? 100 * position / timeline.duration : 0}%`);
  }

  #row(recording) {
    let row = this.#rows.get(recording.id);
    if (!row) {
      row = document.createElement('li');
      row.button = document.createElement('button');
      row.button.type = 'button';
      row.button.className = 'who';
      row.button.textContent = nameOf(recording);
      row.button.title = `Participant ${recording.participantId}`;
      row.button.addEventListener('click', () => this.#session.show(recording.id, !this.#session.shows(recording.id)));
      row.bars = document.createElement('span');
      row.bars.className = 'bars';
      row.append(row.button, row.bars);
      this.#rows.set(recording.id, row);
    }
    return row;
  }

  // Draws when the participant was there, if that is another than was drawn.
  #draw(row, recording, line) {
    const own = this.#session.timelineOf(recording.id);
    if (row.line === line && row.own === own) return;
    [row.line, row.own] = [line, own];
    const place = (element, name, from, to) => {
      element.className = name;
      const percent = (date) => Math.max(0, Math.min(100, 100 * line.timeAt(date) / line.duration));
      element.style.left = `${percent(from)}%`;
      if (to !== undefined) element.style.width = `${percent(to) - percent(from)}%`;
      return element;
    };
    const began = Date.parse(recording.startedAt); // all that is known without a tile
    const parts = own?.duration > 0 ? own.parts : [{ from: began, to: began + 1000 * recording.duration }];
    const there = parts.map(({ from, to }) => {
      const bar = place(document.createElement('span'), 'there', from, to);
      bar.title = `${timeOf(from)}, for ${lengthOf((to - from) / 1000)}`;
      return bar;
    });
    const joins = (own?.joins ?? []).map((join) => {
      const mark = place(document.createElement('i'), 'join', join.back);
      mark.title = tellJoin(join);
      return mark;
    });
    row.bars.replaceChildren(...(line.duration > 0 ? [...there, ...joins] : []));
  }
}
