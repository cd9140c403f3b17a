import { Backoff, sleep } from './backoff.js';
import { asStageError, StageError } from './errors.js';
import { strings } from './token.js';

// Milliseconds.
const PING = 10_000;
const SILENCE = 25_000; // without a word, after which the server is taken for gone

/** A participant as the server tells of it. */
export interface Seen {
  readonly id: string;
  readonly userId: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly isPublishing: boolean;
}

/** What a socket tells. */
export interface SocketListener {
  /** Everyone in the stage, on each change and after each reconnect. */
  snapshot(participants: readonly Seen[]): void;
  /** The socket is gone, and is opened again. */
  interrupted(): void;
  /** The server has ended it for good. */
  left(reason: string): void;
  /** Asked where a socket could not be opened; true ends the attempts. A browser does not tell why. */
  refused(): Promise<boolean>;
  /** The browser opens no such socket, as to ws: from a page that came over HTTPS. That is the end, too. */
  barred(error: StageError): void;
}

/** The events socket of a stage, opened again whenever it breaks, until it is closed or the server says why it ends. */
export class EventsSocket {
  readonly #over = new AbortController();
  #socket: WebSocket | null = null;

  constructor(private readonly url: string, private readonly token: string, private readonly listener: SocketListener) {
    void this.#keep();
  }

  close(): void {
    this.#over.abort();
    this.#socket?.close(1000);
  }

  async #keep(): Promise<void> {
    const backoff = new Backoff();
    while (!this.#over.signal.aborted) {
      let worked: boolean;
      try {
        worked = await this.#once();
      } catch (error) {
        return this.listener.barred(new StageError('REFUSED', `the browser opens no socket to ${this.url}: ${asStageError(error).message}`));
      }
      if (this.#over.signal.aborted) return;
      this.listener.interrupted();
      if (worked) backoff.reset();
      else if (await this.listener.refused()) return;
      await sleep(backoff.next(), this.#over.signal);
    }
  }

  /** Lives through one socket; tells whether it brought anything. Throws what the browser says where it opens none. */
  #once(): Promise<boolean> {
    return new Promise((done) => {
      const socket = new WebSocket(this.url, [this.token]);
      this.#socket = socket;
      let worked = false;
      let heard = performance.now();
      let over = false;
      const end = (): void => {
        if (over) return;
        over = true;
        clearInterval(pulse);
        this.#socket = null;
        done(worked);
      };
      const pulse = setInterval(() => {
        if (performance.now() - heard > SILENCE) {
          socket.close();
          end(); // a network that is gone does not let it close
        } else if (socket.readyState === WebSocket.OPEN) {
          socket.send('{"type":"PING"}');
        }
      }, PING);
      socket.onopen = () => socket.send('{"type":"PING"}');
      socket.onclose = end;
      socket.onmessage = ({ data }) => {
        heard = performance.now();
        const { type, payload } = parse(data);
        if (this.#over.signal.aborted || over) return;
        if (type === 'PING') socket.send('{"type":"PONG"}');
        if (type === 'STAGE_STATE') {
          worked = true;
          this.listener.snapshot(participants(payload));
        }
        if (type === 'LEFT') {
          this.close();
          this.listener.left(typeof payload?.reason === 'string' ? payload.reason : 'unknown');
        }
      };
    });
  }
}

/** A message, whatever it may be; its type is empty where it makes no sense. */
function parse(data: unknown): { type: string; payload: Record<string, unknown> | null } {
  try {
    const { type, payload } = JSON.parse(String(data));
    return { type: String(type), payload: typeof payload === 'object' ? payload : null };
  } catch {
    return { type: '', payload: null };
  }
}

function participants(payload: Record<string, unknown> | null): Seen[] {
  const list: unknown[] = Array.isArray(payload?.participants) ? payload.participants : [];
  return list.flatMap((one) => {
    if (typeof one !== 'object' || one === null || !('id' in one) || typeof one.id !== 'string') return [];
    const { id, userId, attributes, isPublishing } = one as Record<string, unknown>;
    return [{ id: String(id), userId: typeof userId === 'string' ? userId : '', attributes: strings(attributes), isPublishing: isPublishing === true }];
  });
}
