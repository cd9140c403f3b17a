import type { MediaStats } from './meter.js';

export type Kind = 'audio' | 'video';

/** Somebody in a stage, as of now: its members change, and the stage's events tell when. */
export interface Participant {
  readonly id: string;
  readonly userId: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** It is the one whose token this page has. */
  readonly isLocal: boolean;
  /** Its media are there for all who subscribe. */
  readonly isPublishing: boolean;
  /** What is received of it, or sent by us. It is the same object for as long as the participant is there, with changing tracks. */
  readonly stream: MediaStream;
  /** Where media is received, or sent: whether it can flow, or still is to; 'none' when there is nothing to receive or send. */
  readonly streaming: 'none' | 'connecting' | 'connected';
  /** No sound comes, or is sent. */
  readonly audioMuted: boolean;
  /** No picture comes, or is sent. */
  readonly videoStopped: boolean;
  /** Renewed every second; null while nothing is known. */
  readonly stats: MediaStats | null;
}

/** A participant as its stage knows it. */
export class Member implements Participant {
  userId = '';
  attributes: Readonly<Record<string, string>> = {};
  isPublishing = false;
  streaming: 'none' | 'connecting' | 'connected' = 'none';
  audioMuted = true;
  videoStopped = true;
  stats: MediaStats | null = null;
  readonly stream = new MediaStream();

  constructor(readonly id: string, readonly isLocal: boolean) {}

  /** Puts a track in the place of the one of its kind; null takes that away. */
  setTrack(kind: Kind, track: MediaStreamTrack | null): void {
    for (const old of this.stream.getTracks()) if (old.kind === kind && old !== track) this.stream.removeTrack(old);
    if (track) this.stream.addTrack(track);
  }
}
