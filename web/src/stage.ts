import type { ConnectionState } from './connection.js';
import { Emitter } from './emitter.js';
import { asStageError, StageError } from './errors.js';
import { type Kind, Member, type Participant } from './participant.js';
import { Publication, type PublishOptions } from './publication.js';
import type { SessionPlan } from './session.js';
import { EventsSocket, type Seen } from './socket.js';
import { Subscription, type SubscribeType } from './subscription.js';
import { type Claims, readToken } from './token.js';
import { Whip } from './whip.js';

// Milliseconds.
const JOINING = 30_000;
const MEASURING = 1000;
const LINGER = 10_000; // for a publisher that may be back: longer than a stage waits for it to come back
const ICE_SERVERS_LAST = 600_000; // their passwords are good for longer

/** 'reconnecting' is after the stage was joined: media may flow all the same. */
export type StageState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting';

/** Why one is no longer in the stage. A server may have other reasons than these. */
export type LeftReason =
  | 'user-initiated' | 'participant-disconnected' | 'stage-deleted' | 'token-reused' | 'refused' | 'unknown'
  | (string & {});

export type PublishState = 'unpublished' | 'connecting' | 'published';

/** What listeners are told: the name of the event, and its parameters. */
export type StageEvents = {
  'state': [state: StageState];
  /** The end of it. With the reason 'refused', the error is why the server or the browser refuses us. */
  'left': [reason: LeftReason, error?: StageError];
  'participant-joined': [participant: Participant];
  'participant-left': [participant: Participant];
  /** Anything of a participant but its statistics has changed. */
  'participant-changed': [participant: Participant];
  /** A participant's media begin to flow into its stream, or out of it. */
  'stream-added': [participant: Participant, stream: MediaStream];
  'stream-removed': [participant: Participant, stream: MediaStream];
  /** Publishing is interrupted and goes on by itself; 'unpublished' with an error is the end of it. */
  'publish-state': [state: PublishState, error?: StageError];
  /** Subscribing failed. It is tried again, unless the error is final. */
  'subscribe-error': [participant: Participant, error: StageError];
  /** Statistics were renewed, of all participants. */
  'stats': [];
};

export interface StageOptions {
  /** What to receive of a participant who publishes; everything when not set. See also refreshSubscriptions. */
  readonly subscribe?: (participant: Participant) => SubscribeType;
  /** In the place of the token's own, where the server is reached elsewhere, as through a proxy. */
  readonly whipUrl?: string;
  readonly eventsUrl?: string;
}

/**
 * A stage, as one participant is in it: sees who is there, receives what they publish, and publishes.
 *
 * What breaks is mended: the events socket, each subscription and the publication come back by themselves, for as long
 * as the stage is not left.
 */
export class Stage extends Emitter<StageEvents> {
  readonly claims: Claims;

  #state: StageState = 'disconnected';
  #publishState: PublishState = 'unpublished';
  readonly #me: Member;
  readonly #others = new Map<string, Member>();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #lingering = new Map<string, ReturnType<typeof setTimeout>>();
  #publication: Publication | null = null;
  readonly #whip: Whip;
  readonly #whipUrl: string;
  readonly #eventsUrl: string;
  #socket: EventsSocket | null = null;
  #iceServers: { at: number; servers: Promise<RTCIceServer[]> } | null = null;
  #measuring: ReturnType<typeof setInterval> | undefined;
  #measured: Promise<void> | null = null; // is under way
  readonly #hide = (): void => { void this.leave(); };

  /** Throws a StageError where `token` is not a participant token. */
  constructor(private readonly token: string, private readonly options: StageOptions = {}) {
    super();
    this.claims = readToken(token);
    this.#me = new Member(this.claims.participantId, true);
    this.#me.userId = this.claims.userId;
    this.#me.attributes = this.claims.attributes;
    this.#whip = new Whip(token);
    this.#whipUrl = (options.whipUrl ?? this.claims.whipUrl).replace(/\/+$/, '');
    this.#eventsUrl = (options.eventsUrl ?? this.claims.eventsUrl).replace(/\/+$/, '');
  }

  get state(): StageState { return this.#state; }
  get publishState(): PublishState { return this.#publishState; }

  /** This page's own participant. */
  get me(): Participant { return this.#me; }

  /** The others, in the order in which they were seen first. */
  get participants(): Participant[] { return [...this.#others.values()]; }

  /**
   * Joins the stage. Resolves when it is known who is there; throws a StageError where the token is refused, or nothing
   * answers for 30 s. Who asks again meanwhile waits for the same.
   */
  async join(): Promise<void> {
    if (this.#state === 'connected' || this.#state === 'reconnecting') return;
    const joined = this.#joined();
    if (this.#state === 'disconnected') this.#begin();
    await joined;
  }

  /** Leaves the stage. Resolves when the server knows. */
  async leave(): Promise<void> { await this.#end('user-initiated'); }

  /**
   * Publishes tracks, at most one of each kind, and goes on with that until unpublish is called, or the stage left. What
   * was published before is replaced. Resolves when media flow; throws a StageError where publishing is refused.
   */
  async publish(media: MediaStream | readonly MediaStreamTrack[], options: PublishOptions = {}): Promise<void> {
    if (!this.claims.canPublish) throw new StageError('INSUFFICIENT_CAPABILITIES', 'this token does not allow to publish', 403);
    while (this.#publication) await this.unpublish(); // again, where somebody else published meanwhile
    if (this.#state === 'disconnected') throw new StageError('REFUSED', 'the stage is not joined'); // or left meanwhile
    const tracks = 'getTracks' in media ? media.getTracks() : media;
    await new Promise<void>((published, failed) => {
      this.#publication = new Publication(this.#me, tracks, options, () => this.#target(''), (state, error) => {
        this.#published(state, error);
        if (state === 'connected') published();
        if (state === 'closed') failed(error ?? new StageError('CLOSED', 'unpublished before it was published'));
      });
      this.#published('connecting');
    });
  }

  /** Ends publishing. Resolves when the server knows. */
  async unpublish(): Promise<void> {
    const publication = this.#publication;
    if (!publication) return;
    await publication.connection.close();
  }

  /** Publishes another track of a kind from now on, such as a screen in the place of a camera; null for none. */
  async replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    await this.#publication?.replaceTrack(kind, track);
    this.emit('participant-changed', this.#me);
  }

  /** Sends nothing of a kind until it is unmuted. The track is not stopped: who mutes a camera may want to stop it, too. */
  async mute(kind: Kind): Promise<void> { await this.#mute(kind, true); }
  async unmute(kind: Kind): Promise<void> { await this.#mute(kind, false); }

  /** Asks the option `subscribe` again about everybody. */
  refreshSubscriptions(): void {
    for (const member of this.#others.values()) this.#subscribe(member);
  }

  async #mute(kind: Kind, muted: boolean): Promise<void> {
    await this.#publication?.mute(kind, muted);
    this.emit('participant-changed', this.#me);
  }

  /** The end of joining, one way or the other. */
  #joined(): Promise<void> {
    return new Promise((joined, failed) => {
      const timer = setTimeout(() => this.#end('unknown', new StageError('TIMEOUT', 'the stage does not answer')), JOINING);
      const heard = this.on('state', (state) => {
        if (state === 'connected') settle(joined);
      });
      const left = this.on('left', (reason, error) => settle(() => failed(error ?? new StageError('REFUSED', `left the stage: ${reason}`))));
      const settle = (how: () => void): void => {
        clearTimeout(timer);
        heard();
        left();
        how();
      };
    });
  }

  #begin(): void {
    globalThis.addEventListener?.('pagehide', this.#hide);
    this.#measuring = setInterval(() => {
      this.#measured ??= this.#measure().finally(() => { this.#measured = null; });
    }, MEASURING);
    // A browser does not say why a socket is refused. This request is: and it is needed anyway.
    void this.#refused();
    this.#socket = new EventsSocket(`${this.#eventsUrl}/${encodeURIComponent(this.claims.stageId)}`, this.token, {
      snapshot: (seen) => this.#see(seen),
      interrupted: () => { if (this.#state === 'connected') this.#show('reconnecting'); },
      left: (reason) => this.#end(reason),
      refused: () => this.#refused(),
      barred: (error) => this.#end('refused', error),
    });
    this.#show('connecting'); // last: who hears of it may leave
  }

  #show(state: StageState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }

  async #end(reason: LeftReason, error?: StageError): Promise<void> {
    if (this.#state === 'disconnected') return;
    this.#socket?.close();
    this.#socket = null;
    globalThis.removeEventListener?.('pagehide', this.#hide);
    clearInterval(this.#measuring);
    const closing = [this.unpublish(), ...[...this.#others.values()].map((member) => this.#gone(member))];
    this.#me.isPublishing = false;
    this.#show('disconnected');
    this.emit('left', reason, error);
    await Promise.all(closing);
  }

  /** Whether the server refuses us, for good: then that was the end. */
  async #refused(): Promise<boolean> {
    try {
      this.#iceServers = null;
      await this.#ice();
      return false;
    } catch (error) {
      const why = asStageError(error);
      const end = why.final || why.status === 404; // there is no such stage any more
      if (end) void this.#end('refused', why);
      return end;
    }
  }

  /** Where a session is made, and how it is reached. */
  async #target(path: string): Promise<Omit<SessionPlan, 'prepare'>> {
    return { whip: this.#whip, url: this.#whipUrl + path, iceServers: await this.#ice() };
  }

  async #ice(): Promise<RTCIceServer[]> {
    if (!this.#iceServers || performance.now() - this.#iceServers.at > ICE_SERVERS_LAST) {
      this.#iceServers = { at: performance.now(), servers: this.#whip.iceServers(this.#whipUrl) };
    }
    try {
      return await this.#iceServers.servers;
    } catch (error) {
      this.#iceServers = null;
      if ([405, 501].includes(asStageError(error).status)) return []; // a server that has none to tell
      throw error;
    }
  }

  // --- the others ---------------------------------------------------------

  #see(seen: readonly Seen[]): void {
    const ids = new Set(seen.map(({ id }) => id));
    for (const member of [...this.#others.values()]) if (!ids.has(member.id)) void this.#gone(member);
    for (const { id, userId, attributes, isPublishing } of seen) {
      const known = id === this.#me.id ? this.#me : this.#others.get(id);
      const member = known ?? new Member(id, false);
      const before = JSON.stringify([member.userId, member.attributes, member.isPublishing]);
      Object.assign(member, { userId, attributes, isPublishing });
      if (!known) {
        this.#others.set(id, member);
        this.emit('participant-joined', member);
      } else if (JSON.stringify([userId, attributes, isPublishing]) !== before) {
        this.emit('participant-changed', member);
      }
      if (!member.isLocal) this.#subscribe(member);
    }
    this.#show('connected');
  }

  /** Has what is received of a participant be what is wanted. */
  #subscribe(member: Member): void {
    const { id } = member;
    const now = this.#subscriptions.get(id);
    const wanted = this.claims.canSubscribe ? this.options.subscribe?.(member) ?? 'audio-video' : 'none';
    if (!member.isPublishing && wanted === now?.type) { // it may be back in a moment, on the same subscription
      if (!this.#lingering.has(id)) this.#lingering.set(id, setTimeout(() => void this.#unsubscribe(member), LINGER));
      return;
    }
    clearTimeout(this.#lingering.get(id));
    if (this.#lingering.delete(id)) now?.connection.retry();
    if (now && now.type === wanted && now.connection.state !== 'closed') return;
    if (now) void this.#unsubscribe(member);
    if (!member.isPublishing || wanted === 'none') return;
    const subscription: Subscription = new Subscription(member, wanted, () => this.#target(`/subscribe/${encodeURIComponent(id)}`), (state, error) => {
      if (this.#subscriptions.get(id) !== subscription) return;
      if (error && member.isPublishing) this.emit('subscribe-error', member, error);
      this.#streaming(member, state === 'closed' ? 'none' : state);
    });
    this.#subscriptions.set(id, subscription);
    this.#streaming(member, 'connecting');
  }

  async #unsubscribe(member: Member): Promise<void> {
    clearTimeout(this.#lingering.get(member.id));
    this.#lingering.delete(member.id);
    const subscription = this.#subscriptions.get(member.id);
    if (!subscription) return;
    this.#subscriptions.delete(member.id);
    this.#streaming(member, 'none');
    this.#empty(member);
    await subscription.connection.close();
  }

  async #gone(member: Member): Promise<void> {
    this.#others.delete(member.id);
    const closed = this.#unsubscribe(member);
    this.emit('participant-left', member);
    await closed;
  }

  // --- media --------------------------------------------------------------

  #published(state: ConnectionState, error?: StageError): void {
    const next = state === 'connected' ? 'published' : state === 'connecting' ? 'connecting' : 'unpublished';
    if (next === 'unpublished') {
      this.#publication = null;
      this.#empty(this.#me);
    }
    if (next === this.#publishState && !error) return;
    this.#publishState = next;
    this.#streaming(this.#me, state === 'closed' ? 'none' : state);
    this.emit('publish-state', next, error);
  }

  #streaming(member: Member, streaming: Member['streaming']): void {
    const before = member.streaming;
    if (before === streaming) return;
    member.streaming = streaming;
    if (streaming === 'connected') this.emit('stream-added', member, member.stream);
    if (before === 'connected') this.emit('stream-removed', member, member.stream);
    this.emit('participant-changed', member);
  }

  /** Nothing comes of a member, or goes, any more. */
  #empty(member: Member): void {
    Object.assign(member, { stats: null, audioMuted: true, videoStopped: true });
    member.setTrack('audio', null);
    member.setTrack('video', null);
  }

  async #measure(): Promise<void> {
    const changed: Member[] = [];
    await Promise.allSettled([
      this.#publication?.measure(),
      ...[...this.#subscriptions].map(async ([id, subscription]) => {
        const member = this.#others.get(id);
        if (await subscription.measure() && member) changed.push(member);
      }),
    ]);
    for (const member of changed) this.emit('participant-changed', member);
    this.emit('stats');
  }
}
