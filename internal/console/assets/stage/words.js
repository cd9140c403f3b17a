// What the page of a stage says.

// Such as "1.2 Mbit/s".
export function rateOf(bitsPerSecond) {
  if (bitsPerSecond >= 999_500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
}

// How a participant's media are doing, in one line; shorter where there is less room.
export function statsOf({ width, height, framesPerSecond, bitrate, loss, roundTrip }, short = false) {
  return [
    width && `${width} × ${height}`,
    width && !short && `${Math.round(framesPerSecond)}/s`,
    rateOf(bitrate),
    `${(100 * loss).toFixed(1)} % lost`,
    roundTrip !== null && !short && `${Math.round(1000 * roundTrip)} ms`,
  ].filter(Boolean).join(' · ');
}

const refusals = {
  TOKEN_MALFORMED: 'This is not a participant token.',
  INSUFFICIENT_CAPABILITIES: 'This token does not allow that.',
  QUOTA_EXCEEDED: 'The stage is full.',
  RESOLUTION_EXCEEDED: 'The picture is larger than the stage takes.',
  BITRATE_EXCEEDED: 'More is sent than the stage takes.',
  STREAM_DURATION_EXCEEDED: 'This was published for as long as the stage takes.',
  PUBLISHER_NOT_FOUND: 'The participant no longer publishes.',
  UNSUPPORTED: 'This browser cannot take part: it has no H.264.',
  NETWORK: 'The server does not answer.',
  TIMEOUT: 'No connection came about. A firewall may be in the way.',
};

// What a StageError means to people, with what the server said.
export function refusalOf({ code, status, message }) {
  const said = message ? ` (${message})` : '';
  if (refusals[code]) return status > 0 ? refusals[code] + said : refusals[code];
  if (status === 401 || status === 403) return `The server refuses this token${message ? `: ${message}` : ''}.`;
  return `That did not work${message ? `: ${message}` : ''}.`;
}

const reasons = {
  'user-initiated': 'You have left the stage.',
  'token-reused': 'The same token has joined elsewhere, so this page has left.',
  'participant-disconnected': 'You were removed from the stage. The token is no longer good.',
  'stage-deleted': 'The stage was deleted.',
};

export const reasonOf = (reason) => reasons[reason] ?? `The server has ended this: ${reason}.`;

const devices = {
  NotAllowedError: (what) => `The browser does not give this page the ${what}. Allow it in the address bar, and try again.`,
  NotFoundError: (what) => `There is no ${what}.`,
  NotReadableError: (what) => `The ${what} is used by another program.`,
};

// Why a device could not be had.
export const deviceProblem = (what, { name, message }) => devices[name]?.(what) ?? `The ${what} does not work: ${message || name}.`;

// Of a participant: what it is called, for people.
export const nameOf = ({ id, userId, isLocal }) => `${userId || id}${isLocal ? ' (you)' : ''}`;

// Who is there without publishing.
export function watchersOf(names, publishing) {
  if (names.length === 0) return publishing ? '' : 'Nobody else is here yet.';
  const shown = names.slice(0, 5).join(', ');
  return `Watching: ${shown}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}

// The columns and the width at which n tiles of 16:9 are largest in a room of so many pixels.
export function layoutOf(n, width, height, gap) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= Math.max(1, n); columns++) {
    const rows = Math.ceil(n / columns);
    const fits = Math.min((width - gap * (columns - 1)) / columns, ((height - gap * (rows - 1)) / rows) * (16 / 9));
    if (fits > best.width) best = { columns, width: Math.floor(fits) };
  }
  return best;
}
