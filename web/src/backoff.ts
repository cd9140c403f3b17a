/** Pauses between attempts, in milliseconds: each twice the one before, up to `longest`, and up to a quarter less by chance. */
export class Backoff {
  #next: number;

  constructor(private readonly shortest = 250, private readonly longest = 5000) {
    this.#next = shortest;
  }

  next(): number {
    const pause = this.#next;
    this.#next = Math.min(2 * pause, this.longest);
    return pause * (1 - Math.random() / 4); // so that not all come back at once
  }

  reset(): void { this.#next = this.shortest; }
}

/** Waits, for less when `hurry` is aborted. */
export function sleep(milliseconds: number, hurry: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (hurry.aborted) return done();
    const timer = setTimeout(() => { hurry.removeEventListener('abort', wake); done(); }, milliseconds);
    const wake = (): void => { clearTimeout(timer); done(); };
    hurry.addEventListener('abort', wake, { once: true });
  });
}
