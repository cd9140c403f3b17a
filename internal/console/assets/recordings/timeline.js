// The timeline of a recording, as its media playlist tells it (RFC 8216).
//
//   media time  0 ──────────── 45.2 ──────── 78.1 s
//   parts       │      1       │      2      │
//   wall clock  14:02:27 → 14:03:12 ‥ 14:03:21 → 14:03:54
//
// Media time goes on through a join, EXT-X-DISCONTINUITY; the wall clock,
// EXT-X-PROGRAM-DATE-TIME, tells how long the broadcaster was away. Where it tells
// that nobody was, the picture has another size from there on: that is no join.
// Times are in seconds, dates in milliseconds since 1970.
const AWAY = 100; // milliseconds without media that make a join

export class Timeline {
  duration = 0;
  target = 0; // EXT-X-TARGETDURATION
  ended = false; // nothing will be added
  parts = []; // {start, end, from, to, first}: media times, the dates of both ends, the number of the first segment
  #starts = []; // of the segments, in media time
  #dates = []; // of their beginnings

  // Reads a media playlist.
  constructor(text = '') {
    let joined = true;
    let date = NaN;
    for (const line of text.split('\n')) {
      const [, tag, value] = /^#EXT(?:-X-)?([A-Z-]+)(?::(.*))?$/.exec(line.trim()) ?? [];
      if (tag === 'TARGETDURATION') this.target = parseFloat(value) || 0;
      else if (tag === 'ENDLIST') this.ended = true;
      else if (tag === 'DISCONTINUITY') joined = true;
      else if (tag === 'PROGRAM-DATE-TIME') date = Date.parse(value);
      else if (tag === 'INF') {
        const seconds = parseFloat(value);
        if (!(seconds >= 0)) continue;
        this.#add(seconds, date, joined);
        date += 1000 * seconds;
        joined = false;
      }
    }
  }

  #add(seconds, date, joined) {
    const away = Math.abs(date - this.parts.at(-1)?.to);
    if (joined && !(away < AWAY)) this.parts.push({ start: this.duration, from: date, first: this.#starts.length });
    this.#starts.push(this.duration);
    this.#dates.push(date);
    this.duration += seconds;
    Object.assign(this.parts.at(-1), { end: this.duration, to: date + 1000 * seconds });
  }

  // The places where a part follows another: {time, left, back}.
  get joins() {
    return this.parts.slice(1).map((part, i) => ({ time: part.start, left: this.parts[i].to, back: part.from }));
  }

  // The date of a media time; NaN when it is not told.
  dateAt(time) {
    const i = lastNotAbove(this.#starts, time);
    return i < 0 ? NaN : this.#dates[i] + 1000 * (time - this.#starts[i]);
  }

  // The media time of a date; NaN when there is none. Where the clock was set back
  // and has a date twice, the later one.
  timeAt(date) {
    const n = this.parts.findLastIndex(({ from, to }) => from <= date && date < to);
    if (n < 0) return NaN;
    const i = lastNotAbove(this.#dates, date, this.parts[n].first, this.parts[n + 1]?.first);
    return Math.min(this.#starts[i] + (date - this.#dates[i]) / 1000, this.#starts[i + 1] ?? this.duration);
  }

  // The number of the part that has a media time, from 0; -1 without any part.
  partAt(time) {
    return Math.max(this.parts.findLastIndex((part) => part.start <= time), Math.min(0, this.parts.length - 1));
  }
}

// The index of the last of values[low:high], which rise, that is not above x; low
// when all are, -1 when there are none.
function lastNotAbove(values, x, low = 0, high = values.length) {
  if (high <= low) return -1;
  while (high - low > 1) { // it is in [low, high)
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle;
    else high = middle;
  }
  return low;
}
