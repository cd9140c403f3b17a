// The choice among a recording's renditions, which are hls.js's levels.
export class QualityMenu {
  #select;
  #hls = null; // of the attempt under way
  #wanted = ''; // what was chosen, through all attempts; '' leaves it to the player

  // Makes select the menu. It is hidden, with what is around it, where there is
  // no choice.
  constructor(select) {
    this.#select = select;
    select.addEventListener('change', () => {
      this.#wanted = select.value;
      this.#hls.nextLevel = this.#level;
      this.#tell();
    });
  }

  // Forgets what was offered and chosen.
  reset() {
    this.#wanted = '';
    this.#hls = null;
    this.#select.parentElement.hidden = true;
  }

  // Offers what hls, which has begun an attempt, finds in the playlist.
  follow(hls) {
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      this.#hls = hls;
      const names = hls.levels.map(levelName).reverse(); // best first
      this.#select.replaceChildren(...['', ...names].map((name) => {
        const option = document.createElement('option');
        [option.value, option.text] = [name, name];
        return option;
      }));
      this.#select.value = names.includes(this.#wanted) ? this.#wanted : '';
      this.#select.parentElement.hidden = names.length < 2;
      if (this.#level >= 0) hls.loadLevel = this.#level;
      this.#tell();
    });
    hls.on(Hls.Events.LEVEL_SWITCHED, () => this.#tell());
  }

  // The number of the level that was chosen, -1 for none.
  get #level() { return this.#hls.levels.findIndex((level) => levelName(level) === this.#wanted); }

  // Says what the player has chosen by itself.
  #tell() {
    const level = this.#hls.autoLevelEnabled && this.#hls.levels[this.#hls.currentLevel];
    this.#select.options[0].text = level ? `Auto (${levelName(level)})` : 'Auto';
  }
}

// The shorter side, and how many pictures a second where there are many.
export const levelName = ({ width, height, frameRate }) =>
  (height ? `${Math.min(width, height)}p${frameRate > 36 ? Math.round(frameRate) : ''}` : 'sound');
