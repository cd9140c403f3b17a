import { StageError } from './errors.js';
import { candidatesOf, fragmentOf, restarted } from './sdp.js';
import type { SessionResource, Whip } from './whip.js';

// Milliseconds.
const GATHERING = 150; // for candidates that go with the offer; later ones are trickled
const BUNDLING = 100; // of candidates that come one by one
const CONNECTING = 10_000;
const DISCONNECTED = 2000; // before ICE is restarted: short losses mend by themselves
const RESTARTING = 8000;
const HANGING_UP = 500; // at most, after which nothing is sent any more

/** What a session is made of. */
export interface SessionPlan {
  readonly whip: Whip;
  readonly url: string;
  readonly iceServers: RTCIceServer[];
  /** Adds the transceivers. */
  prepare(connection: RTCPeerConnection): void;
  /** Changes the server's answer before it is used. */
  amend?(answer: string): string;
}

/**
 * One peer connection and the resource that stands for it at the server.
 *
 *     offer → POST → answer → connected ⇄ disconnected, ICE restart → lost
 */
export class Session {
  readonly peer: RTCPeerConnection;
  /** Resolves when the session is over: closed, ended by the server, or beyond repair. */
  readonly lost: Promise<void>;

  #over = false;
  #lose!: () => void;
  #resource: SessionResource | null = null;
  #told = new Set<string>(); // candidates that the server knows
  #trickling: ReturnType<typeof setTimeout> | undefined;
  #mending: ReturnType<typeof setTimeout> | undefined;
  #restarting = false;

  private constructor(private readonly plan: SessionPlan) {
    this.peer = new RTCPeerConnection({ iceServers: plan.iceServers, bundlePolicy: 'max-bundle' });
    this.lost = new Promise((resolve) => { this.#lose = resolve; });
  }

  /** Opens a session. Resolves when media can flow; throws a StageError. `abandon` gives it up. */
  static async open(plan: SessionPlan, abandon: AbortSignal): Promise<Session> {
    if (abandon.aborted) throw new StageError('CLOSED', 'closed before it was connected'); // no event tells of that
    const session = new Session(plan);
    const give = (): void => { void session.close(); };
    abandon.addEventListener('abort', give, { once: true });
    try {
      await session.#open();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    } finally {
      abandon.removeEventListener('abort', give);
    }
  }

  /** Ends the session, here and at the server. */
  async close(): Promise<void> {
    if (this.#over) return;
    this.#end();
    const told = this.#resource?.end();
    // A server that sees the connection close first no longer knows the session.
    await Promise.race([told, new Promise((done) => setTimeout(done, HANGING_UP))]);
    this.peer.close();
    await told;
  }

  async #open(): Promise<void> {
    const { peer, plan } = this;
    plan.prepare(peer);
    peer.addEventListener('icecandidate', () => this.#trickleSoon());
    peer.addEventListener('iceconnectionstatechange', () => this.#mend());
    peer.addEventListener('connectionstatechange', () => {
      if (peer.connectionState === 'closed') this.#finish();
      if (peer.connectionState === 'failed' && peer.iceConnectionState !== 'failed') this.#finish(); // DTLS
    });
    await peer.setLocalDescription(await peer.createOffer());
    const { session, answer } = await plan.whip.create(plan.url, await this.#described());
    this.#resource = session;
    if (this.#over) { // while the offer was under way
      void session.end();
      throw new StageError('CLOSED', 'closed before it was connected');
    }
    try {
      await peer.setRemoteDescription({ type: 'answer', sdp: plan.amend?.(answer) ?? answer });
    } catch (error) {
      throw new StageError('PROTOCOL', `the server's answer cannot be used: ${String(error)}`);
    }
    this.#trickleSoon();
    const transport = peer.getTransceivers()[0]?.sender.transport;
    transport?.addEventListener('statechange', () => {
      if (transport.state === 'closed' || transport.state === 'failed') this.#finish();
    });
    if (!await this.#connected(CONNECTING)) throw new StageError('TIMEOUT', 'no media connection: UDP and TCP to the server seem blocked');
  }

  /** The local description with the candidates that come soon. */
  async #described(): Promise<string> {
    const { peer } = this;
    await until(peer, 'icegatheringstatechange', GATHERING, () => peer.iceGatheringState === 'complete');
    const sdp = peer.localDescription?.sdp ?? '';
    this.#told = new Set(candidatesOf(sdp));
    return sdp;
  }

  #connected(limit: number): Promise<boolean> {
    const { peer } = this;
    return until(peer, 'connectionstatechange', limit, () => peer.connectionState === 'connected', () => this.#over);
  }

  #trickleSoon(): void {
    if (this.#over || !this.#resource) return; // the offer will have it
    this.#trickling ??= setTimeout(() => {
      this.#trickling = undefined;
      void this.#trickle();
    }, BUNDLING);
  }

  /** Tells of the candidates that the server does not know yet. That helps, but nothing depends on it. */
  async #trickle(): Promise<void> {
    const sdp = this.peer.localDescription?.sdp;
    if (this.#over || this.#restarting || !sdp) return;
    const fresh = candidatesOf(sdp).filter((candidate) => !this.#told.has(candidate));
    if (fresh.length === 0) return;
    for (const candidate of fresh) this.#told.add(candidate);
    await this.#resource?.trickle(fragmentOf(sdp, fresh, this.peer.iceGatheringState === 'complete')).catch(() => {});
  }

  #mend(): void {
    clearTimeout(this.#mending);
    const state = this.peer.iceConnectionState;
    if (this.#over || this.#restarting || !this.#resource) return;
    if (state === 'failed') void this.#restart();
    if (state === 'disconnected') this.#mending = setTimeout(() => void this.#restart(), DISCONNECTED);
  }

  /** Restarts ICE, once: where that does not help the session is lost. */
  async #restart(): Promise<void> {
    const { peer } = this;
    this.#restarting = true;
    try {
      await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
      const ours = await this.#described();
      const fragment = await this.#resource!.restart(fragmentOf(ours, [...this.#told], peer.iceGatheringState === 'complete'));
      const theirs = restarted(peer.remoteDescription?.sdp ?? '', fragment);
      if (!theirs) throw new StageError('PROTOCOL', 'ICE was restarted without credentials');
      await peer.setRemoteDescription({ type: 'answer', sdp: theirs });
      if (!await this.#connected(RESTARTING)) throw new StageError('TIMEOUT', 'ICE does not connect again');
    } catch {
      await this.close();
    } finally {
      this.#restarting = false;
    }
    this.#mend(); // it may have gone again
    this.#trickleSoon();
  }

  #finish(): void {
    this.#end();
    this.peer.close();
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#trickling);
    clearTimeout(this.#mending);
    this.#lose();
  }
}

/** Waits for `there` at most `limit` milliseconds, looking at each `event`; tells whether it came. `gone` ends the wait, too. */
function until(on: EventTarget, event: string, limit: number, there: () => boolean, gone: () => boolean = () => false): Promise<boolean> {
  return new Promise((done) => {
    const look = (): void => {
      if (there()) end(true);
      else if (gone()) end(false);
    };
    const end = (came: boolean): void => {
      clearTimeout(timer);
      on.removeEventListener(event, look);
      done(came);
    };
    const timer = setTimeout(() => end(there()), limit);
    on.addEventListener(event, look);
    look();
  });
}
