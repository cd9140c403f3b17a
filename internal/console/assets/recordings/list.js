// The list of recordings, newest first, a page at a time.
import { list, mediaURL } from './service.js';
import { clockOf, momentOf, utcOf } from './words.js';

const $ = (id) => document.getElementById(id);

const PAGE = 20; // recordings

const states = {
  RECORDING_STARTED: ['started', 'recording now'],
  RECORDING_ENDED: ['ended', 'complete'],
  RECORDING_ENDED_WITH_FAILURE: ['failed', 'failed'],
};

export const idOf = (arn) => arn.slice(arn.lastIndexOf('/') + 1);
export const ofParticipant = (recording) => recording.kind === 'participant';

// Whose recording it is, for people.
export function nameOf(recording) {
  if (ofParticipant(recording)) return recording.userId || recording.participantId;
  return recording.channelName || idOf(recording.channelArn);
}

// The hash that plays a session of a stage.
export const sessionHash = (stageArn, session) => `#${encodeURIComponent(idOf(stageArn))}/${encodeURIComponent(session)}`;

// Makes an element tell a state.
export function badge(element, state) {
  const [kind, words] = states[state] ?? ['ended', state];
  element.dataset.state = kind;
  element.textContent = words;
}

// Makes a <time> tell a time of the API.
export function setTime(element, told) {
  const date = Date.parse(told);
  element.dateTime = told;
  element.textContent = momentOf(date);
  element.title = utcOf(date);
}

// Shows a picture of a recording, if there is one. It is signed for, at another
// address now and then, so its name tells whether it is another.
function showStill(image, url = '') {
  const name = url.split('/').slice(-2).join('/');
  if (name === (image.dataset.name ?? '')) return;
  image.dataset.name = name;
  image.src = mediaURL(url);
}

// What goes on below or over the list.
export function say(words, wrong = false) {
  $('status').textContent = words;
  $('status').classList.toggle('wrong', wrong);
}

// Calls reject with what the service's do, and leave the list as it is then.
export class List {
  items = []; // the recordings shown
  #filter = {};
  #older = ''; // the token of those that are not
  #turn = 0; // counts lists begun, so that a late answer to a former one is dropped
  #rows = new Map(); // by id
  #current = ''; // the id of what plays

  // Shows the list anew. filter has pairs of names and values.
  async start(filter) {
    this.#turn++;
    this.#filter = filter;
    this.items = [];
    this.#older = '';
    this.#rows.clear();
    $('list').replaceChildren();
    $('more').hidden = true;
    say('Looking for recordings.');
    await this.refresh();
  }

  // Puts the newest page over what is shown; older rows stay below it.
  async refresh() {
    const page = await this.#get('');
    if (!page) return;
    const last = page.recordings.at(-1)?.startedAt ?? '';
    const ids = new Set(page.recordings.map((r) => r.id));
    const below = page.nextToken ? this.items.filter((r) => !ids.has(r.id) && r.startedAt <= last) : [];
    if (below.length === 0) this.#older = page.nextToken ?? '';
    this.items = [...page.recordings, ...below];
    this.#show();
  }

  // Puts the next page below what is shown.
  async more() {
    const page = await this.#get(this.#older);
    if (!page) return;
    const ids = new Set(this.items.map((r) => r.id));
    this.items = [...this.items, ...page.recordings.filter((r) => !ids.has(r.id))];
    this.#older = page.nextToken ?? '';
    this.#show();
  }

  // Marks the row of what plays.
  mark(current) {
    this.#current = current;
    for (const [id, { link }] of this.#rows) {
      if (id === current) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  }

  // Resolves to a page; to nothing when another list was begun meanwhile.
  async #get(nextToken) {
    const turn = this.#turn;
    const page = await list({ ...this.#filter, maxResults: String(PAGE), nextToken });
    return turn === this.#turn ? page : null;
  }

  // Brings the rows into order. One that stays where it is keeps the focus.
  #show() {
    this.items.forEach((recording, i) => {
      const row = this.#row(recording);
      if ($('list').children[i] !== row) $('list').insertBefore(row, $('list').children[i] ?? null);
    });
    while ($('list').children.length > this.items.length) $('list').lastChild.remove();
    $('more').hidden = !this.#older;
    this.mark(this.#current);
    this.#offer();
    if (this.items.length) say('');
    else if (Object.values(this.#filter).some(Boolean)) say('There are no such recordings.');
    else say('There are no recordings yet. Attach a recording configuration to a channel, or a storage configuration to a stage, and who publishes next is recorded.');
  }

  #row(recording) {
    let row = this.#rows.get(recording.id);
    if (!row) {
      row = document.createElement('li');
      row.link = row.appendChild(document.createElement('a'));
      row.link.className = 'row';
      row.link.href = `#${encodeURIComponent(recording.id)}`;
      for (const [name, tag] of [['badge', 'span'], ['name', 'b'], ['began', 'time'], ['length', 'span'], ['count', 'span'], ['why', 'span'], ['whose', 'span']]) {
        row[name] = row.link.appendChild(document.createElement(tag));
        row[name].className = name;
      }
      row.still = row.link.appendChild(new Image());
      row.still.className = 'still';
      row.still.alt = '';
      row.still.loading = 'lazy';
      row.sessions = row.appendChild(document.createElement('span'));
      row.sessions.className = 'sessions';
      this.#rows.set(recording.id, row);
    }
    showStill(row.still, recording.thumbnailUrl);
    badge(row.badge, recording.state);
    row.name.textContent = nameOf(recording);
    setTime(row.began, recording.startedAt);
    row.length.textContent = clockOf(recording.duration ?? 0);
    row.count.textContent = recording.fragments > 1 ? `${recording.fragments} parts` : '1 part';
    row.why.textContent = recording.statusMessage ?? '';
    row.why.hidden = !recording.statusMessage;
    const there = ofParticipant(recording);
    row.whose.textContent = there ? `participant ${recording.participantId} · stage ${idOf(recording.stageArn)}` : '';
    row.whose.hidden = !there;
    showSessions(row.sessions, recording);
    return row;
  }

  // Offers the channels, stages and sessions seen so far where one is filtered by.
  #offer() {
    for (const recording of this.items) {
      const there = ofParticipant(recording);
      offer($('sources'), idOf(there ? recording.stageArn : recording.channelArn), there ? 'stage' : nameOf(recording));
      for (const id of there ? recording.stageSessionIds : []) offer($('sessions'), id, idOf(recording.stageArn));
    }
  }
}

// Links to what a participant's recording can be played with: the sessions it was in.
export function showSessions(element, recording) {
  const ids = ofParticipant(recording) ? recording.stageSessionIds : [];
  if ([...element.children].map((link) => link.dataset.session).join() === ids.join()) return;
  element.replaceChildren(...ids.map((id, i) => {
    const link = document.createElement('a');
    link.href = sessionHash(recording.stageArn, id);
    link.dataset.session = id;
    link.title = `Session ${id}`;
    link.textContent = i === 0 ? 'side by side' : `with session ${i + 1}`;
    return link;
  }));
}

function offer(choice, value, label) {
  if ([...choice.options].some((option) => option.value === value)) return;
  const option = document.createElement('option');
  [option.value, option.label] = [value, label];
  choice.append(option);
}
