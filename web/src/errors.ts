/**
 * Why a stage refused something, or could not be reached.
 *
 * `code` is the server's, such as INSUFFICIENT_CAPABILITIES, PUBLISHER_NOT_FOUND or QUOTA_EXCEEDED, where it told
 * one. Of our own making are TOKEN_MALFORMED, NETWORK (no answer), TIMEOUT (no connection), PROTOCOL (an answer that
 * makes no sense), UNSUPPORTED (the browser lacks H.264), CLOSED (the page ended it before it came about) and, for
 * anything else that was refused, REFUSED.
 */
export class StageError extends Error {
  override readonly name = 'StageError';

  /** `status` is that of HTTP, 0 when there was no answer. */
  constructor(readonly code: string, message: string, readonly status = 0) {
    super(message);
  }

  /**
   * Trying again will not help: what was asked is refused, not late or too much at the moment. A publisher that is
   * not found may just not be there yet.
   */
  get final(): boolean {
    if (this.status === 0) return this.code === 'TOKEN_MALFORMED' || this.code === 'UNSUPPORTED';
    return this.status >= 400 && this.status < 500 && ![404, 408, 409, 412, 425, 429].includes(this.status);
  }
}

/** Makes an error of an answer that refuses. The body may be the server's JSON, or anything that a proxy says. */
export async function refusal(answer: Response): Promise<StageError> {
  let code = 'REFUSED';
  let message = `the server answers ${[answer.status, answer.statusText].join(' ').trim()}`;
  try {
    const body: unknown = await answer.json();
    if (typeof body === 'object' && body !== null) {
      if ('errorCode' in body && typeof body.errorCode === 'string' && body.errorCode !== '') code = body.errorCode;
      if ('message' in body && typeof body.message === 'string' && body.message !== '') message = body.message;
    }
  } catch { /* the status says enough */ }
  return new StageError(code, message, answer.status);
}

/** What `error` is, as a StageError. */
export function asStageError(error: unknown): StageError {
  if (error instanceof StageError) return error;
  return new StageError('NETWORK', error instanceof Error ? error.message : String(error));
}
