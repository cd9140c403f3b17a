import { preferH264 } from './codecs.js';
import { Connection, type ConnectionState } from './connection.js';
import type { StageError } from './errors.js';
import { Meter } from './meter.js';
import type { Kind, Member } from './participant.js';
import type { SessionPlan } from './session.js';

export type SubscribeType = 'none' | 'audio' | 'audio-video';

/** Measurements without a packet, after which sound counts as muted and pictures as stopped. A still screen has one each second. */
const QUIET: Record<Kind, number> = { audio: 2, video: 3 };

/** Receives what one participant publishes. */
export class Subscription {
  readonly connection: Connection;
  readonly #meter = new Meter('inbound');
  readonly #quiet: Record<Kind, number> = { audio: 0, video: 0 };

  /** `target` says where to subscribe; `changed` is as in Connection. */
  constructor(
    private readonly member: Member,
    readonly type: Exclude<SubscribeType, 'none'>,
    target: () => Promise<Omit<SessionPlan, 'prepare'>>,
    changed: (state: ConnectionState, error?: StageError) => void,
  ) {
    this.connection = new Connection(async () => ({ ...await target(), prepare: (peer) => this.#prepare(peer) }), changed);
  }

  /** Renews the participant's statistics, and tells whether sound or pictures came or went. */
  async measure(): Promise<boolean> {
    const peer = this.connection.session?.peer;
    const stats = peer ? await this.#meter.read(peer) : null;
    const { member } = this;
    member.stats = stats;
    if (!stats) return false;
    const before = [member.audioMuted, member.videoStopped];
    for (const kind of ['audio', 'video'] as const) this.#quiet[kind] = stats.packets[kind] > 0 ? 0 : this.#quiet[kind] + 1;
    if (stats.packets.audio > 0) member.audioMuted = false;
    else if (this.#quiet.audio >= QUIET.audio) member.audioMuted = true;
    if (stats.packets.video > 0) member.videoStopped = false;
    else if (this.#quiet.video >= QUIET.video) member.videoStopped = true;
    return member.audioMuted !== before[0] || member.videoStopped !== before[1];
  }

  #prepare(peer: RTCPeerConnection): void {
    peer.addEventListener('track', ({ track }) => this.member.setTrack(track.kind as Kind, track));
    peer.addTransceiver('audio', { direction: 'recvonly' });
    if (this.type === 'audio-video') preferH264(peer.addTransceiver('video', { direction: 'recvonly' }));
  }
}
