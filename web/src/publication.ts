import { preferH264 } from './codecs.js';
import { Connection, type ConnectionState } from './connection.js';
import { StageError } from './errors.js';
import { Meter } from './meter.js';
import type { Kind, Member } from './participant.js';
import { startAt } from './sdp.js';
import type { SessionPlan } from './session.js';

/** What is sent at first, in bits a second, before it is known what the network takes. */
const START = 1_200_000;

/** How to publish. */
export interface PublishOptions {
  /** Of the picture, in bits a second; 2,500,000 when not set. */
  readonly maxBitrate?: number;
  /** In pictures a second; what the track brings when not set. */
  readonly maxFramerate?: number;
  /** What is larger is made smaller: 720 stands for 1280 × 720, either way up, and is what stages take when not told otherwise. */
  readonly maxResolution?: 720 | 1080;
  /** Of the sound, in bits a second; 64,000 when not set. */
  readonly audioBitrate?: number;
}

/**
 * What this page publishes. The offer has a section for sound and one for pictures, whether there are tracks or not, so
 * that tracks can come, go and change without another offer.
 */
export class Publication {
  readonly connection: Connection;
  readonly #meter = new Meter('outbound');
  readonly #senders: Record<Kind, RTCRtpSender | null> = { audio: null, video: null };
  readonly #tracks: Record<Kind, MediaStreamTrack | null> = { audio: null, video: null };
  readonly #muted: Record<Kind, boolean> = { audio: false, video: false };

  /** `target` says where to publish; `changed` is as in Connection. */
  constructor(
    private readonly member: Member,
    tracks: readonly MediaStreamTrack[],
    private readonly options: PublishOptions,
    target: () => Promise<Omit<SessionPlan, 'prepare'>>,
    changed: (state: ConnectionState, error?: StageError) => void,
  ) {
    for (const track of tracks) this.#tracks[track.kind as Kind] = track;
    this.#show();
    this.connection = new Connection(async () => ({
      ...await target(),
      prepare: (peer) => this.#prepare(peer),
      amend: (answer) => startAt(answer, Math.min(this.#maxBitrate, START)),
    }), changed);
  }

  /** Sends another track from now on, or none. */
  async replaceTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (track && track.kind !== kind) throw new StageError('UNSUPPORTED', `a track of ${track.kind} cannot be sent as ${kind}`);
    this.#tracks[kind] = track;
    this.#show();
    await this.#send(kind);
  }

  /** Sends nothing of a kind while it is muted; the track is left as it is. */
  async mute(kind: Kind, muted: boolean): Promise<void> {
    this.#muted[kind] = muted;
    this.#show();
    await this.#send(kind);
  }

  async measure(): Promise<void> {
    await this.#fit();
    const peer = this.connection.session?.peer;
    this.member.stats = peer ? await this.#meter.read(peer) : null;
  }

  get #maxBitrate(): number { return this.options.maxBitrate ?? 2_500_000; }

  #prepare(peer: RTCPeerConnection): void {
    const { maxFramerate, audioBitrate = 64_000 } = this.options;
    const add = (kind: Kind, encoding: RTCRtpEncodingParameters): RTCRtpTransceiver => {
      const transceiver = peer.addTransceiver(this.#sent(kind) ?? kind, { direction: 'sendonly', sendEncodings: [encoding] });
      this.#senders[kind] = transceiver.sender;
      return transceiver;
    };
    add('audio', { maxBitrate: audioBitrate });
    preferH264(add('video', { maxBitrate: this.#maxBitrate, ...(maxFramerate ? { maxFramerate } : {}), scaleResolutionDownBy: this.#scale() }));
  }

  #sent(kind: Kind): MediaStreamTrack | null {
    return this.#muted[kind] ? null : this.#tracks[kind];
  }

  async #send(kind: Kind): Promise<void> {
    if (this.connection.state === 'closed') return;
    if (kind === 'video') await this.#fit();
    await this.#senders[kind]?.replaceTrack(this.#sent(kind));
  }

  /** By how much the picture must be made smaller: a camera may be turned, and a shared window grow. */
  #scale(): number {
    const { width = 0, height = 0 } = this.#tracks.video?.getSettings() ?? {};
    const short = this.options.maxResolution ?? 720;
    return Math.max(1, Math.min(width, height) / short, Math.max(width, height) / (short * 16 / 9));
  }

  async #fit(): Promise<void> {
    const sender = this.#senders.video;
    const scale = this.#scale();
    const parameters = sender?.getParameters();
    const encoding = parameters?.encodings[0];
    if (!encoding || (encoding.scaleResolutionDownBy ?? 1) === scale) return;
    encoding.scaleResolutionDownBy = scale;
    await sender!.setParameters(parameters!).catch(() => {}); // the next round may do better
  }

  #show(): void {
    for (const kind of ['audio', 'video'] as const) this.member.setTrack(kind, this.#tracks[kind]);
    this.member.audioMuted = !this.#sent('audio');
    this.member.videoStopped = !this.#sent('video');
  }
}
