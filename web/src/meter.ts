/** How media of one participant is doing: over the last second or so where it is a rate. */
export interface MediaStats {
  /** Bits a second, sound and picture together. */
  readonly bitrate: number;
  /** The share of packets that were lost on the way, from 0 to 1. Most are sent again and do no harm. */
  readonly loss: number;
  /** To the server and back, in seconds; null when it is not known. */
  readonly roundTrip: number | null;
  /** Of the picture, in pixels; 0 when there is none. */
  readonly width: number;
  readonly height: number;
  readonly framesPerSecond: number;
  /** Packets since the last measurement. */
  readonly packets: Readonly<Record<'audio' | 'video', number>>;
}

interface Count { bytes: number; packets: number; lost: number }

/** Reads the statistics of peer connections (W3C webrtc-stats), the one way or the other. */
export class Meter {
  #peer: RTCPeerConnection | null = null;
  #at = 0;
  #counted = new Map<string, Count>();

  constructor(private readonly direction: 'inbound' | 'outbound') {}

  /** Null when it is the first measurement of a connection. */
  async read(peer: RTCPeerConnection): Promise<MediaStats | null> {
    const stats = [...(await peer.getStats()).values()] as Statistic[];
    const now = Math.max(...stats.map(({ timestamp }) => timestamp), 0); // they may be older than the answer
    const [counted, seconds, first] = [this.#counted, (now - this.#at) / 1000, this.#peer !== peer];
    [this.#peer, this.#at, this.#counted] = [peer, now, new Map()];

    const lossAtServer = new Map<string, number>();
    for (const s of stats) if (s.type === 'remote-inbound-rtp') lossAtServer.set(s.localId ?? '', s.packetsLost ?? 0);
    const sum: Count = { bytes: 0, packets: 0, lost: 0 };
    const packets = { audio: 0, video: 0 };
    let [width, height, framesPerSecond, roundTrip]: [number, number, number, number | null] = [0, 0, 0, null];
    for (const s of stats) {
      if (s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded') roundTrip = s.currentRoundTripTime ?? roundTrip;
      if (s.type !== `${this.direction}-rtp`) continue;
      const count: Count = this.direction === 'inbound'
        ? { bytes: s.bytesReceived ?? 0, packets: s.packetsReceived ?? 0, lost: s.packetsLost ?? 0 }
        : { bytes: s.bytesSent ?? 0, packets: s.packetsSent ?? 0, lost: lossAtServer.get(s.id) ?? 0 };
      this.#counted.set(s.id, count);
      const before = counted.get(s.id) ?? { bytes: 0, packets: 0, lost: 0 };
      sum.bytes += count.bytes - before.bytes;
      sum.packets += count.packets - before.packets;
      sum.lost += count.lost - before.lost; // fewer than before, where a packet came late
      if (s.kind === 'audio' || s.kind === 'video') packets[s.kind] += count.packets - before.packets;
      if (s.kind !== 'video') continue;
      width = Math.max(width, s.frameWidth ?? 0);
      height = Math.max(height, s.frameHeight ?? 0);
      framesPerSecond = Math.max(framesPerSecond, s.framesPerSecond ?? 0);
    }
    if (first || seconds <= 0) return null;
    const lost = Math.max(0, sum.lost);
    const expected = this.direction === 'inbound' ? sum.packets + lost : sum.packets;
    return {
      bitrate: Math.max(0, (8 * sum.bytes) / seconds),
      loss: expected > 0 ? Math.min(1, lost / expected) : 0,
      roundTrip, width, height, framesPerSecond, packets,
    };
  }
}

/** The members of the statistics that are read here. */
interface Statistic {
  readonly id: string;
  /** In milliseconds. */
  readonly timestamp: number;
  readonly type: string;
  readonly kind?: string;
  readonly localId?: string;
  readonly state?: string;
  readonly nominated?: boolean;
  readonly currentRoundTripTime?: number;
  readonly bytesReceived?: number;
  readonly packetsReceived?: number;
  readonly packetsLost?: number;
  readonly bytesSent?: number;
  readonly packetsSent?: number;
  readonly frameWidth?: number;
  readonly frameHeight?: number;
  readonly framesPerSecond?: number;
}
