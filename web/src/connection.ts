import { Backoff, sleep } from './backoff.js';
import { asStageError, type StageError } from './errors.js';
import { Session, type SessionPlan } from './session.js';

/** A connection that lasted so long, in milliseconds, was a good one: the next attempt is made at once. */
const LASTING = 10_000;

export type ConnectionState = 'connecting' | 'connected' | 'closed';

/**
 * Keeps a session up: when one is lost, another is opened, with growing pauses, until the connection is closed or
 * refused for good.
 */
export class Connection {
  state: ConnectionState = 'connecting';
  session: Session | null = null;

  readonly #closing = new AbortController();
  #hurry = new AbortController();
  readonly #run: Promise<void>;

  /** `plan` makes each session's plan; `changed` is told of each new state, and of what failed, if something did. */
  constructor(
    private readonly plan: () => Promise<SessionPlan>,
    private readonly changed: (state: ConnectionState, error?: StageError) => void,
  ) {
    this.#run = this.#keep();
  }

  /** Makes the next attempt now. */
  retry(): void { this.#hurry.abort(); }

  /** Ends it. Resolves when the server knows. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#hurry.abort();
    await Promise.all([this.session?.close(), this.#run]);
  }

  async #keep(): Promise<void> {
    const backoff = new Backoff();
    const closing = this.#closing.signal;
    while (!closing.aborted) {
      let failure: StageError | undefined;
      try {
        this.session = await Session.open(await this.plan(), closing);
        this.#show('connected');
        const since = performance.now();
        await this.session.lost;
        if (performance.now() - since > LASTING) backoff.reset();
      } catch (error) {
        failure = asStageError(error);
      }
      this.session = null;
      if (closing.aborted || failure?.final) return this.#show('closed', closing.aborted ? undefined : failure);
      this.#show('connecting', failure);
      this.#hurry = new AbortController();
      if (!closing.aborted) await sleep(backoff.next(), this.#hurry.signal);
    }
    this.#show('closed');
  }

  #show(state: ConnectionState, error?: StageError): void {
    this.state = state;
    this.changed(state, error);
  }
}
