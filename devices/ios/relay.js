/**
 * A `fetch` for a page that cannot reach the computer: requests wait here until the computer takes them, over the debugger,
 * and its answers come back in pieces. Evaluated in the page as it is; it must know nothing of the player.
 */
(() => {
  const waiting = []; // {id, url, method, headers, body}: not taken yet
  const open = new Map(); // id -> {resolve, reject, status, headers, parts}
  let latest = 0;

  /** As `fetch`, for bodies that are text. Rejects with a TypeError where nobody answers, as `fetch` does. */
  function relayFetch(url, { method = "GET", headers = {}, body = null } = {}) {
    return new Promise((resolve, reject) => {
      const id = ++latest;
      open.set(id, { resolve, reject, parts: [] });
      waiting.push({ id, url: String(url), method, headers, body });
    });
  }

  function bytesOf(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  /** The requests that wait. */
  const take = () => waiting.splice(0);

  /** A piece of an answer, in base64; the last one completes it. Returns the requests that wait. */
  function give(id, text, answer) {
    const request = open.get(id);
    if (request) {
      if (text) request.parts.push(bytesOf(text));
      if (answer) {
        open.delete(id);
        const empty = answer.status === 204 || answer.status === 304; // may have no body, not even an empty one
        request.resolve(new Response(empty ? null : new Blob(request.parts), answer));
      }
    }
    return take();
  }

  /** Nobody answered. Returns the requests that wait. */
  function fail(id, reason) {
    open.get(id)?.reject(new TypeError(reason));
    open.delete(id);
    return take();
  }

  globalThis.tritmarkRelay = { fetch: relayFetch, take, give, fail };
})()
