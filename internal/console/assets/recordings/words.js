// How times are told. Seconds are of media, dates are milliseconds since 1970.

// Such as 3:07 and 1:02:03.
export function clockOf(seconds) {
  const s = Math.max(0, Math.floor(seconds + 1e-6));
  const two = (n) => String(n).padStart(2, '0');
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

// Such as "9 s", "3 min 7 s" and "1 h 2 min".
export function lengthOf(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const units = [[Math.floor(s / 3600), 'h'], [Math.floor(s / 60) % 60, 'min'], [s % 60, 's']];
  const first = units.findIndex(([n]) => n > 0);
  if (first < 0) return seconds > 0 ? 'less than 1 s' : '0 s';
  return units.slice(first, first + 2).filter(([n]) => n > 0).map((unit) => unit.join(' ')).join(' ');
}

const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

// In the viewer's time zone.
export const timeOf = (date) => (Number.isNaN(date) ? '–' : time.format(date));
export const momentOf = (date) => (Number.isNaN(date) ? '–' : moment.format(date));

// Such as 2026-03-01 10:00:07 UTC.
export const utcOf = (date) => (Number.isNaN(date) ? '' : new Date(date).toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC'));

// What there is to say about a join, of whom where there are several.
export function tellJoin({ who, left, back }) {
  const away = (back - left) / 1000;
  if (Number.isNaN(away)) return 'a join, at unknown times';
  return `${who ? `${who} ` : ''}left at ${timeOf(left)}, back ${away < 0.5 ? 'at once' : `${lengthOf(away)} later`}`;
}
