import { asStageError, refusal, StageError } from './errors.js';

/** How long an answer may take, in milliseconds. */
const PATIENCE = 10_000;

/** What a session's making brought. */
export interface Created {
  readonly session: SessionResource;
  readonly answer: string;
}

/** Talks WHIP (RFC 9725) to a server, and what is like it for subscribing. Failures are StageErrors. */
export class Whip {
  constructor(private readonly token: string) {}

  /** Sends an offer to publish or to subscribe. */
  async create(url: string, offer: string): Promise<Created> {
    const answer = await this.send(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: offer });
    const place = answer.headers.get('Location');
    if (answer.status !== 201 || !place) throw new StageError('PROTOCOL', `${url} answers without a session`, answer.status);
    const session = new SessionResource(this, new URL(place, answer.url || url).href, answer.headers.get('ETag'));
    return { session, answer: await body(answer) };
  }

  /** Asks which STUN and TURN servers to use (RFC 9725 §4.6). Who may not join is refused here, in words. */
  async iceServers(url: string): Promise<RTCIceServer[]> {
    const answer = await this.send(url, { method: 'OPTIONS' });
    return iceServers(answer.headers.get('Link') ?? '');
  }

  /** Sends a request, and waits for an answer that does not refuse it. */
  async send(url: string, request: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(url, {
        ...request,
        headers: { ...request.headers, Authorization: `Bearer ${this.token}` },
        credentials: 'omit',
        cache: 'no-store',
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      throw new StageError('NETWORK', `${new URL(url).origin} does not answer: ${asStageError(error).message}`);
    }
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }
}

/** The resource of a session, where it is changed and ended. */
export class SessionResource {
  #etag: string | null;

  constructor(private readonly whip: Whip, private readonly url: string, etag: string | null) {
    this.#etag = etag;
  }

  /** Tells of candidates (RFC 9725 §4.3.2). */
  async trickle(fragment: string): Promise<void> {
    await this.#patch(fragment, this.#etag);
  }

  /** Restarts ICE with our new credentials and candidates, and returns the server's (RFC 9725 §4.3.3). */
  async restart(fragment: string): Promise<string> {
    const answer = await this.#patch(fragment, '*');
    const etag = answer.headers.get('ETag');
    if (answer.status !== 200 || !etag) throw new StageError('PROTOCOL', 'ICE was not restarted', answer.status);
    this.#etag = etag;
    return body(answer);
  }

  /** Ends the session, also while the page is closed. One that has already ended is no error. */
  async end(): Promise<void> {
    await this.whip.send(this.url, { method: 'DELETE', keepalive: true }).catch(() => {});
  }

  #patch(fragment: string, ifMatch: string | null): Promise<Response> {
    const headers: Record<string, string> = { 'Content-Type': 'application/trickle-ice-sdpfrag' };
    if (ifMatch) headers['If-Match'] = ifMatch;
    return this.whip.send(this.url, { method: 'PATCH', headers, body: fragment });
  }
}

async function body(answer: Response): Promise<string> {
  try {
    return await answer.text();
  } catch (error) {
    throw asStageError(error); // torn off
  }
}

/** Reads the ICE servers of a Link header (RFC 8288 §3): `<turn:host>; rel="ice-server"; username="…"; credential="…", …`. */
export function iceServers(header: string): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const [, url = '', rest = ''] of header.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+(?:\s*=\s*(?:"(?:\\.|[^"\\])*"|[^\s";,]+))?)*)/g)) {
    const parameters = new Map<string, string>();
    for (const [, name = '', quoted, plain] of rest.matchAll(/;\s*([\w-]+)(?:\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s";,]+)))?/g)) {
      parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
    }
    const relations = (parameters.get('rel') ?? 'ice-server').split(/\s+/);
    if (!relations.includes('ice-server') || !/^(stun|turn)s?:/i.test(url)) continue;
    const [username, credential] = [parameters.get('username'), parameters.get('credential')];
    servers.push(username !== undefined && credential !== undefined ? { urls: url, username, credential } : { urls: url });
  }
  return servers;
}
