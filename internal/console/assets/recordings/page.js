// The page of recordings: who may see them, which are shown, which one plays.
// The address says it all: ?channel=<id>&state=<state>#<id of what plays>.
//
// Names and messages come from outside; they become text, never markup.
import { badge, idOf, List, nameOf, say, setTime } from './list.js';
import { Player } from './player.js';
import { canSign } from './sigv4.js';
import { find, Refusal, signedIn, signIn, signOut } from './service.js';
import { momentOf } from './words.js';

const $ = (id) => document.getElementById(id);

const LOOK_EVERY = 10000; // milliseconds, for what is new

const list = new List();
const player = new Player();

function filter() {
  const query = new URLSearchParams(location.search);
  return { channel: query.get('channel'), state: query.get('state') };
}

// Runs a call; what is refused is told.
async function attempt(call) {
  try {
    await call();
    letIn();
    return true;
  } catch (e) {
    if (e instanceof Refusal && e.status === 403) askForKeys(e);
    else if (e instanceof Refusal) complain(e.message);
    else {
      console.error(e);
      complain('The server does not answer.', ' The page goes on trying.');
    }
    return false;
  }
}

// Says what went wrong where the viewer looks; more, of the list alone.
function complain(words, more = '') {
  if ($('door').hidden) return say(words + more, true);
  $('refused').hidden = false;
  $('refused').textContent = words;
}

const start = () => attempt(() => list.start(filter()));

function more() {
  $('more').disabled = true;
  return attempt(() => list.more()).finally(() => { $('more').disabled = false; });
}

// --- the player -----------------------------------------------------------

function chosen() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return location.hash.slice(1); // no id, which is told
  }
}

async function play() {
  const id = chosen();
  list.mark(id);
  if (id === player.recording?.id) return;
  player.close();
  $('player').hidden = $('missing').hidden = true;
  document.title = 'Recordings · Anabranch';
  if (!id) return;
  await attempt(async () => {
    const recording = await find(id).catch((e) => {
      if (e.status !== 404) throw e;
      $('missing').hidden = false;
    });
    if (!recording) return;
    if (id !== chosen()) return;
    $('player').hidden = false;
    tell(recording);
    scrollTo(0, 0);
    player.open(recording, async () => {
      const now = await find(id);
      if (id === chosen()) tell(now);
      return now;
    });
  });
}

// Shows what is known of the recording that plays.
function tell(recording) {
  const channel = idOf(recording.channelArn);
  document.title = `${nameOf(recording)}, ${momentOf(Date.parse(recording.startedAt))} · Anabranch`;
  $('channel').textContent = nameOf(recording);
  $('channel').href = `recordings?channel=${encodeURIComponent(channel)}`;
  $('live').href = `watch/${encodeURIComponent(channel)}`;
  $('live').hidden = recording.state !== 'RECORDING_STARTED';
  setTime($('began'), recording.startedAt);
  badge($('state'), recording.state);
  $('why').hidden = recording.state !== 'RECORDING_ENDED_WITH_FAILURE';
  $('why').textContent = `This recording could not be completed: ${recording.statusMessage || 'no reason is known'}`;
  $('line').textContent = `anabranch recording export ${recording.id}`;
  player.update(recording);
}

async function copy() {
  try {
    await navigator.clipboard.writeText($('line').textContent);
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 2000);
  } catch {
    getSelection().selectAllChildren($('line')); // there is no clipboard for this page
  }
}

// --- access ---------------------------------------------------------------

// Asks for an access key, or says where one can be given.
function askForKeys(refusal) {
  const wrong = signedIn();
  signOut();
  player.close();
  for (const id of ['player', 'shelf', 'leave']) $(id).hidden = true;
  $('door').hidden = false;
  $('refused').hidden = canSign && !wrong;
  $('refused').textContent = wrong ? refusal.message : '';
  if (!canSign) {
    const there = new URL(location.href);
    there.protocol = 'https:';
    there.port = document.body.dataset.httpsPort;
    const link = document.createElement('a');
    [link.href, link.textContent] = [there.href, there.href];
    $('refused').replaceChildren('Browsers sign requests on encrypted pages and on localhost only. This page is encrypted at ', link, '.');
    for (const input of $('door').querySelectorAll('input, button')) input.disabled = true;
  } else {
    $(wrong ? 'secret' : 'key').focus();
  }
}

function letIn() {
  $('door').hidden = true;
  $('shelf').hidden = false;
  $('leave').hidden = !signedIn();
}

async function enter() {
  signIn({ id: $('key').value.trim(), secret: $('secret').value.trim() }, $('keep').checked);
  if (!await start()) return;
  $('door').reset();
  play();
}

// --- for as long as the page is open --------------------------------------

function setFilter() {
  const wanted = $('of').value.trim();
  const named = wanted && list.items.find((r) => r.channelName === wanted);
  const values = { channel: named ? idOf(named.channelArn) : wanted, state: $('in').value };
  const url = new URL(location.href);
  for (const name in values) {
    if (values[name]) url.searchParams.set(name, values[name]);
    else url.searchParams.delete(name);
  }
  if (url.href === location.href) return;
  history.replaceState(null, '', url);
  start();
}

async function look() {
  if (document.hidden || !$('door').hidden) return;
  await attempt(() => list.refresh());
  const { recording } = player;
  if (!recording && chosen() && $('missing').hidden && $('door').hidden) return play(); // what could not be looked up
  if (recording?.state !== 'RECORDING_STARTED') return;
  await attempt(async () => {
    const now = await find(recording.id);
    if (now.id === player.recording?.id) tell(now);
  });
}

$('filter').addEventListener('submit', (e) => { e.preventDefault(); setFilter(); });
$('filter').addEventListener('change', setFilter);
$('door').addEventListener('submit', (e) => { e.preventDefault(); enter(); });
$('leave').addEventListener('click', () => { signOut(); start(); });
$('more').addEventListener('click', more);
$('copy').addEventListener('click', copy);
addEventListener('hashchange', async () => {
  await play();
  $('play').focus({ preventScroll: true }); // from the list to what was asked for
});

window.anabranch = player;

$('of').value = filter().channel ?? '';
$('in').value = filter().state ?? '';
await start();
if ($('door').hidden) play();
for (;;) {
  await new Promise((done) => setTimeout(done, LOOK_EVERY));
  await look();
}
