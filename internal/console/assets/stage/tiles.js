// A tile for each participant who publishes, and for oneself.
import { layoutOf, nameOf, statsOf } from './words.js';

const GAP = 10; // pixels between tiles
const NARROW = 420; // a tile's width, below which it tells less

// A tile stays the same element for as long as its participant is there, so
// that its picture goes on when a connection is made anew.
class Tile {
  constructor(participant) {
    this.participant = participant;
    this.element = document.createElement('li');
    this.element.className = 'stage tile';
    this.element.dataset.participant = participant.id;
    this.video = Object.assign(document.createElement('video'), { autoplay: true, playsInline: true, muted: participant.isLocal });
    const part = (tag, name, ...within) => {
      const made = document.createElement(tag);
      made.className = name;
      made.append(...within);
      return made;
    };
    this.curtain = part('p', 'curtain');
    this.who = part('span', 'who');
    this.muted = part('span', 'sign', 'muted');
    this.stats = part('span', 'stats');
    this.element.append(this.video, this.curtain, part('div', 'bar', this.who, this.muted, this.stats));
  }

  // Shows the participant as it is now.
  show(mirrored) {
    const { isLocal, isPublishing, streaming, audioMuted, videoStopped, stats, stream } = this.participant;
    // A video that waits for a first track would hold up the page's loading.
    if (this.video.srcObject !== stream && stream.getTracks().length > 0) this.video.srcObject = stream;
    this.who.textContent = nameOf(this.participant);
    const flows = streaming === 'connected';
    this.muted.hidden = !(isLocal || flows) || !audioMuted;
    this.element.classList.toggle('mirrored', mirrored);
    let words = '';
    if (!isLocal && !isPublishing) words = 'away';
    else if (!isLocal && !flows) words = 'connecting';
    else if (videoStopped) words = 'camera off';
    this.curtain.textContent = words;
    // Where it is only away for a moment, the last picture stays in view.
    this.element.dataset.picture = videoStopped && words !== 'away' ? 'none' : words === '' ? 'moving' : 'away';
    this.stats.hidden = !stats || !flows;
    if (stats) {
      this.stats.textContent = statsOf(videoStopped ? { ...stats, width: 0 } : stats, this.element.clientWidth < NARROW);
      this.stats.classList.toggle('bad', stats.loss > 0.05);
    }
  }
}

export class Tiles {
  #tiles = new Map(); // by participant id
  #blocked; // called when the browser wants a click before it gives sound

  constructor(list, blocked) {
    this.list = list;
    this.#blocked = blocked;
    new ResizeObserver(() => this.#arrange()).observe(list);
  }

  // Shows these participants, in this order, and no others.
  show(participants, { mirrored }) {
    const wanted = new Set(participants.map(({ id }) => id));
    for (const [id, tile] of this.#tiles) {
      if (wanted.has(id)) continue;
      tile.video.srcObject = null;
      tile.element.remove();
      this.#tiles.delete(id);
    }
    for (const participant of participants) {
      let tile = this.#tiles.get(participant.id);
      if (!tile) {
        tile = new Tile(participant);
        this.#tiles.set(participant.id, tile);
        this.list.append(tile.element);
      }
      tile.participant = participant;
      tile.show(participant.isLocal && mirrored);
      this.#play(tile);
    }
    this.#arrange();
  }

  // Plays what waits for a click: this is in one.
  unblock() {
    for (const { video, participant } of this.#tiles.values()) {
      video.muted = participant.isLocal;
      video.play().catch(() => {});
    }
  }

  // Sound may need a click, and pictures do not.
  #play({ video, participant }) {
    if (!video.paused || participant.stream.getTracks().length === 0) return;
    video.play().catch((e) => {
      if (e.name !== 'NotAllowedError') return;
      video.muted = true;
      video.play().catch(() => {});
      this.#blocked();
    });
  }

  #arrange() {
    const { clientWidth, clientHeight } = this.list;
    this.list.style.setProperty('--width', `${layoutOf(this.#tiles.size, clientWidth, clientHeight, GAP).width}px`);
  }
}
