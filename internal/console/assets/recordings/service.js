// Asks the server about recordings: without a signature, and with one where it
// wants one.
import { canonicalQuery, canSign, sign } from './sigv4.js';

const STORED = 'anabranch-access-key';
const scope = { region: document.body.dataset.region, service: 'ivs' };

// Refusal is an answer that is not the one asked for.
export class Refusal extends Error {
  constructor(status, exception, message) {
    super(message || `The server answered ${status}.`);
    this.status = status;
    this.exception = exception;
  }
}

// The access key {id, secret}, null without. Browsers forget what is in
// sessionStorage with the tab.
let keys = null;
try {
  keys = canSign ? JSON.parse(sessionStorage.getItem(STORED)) : null;
} catch {
  // There is none, or no storage.
}

export const signedIn = () => keys !== null;

export function signIn(given, keep) {
  keys = given;
  try {
    if (keep) sessionStorage.setItem(STORED, JSON.stringify(given));
  } catch {
    // Storage is forbidden here: the page alone knows the key.
  }
}

export function signOut() {
  keys = null;
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // As above.
  }
}

// The server's clock less this one's in milliseconds: signatures are good for
// some minutes, and clocks of devices may be off by more.
let ahead = null;

async function setClock() {
  try {
    const { now } = await (await fetch('clock', { cache: 'no-store' })).json();
    ahead = now - Date.now();
  } catch {
    ahead = null; // tried again with the next call
  }
}

// Resolves to the answer to a GET of /v1/<path>; rejects with a Refusal, or a
// TypeError where there is no answer.
async function get(path, pairs = []) {
  const query = canonicalQuery(pairs);
  let headers = {};
  if (keys) {
    if (ahead === null) await setClock();
    // The path is the server's own: a proxy may have put it below another.
    headers = await sign(keys, scope, { host: location.host, path: `/v1/${path}`, query, date: new Date(Date.now() + (ahead ?? 0)) });
  }
  const answer = await fetch(`v1/${path}${query && `?${query}`}`, { headers, cache: 'no-store' });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, answer.headers.get('x-amzn-ErrorType') ?? '', told.message);
}

// Resolves to {recordings, nextToken}. filter has pairs of names and values.
export const list = (filter) => get('recordings', Object.entries(filter).filter(([, value]) => value));

// Resolves to the recording of an id.
export async function find(id) {
  if (!/^[a-zA-Z0-9-]{1,64}$/.test(id)) throw new Refusal(404, 'ResourceNotFoundException');
  return (await get(`recordings/${id}`)).recording;
}

const PAGE = 100; // recordings
const MANY = 1000; // of a session at most, the newest

// Resolves to the recordings of a stage's session.
export async function findSession(stage, session) {
  if (!/^[a-zA-Z0-9-]{1,64}$/.test(stage) || !/^st-[a-zA-Z0-9]{13}$/.test(session)) throw new Refusal(404, 'ResourceNotFoundException');
  const recordings = [];
  for (let nextToken; nextToken !== '' && recordings.length < MANY;) {
    const page = await list({ stage, session, maxResults: String(PAGE), nextToken });
    recordings.push(...page.recordings);
    nextToken = page.nextToken ?? '';
  }
  if (recordings.length === 0) throw new Refusal(404, 'ResourceNotFoundException');
  return recordings;
}

// Where a recording's media is on this page's own origin: the URL that the API
// tells has the server's public address, and a proxy may have put the page
// somewhere else.
export function mediaURL(url) {
  const { pathname } = new URL(url, location.href);
  return new URL(pathname.slice(pathname.indexOf('/recordings/media/') + 1), document.baseURI).href;
}
