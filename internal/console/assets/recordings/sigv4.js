// Signs GET requests with AWS Signature Version 4. The secret stays in the
// page: what is sent is a keyed hash over the request.

const utf8 = new TextEncoder();
const hex = (bytes) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, '0')).join('');
const sha256 = async (text) => hex(await crypto.subtle.digest('SHA-256', utf8.encode(text)));

async function hmac(key, text) {
  const imported = await crypto.subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return crypto.subtle.sign('HMAC', imported, utf8.encode(text));
}

// What encodeURIComponent leaves as it is, but RFC 3986 reserves.
const escape = (s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

// Browsers have WebCrypto on encrypted pages and on localhost only.
export const canSign = globalThis.crypto?.subtle !== undefined;

// The query of a URL, its pairs in the order and the form in which they are signed.
export function canonicalQuery(pairs) {
  const escaped = [...pairs].map(([name, value]) => [escape(name), escape(value)]);
  // By code, as the characters of what is escaped are ASCII alone.
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return escaped.sort(([a, x], [b, y]) => order(a, b) || order(x, y)).map((pair) => pair.join('=')).join('&');
}

// Resolves to the headers of a GET without a body.
//
//   keys   {id, secret}: the access key
//   scope  {region, service}
//   host   as the browser sends it
//   path   as the server sees it, escaped
//   query  of canonicalQuery
//   date   a Date
export async function sign(keys, scope, { host, path, query, date }) {
  const at = date.toISOString().replace(/[-:]|\.\d+/g, '');
  const credential = [at.slice(0, 8), scope.region, scope.service, 'aws4_request'];
  // A path is escaped once more, but for its slashes.
  const canonical = ['GET', path.split('/').map(escape).join('/'), query,
    `host:${host}`, `x-amz-date:${at}`, '', 'host;x-amz-date', await sha256('')];
  const text = ['AWS4-HMAC-SHA256', at, credential.join('/'), await sha256(canonical.join('\n'))];
  let key = utf8.encode(`AWS4${keys.secret}`);
  for (const step of credential) key = await hmac(key, step);
  const signature = hex(await hmac(key, text.join('\n')));
  return {
    'X-Amz-Date': at,
    Authorization: `AWS4-HMAC-SHA256 Credential=${keys.id}/${credential.join('/')}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  };
}
