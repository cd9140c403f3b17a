// The controls below the picture, and the keys that most players have. What they
// work is a deck: one recording (player.js), or those of a session (session.js).
import { PartList, TimeBar } from './timebar.js';
import { clockOf, momentOf, timeOf } from './words.js';

const $ = (id) => document.getElementById(id);

const IDLE = 3000; // milliseconds without the pointer moving, until the controls of a full screen go
const STEP = 5; // seconds, of an arrow key

export class Controls {
  #deck = null;
  #bar = new TimeBar($('bar'), (time) => this.#deck.seek(time));
  #parts = new PartList($('parts'), (time) => this.#deck.seek(time));

  constructor() {
    const toggle = () => (this.#deck.paused ? this.#deck.play() : this.#deck.pause());
    $('picture').addEventListener('click', toggle);
    $('play').addEventListener('click', toggle);
    $('mute').addEventListener('click', () => { this.#deck.muted = !this.#deck.muted; });
    $('volume').addEventListener('input', () => {
      this.#deck.volume = Number($('volume').value);
      this.#deck.muted = false;
    });
    $('newest').addEventListener('click', () => this.#deck.seek(this.#newest));
    $('speed').addEventListener('change', () => { this.#deck.rate = Number($('speed').value); });
    $('full').addEventListener('click', () => this.#toggleFull());
    $('screen').addEventListener('keydown', (e) => this.#key(e));
    let idle;
    $('screen').addEventListener('pointermove', () => {
      clearTimeout(idle);
      $('screen').classList.remove('idle');
      idle = setTimeout(() => $('screen').classList.add('idle'), IDLE);
    });
  }

  // Works a deck from now on, as loud and as fast as the one before.
  work(deck) {
    const muted = this.#deck?.muted ?? false;
    this.#deck = deck;
    deck.volume = Number($('volume').value);
    deck.muted = muted;
    deck.rate = Number($('speed').value);
    this.show();
  }

  // Shows the deck as it is now.
  show() {
    if (!this.#deck) return;
    const { timeline, position, paused, muted, growing, waiting, words } = this.#deck;
    this.#bar.show(timeline, position, this.#deck.loaded);
    this.#parts.show(timeline, position);
    $('time').textContent = `${clockOf(position)} / ${clockOf(timeline.duration)}`;
    const date = timeline.dateAt(position);
    $('when').textContent = timeOf(date);
    $('when').title = momentOf(date);
    $('newest').hidden = !growing || timeline.duration === 0;
    $('newest').disabled = position >= this.#newest;
    const press = (id, pressed, name) => {
      $(id).dataset.pressed = pressed;
      $(id).setAttribute('aria-label', name);
      $(id).title = name;
    };
    press('play', !paused, paused ? 'Play' : 'Pause');
    press('mute', muted, muted ? 'Sound on' : 'Sound off');
    $('screen').classList.toggle('waiting', waiting);
    if ($('curtain').textContent !== words) $('curtain').textContent = words;
  }

  // The last place from where playing goes on without waiting for the playlist.
  get #newest() {
    const { duration, target } = this.#deck.timeline;
    return Math.max(0, duration - 4 * target);
  }

  #toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if ($('screen').requestFullscreen) $('screen').requestFullscreen().catch(() => {});
    else $('video').webkitEnterFullscreen?.(); // iPhones show the video alone
  }

  // Those that have the focus come first.
  #key(e) {
    if (e.ctrlKey || e.altKey || e.metaKey || e.target.matches('select, input') || e.target.matches('button') && e.key === ' ') return;
    const action = {
      ' ': () => $('play').click(), k: () => $('play').click(), m: () => $('mute').click(), f: () => $('full').click(),
      ArrowLeft: () => this.#deck.seek(this.#deck.position - STEP), ArrowRight: () => this.#deck.seek(this.#deck.position + STEP),
    }[e.key];
    if (!action) return;
    e.preventDefault();
    action();
  }
}
