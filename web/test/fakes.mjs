// A browser and a server that are not there, and a clock that goes when it is told to.
import { mock } from 'node:test';

export const whipUrl = 'https://stage.example/whip';
export const eventsUrl = 'wss://stage.example/events';

export function tokenOf(claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return [part({ alg: 'HS256', typ: 'JWT' }), part({
    exp: 1893459600, iat: 1893456000, jti: 'me', resource: 'arn:aws:ivs:eu-central-1:111122223333:stage/Qw3rTy7uIoP1', topic: 'Qw3rTy7uIoP1',
    events_url: eventsUrl, whip_url: whipUrl, user_id: 'zoë', attributes: { role: 'host' },
    capabilities: { allow_publish: true, allow_subscribe: true }, version: '1.0', ...claims,
  }), 'c2lnbmF0dXJl'].join('.');
}

// --- the clock --------------------------------------------------------------

let now = 0;

const settle = () => new Promise((done) => setImmediate(done));

// Lets time pass, and all that waits for it happen.
export async function pass(milliseconds) {
  await settle();
  for (let left = milliseconds; left > 0; left -= 50) {
    now += Math.min(50, left);
    mock.timers.tick(Math.min(50, left));
    await settle();
  }
}

// --- the server -------------------------------------------------------------

export class Server {
  requests = []; // method, path, headers and body of each
  refusals = new Map(); // by method and path: the status and the body that it is refused with, once or as often as told
  link = null; // header of OPTIONS
  sockets = [];
  deaf = false; // opens no socket
  barred = false; // the browser has none for it
  #sessions = 0;

  get lines() { return this.requests.map(({ method, path }) => `${method} ${path}`); }
  count(line) { return this.lines.filter((each) => each === line).length; }

  refuse(line, status, body = {}, times = Infinity) { this.refusals.set(line, { status, body, times }); }

  async fetch(url, { method, headers, body, keepalive }) {
    const path = new URL(url).pathname;
    const line = `${method} ${path}`;
    this.requests.push({ method, path, url, headers, body, keepalive });
    await settle();
    const refusal = this.refusals.get(line);
    if (refusal && refusal.times-- > 0) {
      if (refusal.status === 0) throw new TypeError('fetch failed');
      return new Response(JSON.stringify(refusal.body), { status: refusal.status });
    }
    if (method === 'OPTIONS') return new Response(null, { status: 200, headers: this.link ? { Link: this.link } : {} });
    if (method === 'POST') {
      const id = ++this.#sessions;
      return new Response(`v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:server${id}\r\na=ice-pwd:secret\r\n`,
        { status: 201, headers: { Location: `/whip/session/me/${id}`, ETag: `"${id}"` } });
    }
    if (method === 'PATCH' && headers['If-Match'] === '*') {
      return new Response('a=ice-ufrag:again\r\na=ice-pwd:secret2\r\na=candidate:9 1 udp 1 192.0.2.1 7081 typ host\r\n', { status: 200, headers: { ETag: '"2-1"' } });
    }
    return new Response(null, { status: method === 'PATCH' ? 204 : 200 });
  }

  // What is told to whoever listens.
  state(...participants) {
    for (const socket of this.sockets) socket.receive({ type: 'STAGE_STATE', payload: { stageId: 'Qw3rTy7uIoP1', participants } });
  }

  left(reason) { for (const socket of [...this.sockets]) socket.receive({ type: 'LEFT', payload: { reason } }); }
}

export const seen = (id, isPublishing = false, more = {}) => ({ id, userId: `user ${id}`, attributes: {}, isPublishing, ...more });

// --- the browser ------------------------------------------------------------

let server;

class Socket {
  static OPEN = 1;
  readyState = 0;
  sent = [];
  constructor(url, protocols) {
    if (server.barred) throw new DOMException('insecure', 'SecurityError');
    Object.assign(this, { url, protocols });
    if (server.deaf) setImmediate(() => this.closed());
    else setImmediate(() => this.open());
  }
  open() {
    this.readyState = 1;
    server.sockets.push(this);
    this.onopen?.();
  }
  send(text) { this.sent.push(text); }
  receive(message) { this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) }); }
  close() { setImmediate(() => this.closed()); }
  closed() {
    this.readyState = 3;
    server.sockets = server.sockets.filter((socket) => socket !== this);
    this.onclose?.();
  }
}

export class Track {
  constructor(kind, settings = {}) { Object.assign(this, { kind, settings }); }
  getSettings() { return this.settings; }
}

class Stream {
  #tracks = new Set();
  constructor(tracks = []) { for (const track of tracks) this.addTrack(track); }
  getTracks() { return [...this.#tracks]; }
  addTrack(track) { this.#tracks.add(track); }
  removeTrack(track) { this.#tracks.delete(track); }
}

export class Peer extends EventTarget {
  static all = [];
  static reachable = true; // by the server
  static gathers = true; // candidates at once

  connectionState = 'new';
  iceConnectionState = 'new';
  iceGatheringState = 'new';
  localDescription = null;
  remoteDescription = null;
  transceivers = [];
  stats = [];
  #generation = 0;

  constructor(config) {
    super();
    this.config = config;
    Peer.all.push(this);
  }

  static get newest() { return Peer.all.at(-1); }

  addTransceiver(what, init) {
    const sender = {
      track: typeof what === 'string' ? null : what,
      transport: Object.assign(new EventTarget(), { state: 'connected' }),
      parameters: { encodings: structuredClone(init.sendEncodings ?? []) },
      replaceTrack: async (track) => { sender.track = track; },
      getParameters: () => structuredClone(sender.parameters),
      setParameters: async (parameters) => { sender.parameters = parameters; },
    };
    const transceiver = { kind: typeof what === 'string' ? what : what.kind, direction: init.direction, sender, setCodecPreferences: (codecs) => { transceiver.codecs = codecs; } };
    this.transceivers.push(transceiver);
    return transceiver;
  }
  getTransceivers() { return this.transceivers; }

  async createOffer({ iceRestart = false } = {}) {
    if (iceRestart) this.#generation++;
    return { type: 'offer', sdp: `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:client${this.#generation}\r\na=ice-pwd:hidden\r\n` };
  }

  async setLocalDescription(description) {
    this.localDescription = { ...description };
    this.iceGatheringState = 'gathering';
    if (Peer.gathers) this.gathered(1);
  }

  gathered(n, complete = true) {
    this.localDescription.sdp += `a=candidate:${n} 1 udp 1 192.0.2.7 5000${n} typ host\r\n`;
    if (complete) this.iceGatheringState = 'complete';
    this.dispatchEvent(new Event('icegatheringstatechange'));
    this.dispatchEvent(new Event('icecandidate'));
  }

  async setRemoteDescription(description) {
    this.remoteDescription = description;
    for (const { kind, direction } of this.transceivers) {
      if (direction === 'recvonly') this.dispatchEvent(Object.assign(new Event('track'), { track: new Track(kind) }));
    }
    if (Peer.reachable) setImmediate(() => this.turn('connected'));
  }

  turn(state, ice = state) {
    if (this.connectionState === 'closed') return;
    [this.connectionState, this.iceConnectionState] = [state, ice];
    this.dispatchEvent(new Event('iceconnectionstatechange'));
    this.dispatchEvent(new Event('connectionstatechange'));
  }

  async getStats() { return new Map(this.stats.map((each) => [each.id, { timestamp: 1e12 + now, ...each }])); }
  close() { this.connectionState = this.iceConnectionState = 'closed'; }
}

export const codecs = [
  { mimeType: 'video/VP8' },
  { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0;profile-level-id=42e01f' },
  { mimeType: 'video/rtx' },
  { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=42e01f' },
];

// Begins anew: a server, a browser without a page, and a clock at zero.
export function world() {
  server = new Server();
  Object.assign(Peer, { all: [], reachable: true, gathers: true });
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  now = 0;
  performance.now = () => now;
  Math.random = () => 0;
  Object.assign(globalThis, {
    fetch: (url, request) => server.fetch(url, request),
    WebSocket: Socket, MediaStream: Stream, RTCPeerConnection: Peer,
    RTCRtpReceiver: { getCapabilities: () => ({ codecs }) },
  });
  return server;
}
