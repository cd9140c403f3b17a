// What it takes to play several recordings as they happened: one line for all, by
// the wall clock, and the rule that keeps a video on it.
//
//   line  0 ─────────────────────────── 81 s
//   ana   ├──────────┤   ├─────────────┤     away, and back: a join
//   bob        ├───────────────────────┤     came later
//
// Times are in seconds, dates in milliseconds since 1970.

// The time line that several recordings have in common: from when the first of them
// began to when the last ended. It has what the time bar wants of a Timeline.
export class CommonTimeline {
  duration = 0;
  target = 0; // the largest
  ended = false; // nothing will be added
  parts = []; // it has none, for nothing of it is left out
  begin = NaN; // date
  end = NaN;
  joins = []; // {time, who, left, back}

  // Makes the line of several [name, Timeline].
  constructor(all = []) {
    const parts = all.flatMap(([, { parts }]) => parts);
    const dates = (ends) => parts.map((part) => part[ends]).filter((date) => !Number.isNaN(date));
    if (dates('from').length === 0) return;
    [this.begin, this.end] = [Math.min(...dates('from')), Math.max(...dates('to'))];
    this.duration = (this.end - this.begin) / 1000;
    this.target = Math.max(...all.map(([, { target }]) => target));
    this.ended = all.every(([, { ended }]) => ended);
    this.joins = all.flatMap(([who, { joins }]) => joins.map(({ left, back }) => ({ time: this.timeAt(back), who, left, back })))
      .filter(({ time }) => !Number.isNaN(time)).sort((a, b) => a.time - b.time);
  }

  dateAt(time) { return this.begin + 1000 * time; }
  timeAt(date) { return (date - this.begin) / 1000; }
}

// Where a recording is at a date:
//   {time, until}          at that media time, in a part which ends at that date
//   {next, until, before}  nowhere until that date, when it goes on at the media time next; before says that it
//                          did not begin yet
//   {}                     nowhere any more
export function placeOf(timeline, date) {
  const time = timeline.timeAt(date);
  if (!Number.isNaN(time)) return { time, until: timeline.parts[timeline.partAt(time)].to };
  const next = timeline.parts.find(({ from }) => from > date);
  return next ? { next: next.start, until: next.from, before: next === timeline.parts[0] } : {};
}

// Seconds that a video may be ahead or behind.
const NEAR = 0.01; // that is as good as it gets
const FAR = 0.3; // it plays faster or slower up to here, and leaps beyond; that much more at a higher speed
const CATCH = 0.2; // how much so, of the speed, at most
const GAIN = 4; // and for each second

// What brings a video that plays at a speed back, which is ahead by so many
// seconds: {seek: true}, or the {rate} to play at.
export function correction(ahead, speed) {
  if (Math.abs(ahead) > FAR * Math.max(1, speed)) return { seek: true };
  if (Math.abs(ahead) < NEAR) return { rate: speed };
  return { rate: speed * (1 - Math.max(-CATCH, Math.min(CATCH, GAIN * ahead))) };
}
