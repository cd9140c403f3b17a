import { StageError } from './errors.js';

/** What a participant token says. Only the server can tell whether it is good. */
export interface Claims {
  /** Of the stage, the last part of its ARN. */
  readonly stageId: string;
  readonly participantId: string;
  readonly userId: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly canPublish: boolean;
  readonly canSubscribe: boolean;
  readonly expires: Date;
  readonly eventsUrl: string;
  readonly whipUrl: string;
}

/**
 * Reads the payload of a participant token, a JWT (RFC 7519). Throws a StageError where it is none. What is one has only
 * characters that may stand in a header and name a sub-protocol.
 */
export function readToken(token: string): Claims {
  const [, payload = ''] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token) ?? [];
  let claims: Record<string, unknown>;
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    claims = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof claims !== 'object' || claims === null) throw new Error();
  } catch {
    throw new StageError('TOKEN_MALFORMED', 'the token is not a participant token');
  }
  const text = (name: string): string => {
    const value = claims[name];
    if (typeof value !== 'string' || value === '') throw new StageError('TOKEN_MALFORMED', `the token lacks ${name}`);
    return value;
  };
  const url = (name: string, protocols: string[]): string => {
    const value = text(name);
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
      throw new StageError('TOKEN_MALFORMED', `the token's ${name} is not a URL that can be used`);
    }
    return value;
  };
  const may = claims.capabilities as Record<string, unknown> | undefined;
  return {
    stageId: text('topic'),
    participantId: text('jti'),
    userId: typeof claims.user_id === 'string' ? claims.user_id : '',
    attributes: strings(claims.attributes),
    canPublish: may?.allow_publish === true,
    canSubscribe: may?.allow_subscribe === true,
    expires: new Date(1000 * Number(claims.exp)),
    eventsUrl: url('events_url', ['ws:', 'wss:']),
    whipUrl: url('whip_url', ['http:', 'https:']),
  };
}

/** The members of an object that are strings. */
export function strings(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
