/**
 * The body of a response in chunks of one size, through one buffer that is used again.
 *
 * Reading into a buffer of one's own is twice as fast as `arrayBuffer()` in Chromium; where a browser cannot do it, chunks
 * are put together from what its stream gives.
 */

export const CHUNK_BYTES = 2 << 20;

/** Yields Uint8Arrays of CHUNK_BYTES, the last one shorter. Each is valid until the next one is asked for. */
export async function* chunksOf(response) {
  if (!response.body) {
    yield new Uint8Array(await response.arrayBuffer());
    return;
  }
  const reader = byteReader(response.body);
  yield* reader ? filled(reader) : gathered(response.body.getReader());
}

function byteReader(stream) {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return null; // this browser's responses are no byte streams
  }
}

async function* filled(reader) {
  let buffer = new ArrayBuffer(CHUNK_BYTES), length = 0;
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer, length));
    if (value) {
      buffer = value.buffer; // the buffer travels with each read
      length += value.byteLength;
    }
    if (length === CHUNK_BYTES || (done && length > 0)) {
      yield new Uint8Array(buffer, 0, length);
      length = 0;
    }
    if (done) return;
  }
}

async function* gathered(reader) {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let length = 0;
  for (;;) {
    const { done, value = new Uint8Array() } = await reader.read();
    for (let at = 0; at < value.length; ) {
      const count = Math.min(CHUNK_BYTES - length, value.length - at);
      chunk.set(value.subarray(at, at + count), length);
      at += count;
      length += count;
      if (length === CHUNK_BYTES) {
        yield chunk;
        length = 0;
      }
    }
    if (done) {
      if (length > 0) yield chunk.subarray(0, length);
      return;
    }
  }
}
