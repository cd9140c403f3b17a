// The page of a stage: who has a token joins, with camera, microphone or
// screen, or to watch.
//
//   door, for a token → lobby, to look at oneself → in the stage → lobby
//
// The token comes in the address and is taken out of it at once. It is kept for
// this tab, so that the page can be loaded again, and goes to this server alone.
//
// Names and messages come from outside; they become text, never markup. Tests
// and curious people find the stage in window.anabranch.
import { readToken, Stage, StageError } from '../vendor/stage/index.js';
import { Devices } from './devices.js';
import { Tiles } from './tiles.js';
import { deviceProblem, nameOf, reasonOf, refusalOf, watchersOf } from './words.js';

const $ = (id) => document.getElementById(id);
const page = document.body;
const toggles = ['microphone', 'camera', 'screen'];

let kept = recall();
let stage = null; // while in it, or on the way in
let busy = Promise.resolve(); // what is published changes step by step

const devices = new Devices((name) => changed(name));
const tiles = new Tiles($('tiles'), () => { $('sound').hidden = false; });

// --- the token ------------------------------------------------------------

// A place of its own for each stage, for as long as the tab is there.
function recall() {
  const place = `anabranch.stage.${page.dataset.stage}`;
  const address = new URL(location.href);
  const token = address.searchParams.get('token');
  let found = {};
  try {
    found = JSON.parse(sessionStorage.getItem(place)) ?? {};
  } catch { /* not kept */ }
  if (token !== null) {
    address.searchParams.delete('token');
    history.replaceState(null, '', address);
    if (token !== found.token) found = { token };
  }
  return found;
}

function keep(change) {
  kept = { ...kept, ...change };
  try {
    sessionStorage.setItem(`anabranch.stage.${page.dataset.stage}`, JSON.stringify(kept));
  } catch { /* then it is asked for again */ }
}

// --- what is shown --------------------------------------------------------

function tell(problem) {
  $('problem').textContent = problem;
  $('problem').hidden = problem === '';
}

const words = { disconnected: '', connecting: 'joining', connected: 'in the stage', reconnecting: 'reconnecting' };

// How one is seen before one has joined.
const stream = new MediaStream();
function oneself() {
  for (const track of stream.getTracks()) stream.removeTrack(track);
  for (const track of devices.tracks) stream.addTrack(track);
  const { participantId: id, userId } = readToken(kept.token);
  return { id, userId, isLocal: true, isPublishing: false, streaming: 'none', stats: null, stream, audioMuted: !devices.audio, videoStopped: !devices.video };
}

function show() {
  const state = stage?.state ?? 'disconnected';
  page.dataset.state = state;
  $('state').textContent = words[state];
  $('state').hidden = stage === null;
  $('door').hidden = Boolean(kept.token);
  $('room').hidden = !kept.token;
  if (!kept.token) return;

  const { canPublish } = readToken(kept.token);
  for (const name of toggles) {
    $(name).setAttribute('aria-pressed', String(Boolean(devices[name])));
    $(name).hidden = !canPublish || (name === 'screen' && !Devices.canShareScreen());
    $(name).disabled = !Devices.available();
  }
  $('secure').hidden = !canPublish || Devices.available();
  $('secure').querySelector('a').href = secureAddress();
  $('join').hidden = stage !== null;
  $('join').textContent = devices.tracks.length > 0 ? 'Join' : 'Join to watch';
  $('leave').hidden = stage === null;

  const others = stage?.participants ?? [];
  // Who has stopped may be back in a moment: the subscription tells how long that may be.
  const publishing = others.filter(({ isPublishing, streaming }) => isPublishing || streaming !== 'none');
  const watching = others.filter((participant) => !publishing.includes(participant));
  // Before it is published oneself is seen as in the lobby.
  const me = stage && stage.publishState !== 'unpublished' ? stage.me : oneself();
  const mine = canPublish && (!stage || devices.tracks.length > 0 || stage.publishState !== 'unpublished') ? [me] : [];
  tiles.show([...publishing, ...mine], { mirrored: Boolean(devices.camera) && !devices.screen });
  $('others').textContent = stage?.state === 'connected' ? watchersOf(watching.map(nameOf), publishing.length > 0) : '';
}

// This page over HTTPS, which has nothing of what this tab keeps: the token goes along.
function secureAddress() {
  const secure = new URL(location.href);
  secure.protocol = 'https:';
  secure.port = page.dataset.httpsPort;
  secure.searchParams.set('token', kept.token);
  return secure.href;
}

async function offerDevices() {
  if (!Devices.available()) return;
  const found = await devices.list();
  for (const [name, id] of [['microphone', 'microphones'], ['camera', 'cameras']]) {
    const select = $(id);
    select.replaceChildren(...found[name].map(({ id: value, label }) => new Option(label, value)));
    select.value = devices[name]?.getSettings().deviceId ?? devices.chosen[name];
    select.closest('label').hidden = !devices[name] || found[name].length < 2;
  }
}

// --- devices --------------------------------------------------------------

async function turn(name, on) {
  tell('');
  try {
    if (on) await devices.open(name);
    else devices.close(name);
  } catch (e) {
    tell(deviceProblem(name, e));
  }
  await changed(name);
}

// A device is on or off now: what is published follows.
function changed(name) {
  if (name !== 'screen') keep({ [name]: Boolean(devices[name]) });
  show();
  offerDevices();
  return follow();
}

function follow() {
  busy = busy.then(publish).catch((e) => tell(refusalOf(e)));
  return busy.then(show);
}

async function publish() {
  if (!stage || stage.state === 'disconnected') return;
  if (stage.publishState !== 'unpublished') {
    await stage.replaceTrack('audio', devices.audio);
    await stage.replaceTrack('video', devices.video);
  } else if (devices.tracks.length > 0) {
    // Not waited for: devices may change meanwhile.
    stage.publish(devices.tracks).catch((e) => { if (e.code !== 'CLOSED') tell(refusalOf(e)); });
  }
}

// --- in and out -----------------------------------------------------------

async function join() {
  if (stage) return; // by a click, while a page that was loaded again waited for its devices
  tell('');
  const here = new Stage(kept.token, {
    whipUrl: new URL('../whip', location.href).href,
    eventsUrl: new URL('../events', location.href).href.replace(/^http/, 'ws'),
  });
  stage = here;
  for (const event of ['state', 'participant-joined', 'participant-left', 'participant-changed', 'stream-added', 'stream-removed', 'stats']) {
    here.on(event, () => { if (stage === here) show(); });
  }
  here.on('publish-state', (state, error) => { if (error?.final || state === 'unpublished' && error) tell(refusalOf(error)); });
  here.on('subscribe-error', (participant, error) => { if (error.final) tell(`${nameOf(participant)}: ${refusalOf(error)}`); });
  here.on('left', (reason, error) => {
    if (stage !== here) return;
    stage = null;
    if (reason !== 'user-initiated') keep({ joined: false }); // loading the page again is leaving, too
    if (error) refused(error);
    else if (reason !== 'user-initiated') tell(reasonOf(reason));
    show();
  });
  show();
  try {
    await here.join();
    keep({ joined: true });
    await follow();
  } catch { /* it was told by 'left' */ }
}

// A token that will not do is asked for again.
function refused(error) {
  tell(refusalOf(error));
  if (error.status === 401 || error.code === 'TOKEN_MALFORMED') keep({ token: '' });
}

async function leave() {
  const was = stage;
  keep({ joined: false });
  devices.closeAll();
  await was?.leave();
}

// --- the start ------------------------------------------------------------

async function start() {
  try {
    if (kept.token) {
      const other = readToken(kept.token).stageId !== page.dataset.stage;
      keep(other ? { token: '' } : {});
      if (other) tell('This token is for another stage.');
    }
  } catch (e) {
    if (!(e instanceof StageError)) throw e;
    refused(e);
  }
  show();
  if (!kept.token || !kept.joined) return;
  // The page was loaded again: it goes on as it was, but for the screen.
  await Promise.all(['microphone', 'camera'].filter((name) => kept[name] && Devices.available()).map((name) => turn(name, true)));
  await join();
}

$('door').addEventListener('submit', (event) => {
  event.preventDefault();
  tell('');
  keep({ token: $('token').value.trim(), joined: false });
  $('token').value = '';
  start();
});
for (const name of toggles) $(name).addEventListener('click', () => turn(name, !devices[name]));
for (const [id, name] of [['microphones', 'microphone'], ['cameras', 'camera']]) {
  $(id).addEventListener('change', () => {
    devices.chosen[name] = $(id).value;
    turn(name, true);
  });
}
$('join').addEventListener('click', join);
$('leave').addEventListener('click', leave);
$('sound').addEventListener('click', () => {
  $('sound').hidden = true;
  tiles.unblock();
});

window.anabranch = { get stage() { return stage; }, devices };
start();
