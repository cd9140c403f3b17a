// The timeline of a recording, as its media playlist tells it (RFC 8216).
//
//   media time  0 ──────────── 45.2 ──────── 78.1 s
//   parts       │      1       │      2      │
//   wall clock  14:02:27 → 14:03:12 ‥ 14:03:21 → 14:03:54
//
// Media time goes on through a join, EXT-X-DISCONTINUITY; the wall clock,
// EXT-X-PROGRAM-DATE-TIME, tells how long the broadcaster was away.
// Times are in seconds, dates in milliseconds since 1970.
export class Timeline {
  duration = 0;
  target = 0; // EXT-X-TARGETDURATION
  ended = false; // nothing will be added
  parts = []; // {start, end, from, to}: media times, and the dates of both ends
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
    this.#starts.push(this.duration);
    this.#dates.push(date);
    if (joined) this.parts.push({ start: this.duration, from: date });
    this.duration += seconds;
    Object.assign(this.parts.at(-1), { end: this.duration, to: date + 1000 * seconds });
  }

  // The places where a part follows another: {time, left, back}.
  get joins() {
    return this.parts.slice(1).map((part, i) => ({ time: part.start, left: this.parts[i].to, back: part.from }));
  }

  // The date of a media time; NaN when it is not told.
  dateAt(time) {
    let [low, high] = [0, this.#starts.length];
    while (high - low > 1) { // the segment is in [low, high)
      const middle = (low + high) >> 1;
      if (this.#starts[middle] <= time) low = middle;
      else high = middle;
    }
    return high > 0 ? this.#dates[low] + 1000 * (time - this.#starts[low]) : NaN;
  }

  // The number of the part that has a media time, from 0; -1 without any part.
  partAt(time) {
    return Math.max(this.parts.findLastIndex((part) => part.start <= time), Math.min(0, this.parts.length - 1));
  }
}
