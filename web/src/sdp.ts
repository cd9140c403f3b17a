/** The ICE credentials of one side, in one generation. */
export interface Credentials {
  readonly ufrag: string;
  readonly pwd: string;
}

const lines = (sdp: string): string[] => sdp.split(/\r?\n/).filter((line) => line !== '');
const attribute = (sdp: string, name: string): string | undefined =>
  lines(sdp).find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);

/** The first credentials in a description or a fragment; null when there are none. With BUNDLE all sections have the same. */
export function credentialsOf(sdp: string): Credentials | null {
  const [ufrag, pwd] = [attribute(sdp, 'ice-ufrag'), attribute(sdp, 'ice-pwd')];
  return ufrag && pwd ? { ufrag, pwd } : null;
}

/** The candidates of a description's first section, which are those of all sections (RFC 8843 §7.1.3), as lines. */
export function candidatesOf(sdp: string): string[] {
  const found = lines(sdp.split(/^m=/m)[1] ?? '').filter((line) => line.startsWith('a=candidate:'));
  return found.map((line) => line.slice(2));
}

/**
 * A fragment (RFC 8840 §4) that tells of candidates of `description`, which is ours: its first section, by its m= line
 * and mid, as RFC 9725 §4.3.2 wants them.
 */
export function fragmentOf(description: string, candidates: readonly string[], complete: boolean): string {
  const section = description.split(/^(?=m=)/m)[1] ?? '';
  const { ufrag, pwd } = credentialsOf(section) ?? credentialsOf(description) ?? { ufrag: '', pwd: '' };
  return [
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    lines(section)[0],
    `a=mid:${attribute(section, 'mid') ?? '0'}`,
    ...candidates.map((candidate) => `a=${candidate}`),
    ...(complete ? ['a=end-of-candidates'] : []),
    '',
  ].join('\r\n');
}

/**
 * The remote description after an ICE restart: `description` with the credentials and candidates of the fragment that
 * the server answered with (RFC 9725 §4.3.3). Null when the fragment has no credentials.
 */
export function restarted(description: string, fragment: string): string | null {
  const fresh = credentialsOf(fragment);
  if (!fresh) return null;
  const candidates = lines(fragment).filter((line) => /^a=(candidate:|end-of-candidates)/.test(line));
  const old = /^a=(ice-ufrag:|ice-pwd:|candidate:|end-of-candidates)/;
  const [session, ...sections] = description.split(/^(?=m=)/m);
  const renewed = sections.map((section) => [
    ...lines(section).filter((line) => !old.test(line)),
    `a=ice-ufrag:${fresh.ufrag}`,
    `a=ice-pwd:${fresh.pwd}`,
    ...candidates,
  ]);
  return [...lines(session ?? '').filter((line) => !old.test(line)), ...renewed.flat(), ''].join('\r\n');
}

/**
 * Has Chromium begin to send pictures at so many bits a second, where it would try to find out for ten seconds from a
 * tenth of that, in a small picture. Other browsers take no notice.
 */
export function startAt(answer: string, bitsPerSecond: number): string {
  const [session, ...sections] = answer.split(/^(?=m=)/m);
  const video = sections.map((section) => {
    if (!section.startsWith('m=video')) return section;
    const h264 = [...section.matchAll(/^a=rtpmap:(\d+) H264\//gim)].map(([, type]) => type);
    return section.replace(/^a=fmtp:(\d+) [^\r\n]*/gm, (line, type) =>
      h264.includes(type) ? `${line};x-google-start-bitrate=${Math.round(bitsPerSecond / 1000)}` : line);
  });
  return [session, ...video].join('');
}
