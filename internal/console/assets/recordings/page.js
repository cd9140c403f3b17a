// The page of recordings: who may see them, which are shown, which one plays.
// The address says it all:
//
//   ?kind=<channel or participant>&channel=<id>&stage=<id>&session=<id>&state=<state>
//   #<id of the recording that plays>, or #<stage id>/<session id> for all of a session
//
// Names and messages come from outside; they become text, never markup.
import { Controls } from './controls.js';
import { Lanes } from './lanes.js';
import { badge, idOf, List, nameOf, ofParticipant, say, setTime, showSessions } from './list.js';
import { Player } from './player.js';
import { find, findSession, Refusal, signedIn, signIn, signOut } from './service.js';
import { Session } from './session.js';
import { canSign } from './sigv4.js';
import { momentOf } from './words.js';

const $ = (id) => document.getElementById(id);

const LOOK_EVERY = 10000; // milliseconds, for what is new

const list = new List();
const controls = new Controls();
const player = new Player(() => { if (deck === player) controls.show(); });
const session = new Session(() => {
  if (deck !== session) return;
  controls.show();
  lanes.show();
});
const lanes = new Lanes($('lanes'), session);
let deck = player; // what plays
let playing = ''; // the hash of it

const filters = ['kind', 'channel', 'stage', 'session', 'state'];

function filter() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(filters.map((name) => [name, query.get(name)]));
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

// Resolves to what is known of what was chosen: the recordings of a session, or one.
function lookUp(id) {
  return id.includes('/') ? findSession(...id.split('/', 2)) : find(id).then((recording) => [recording]);
}

function close() {
  playing = '';
  player.close();
  session.close();
}

async function play() {
  const id = chosen();
  list.mark(id);
  if (id === playing) return;
  close();
  $('player').hidden = $('missing').hidden = true;
  document.title = 'Recordings · Anabranch';
  if (!id) return;
  await attempt(async () => {
    const found = await lookUp(id).catch((e) => {
      if (e.status !== 404) throw e;
      $('missing').hidden = false;
    });
    if (!found || id !== chosen()) return;
    playing = id;
    deck = id.includes('/') ? session : player;
    $('player').hidden = false;
    $('player').classList.toggle('together', deck === session);
    controls.work(deck);
    scrollTo(0, 0);
    if (deck === session) session.open(found, find);
    else {
      player.open(found[0], async () => {
        const now = await find(id);
        if (id === playing) tell([now]);
        return now;
      });
    }
    tell(found);
  });
}

// Shows what is known of the recordings that play.
function tell(recordings) {
  const together = deck === session;
  const first = recordings.toSorted((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt))[0];
  const [kind, of] = ofParticipant(first) ? ['stage', idOf(first.stageArn)] : ['channel', idOf(first.channelArn)];
  const name = together ? `Session ${playing.split('/')[1]}` : nameOf(first);
  document.title = `${name}, ${momentOf(Date.parse(first.startedAt))} · Anabranch`;
  $('source').textContent = kind === 'stage' ? 'Stage' : 'Channel';
  $('of-source').textContent = kind === 'stage' ? of : name;
  $('of-source').href = `recordings?${kind}=${encodeURIComponent(of)}`;
  $('who').textContent = together ? 'Recordings' : 'Participant';
  $('participant').textContent = together ? recordings.length : name;
  $('participant').title = together ? '' : first.participantId ?? '';
  $('session').textContent = together ? playing.split('/')[1] : '';
  if (!together) showSessions($('session'), first);
  for (const part of ['participant', 'session']) $(part).parentElement.hidden = kind !== 'stage';
  $('live').href = `watch/${encodeURIComponent(of)}`;
  setTime($('began'), first.startedAt);
  const failed = recordings.filter(({ state }) => state === 'RECORDING_ENDED_WITH_FAILURE');
  const goesOn = recordings.find(({ state }) => state === 'RECORDING_STARTED');
  badge($('state'), (goesOn ?? failed[0] ?? first).state);
  $('live').hidden = kind === 'stage' || !goesOn;
  $('why').hidden = failed.length === 0;
  $('why').textContent = failed.map((r) => `${together ? `The recording of ${nameOf(r)}` : 'This recording'} could not be completed: ${r.statusMessage || 'no reason is known'}`).join(' · ');
  $('export').hidden = together;
  $('line').textContent = `anabranch recording export ${first.id}`;
  if (together) session.update(recordings);
  else player.update(first);
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
  close();
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

// Brings the address in line with the fields; one of them says whose recordings by a
// name or an id, which may be a channel's or a stage's.
function setFilter() {
  const wanted = $('of').value.trim();
  const named = wanted && list.items.find((r) => !ofParticipant(r) && r.channelName === wanted);
  const id = named ? idOf(named.channelArn) : idOf(wanted);
  const ofStage = $('kind').value === 'participant' || wanted.includes(':stage/') ||
    [...$('sources').options].some(({ value, label }) => value === id && label === 'stage');
  const kind = wanted ? (ofStage ? 'participant' : 'channel') : $('kind').value;
  const values = {
    kind, state: $('in').value,
    channel: kind === 'channel' ? id : '', stage: kind === 'participant' ? id : '',
    session: kind === 'participant' ? $('of-session').value.trim() : '',
  };
  const url = new URL(location.href);
  for (const name in values) {
    if (values[name]) url.searchParams.set(name, values[name]);
    else url.searchParams.delete(name);
  }
  if (url.href === location.href) return;
  history.replaceState(null, '', url);
  showFilter();
  start();
}

function showFilter() {
  const { kind, channel, stage, session: of, state } = filter();
  $('of').value = channel ?? stage ?? '';
  $('in').value = state ?? '';
  const told = kind || (channel && 'channel') || ((stage || of) && 'participant');
  $('kind').value = told || '';
  $('of-session').value = of ?? '';
  $('of-session').parentElement.hidden = told !== 'participant';
}

async function look() {
  if (document.hidden || !$('door').hidden) return;
  await attempt(() => list.refresh());
  const id = playing;
  if (!id && chosen() && $('missing').hidden && $('door').hidden) return play(); // what could not be looked up
  if ($('state').dataset.state !== 'started' || !id) return;
  await attempt(async () => {
    const now = await lookUp(id);
    if (id === playing) tell(now);
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

window.anabranch = { get deck() { return deck; } };

showFilter();
await start();
if ($('door').hidden) play();
for (;;) {
  await new Promise((done) => setTimeout(done, LOOK_EVERY));
  await look();
}
