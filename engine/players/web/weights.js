/**
 * Streams weights into GPU buffers, span by span; the next span is asked for while one is written.
 *
 * A span is a stretch of a weight file that holds parts of one or many slots: a request for each slot would take longer
 * than its bytes. A byte source is `open(file, offset, size) -> Promise<Response>`, whose body is those bytes.
 */

import { chunksOf } from "./chunks.js";

export const SPAN_BYTES = 16 << 20;
const SETTLE_BYTES = 32 << 20; // browsers queue writes in memory: at most twice as many are under way

/** Writes every weight slot; `progress(doneBytes, totalBytes)` after each chunk. Rejects for a source that is short. */
export async function uploadWeights(device, plan, buffers, source, progress) {
  const spans = spansOf(plan);
  const totalBytes = spans.reduce((sum, span) => sum + span.size, 0);
  const ask = (at) => {
    const response = at < spans.length ? source.open(spans[at].file, spans[at].offset, spans[at].size) : null;
    response?.catch(() => {}); // a failure is met when its turn comes
    return response;
  };
  let doneBytes = 0, queuedBytes = 0, coming = ask(0), settled = null;
  for (let at = 0; at < spans.length; at++) {
    const response = await coming;
    coming = ask(at + 1);
    for await (const bytes of pour(device, buffers, spans[at], response)) {
      doneBytes += bytes;
      queuedBytes += bytes;
      if (queuedBytes >= SETTLE_BYTES) {
        await settled; // of the bytes before these: the device writes while more come
        settled = device.queue.onSubmittedWorkDone();
        queuedBytes = 0;
      }
      progress(doneBytes, totalBytes);
    }
  }
}

/** Writes the body of `response` where the parts of `span` belong; yields the bytes of each chunk. */
async function* pour(device, buffers, span, response) {
  const wrong = () => new Error(`the weight file gave other than the ${span.size} bytes that were asked for ${span.parts[0].slot}`);
  let part = 0, done = 0, total = 0; // which part, bytes of it that are written, bytes of the span
  for await (const chunk of chunksOf(response)) {
    total += chunk.byteLength;
    if (total > span.size) throw wrong();
    for (let from = 0; from < chunk.byteLength; ) {
      const { slot, at, size } = span.parts[part];
      const count = Math.min(size - done, chunk.byteLength - from);
      device.queue.writeBuffer(buffers.get(slot), at + done, chunk, from, count);
      from += count;
      done += count;
      if (done === size) [part, done] = [part + 1, 0];
    }
    yield chunk.byteLength;
  }
  if (total !== span.size) throw wrong();
}

/** Stretches of weight files in the order of the slots, and where their bytes go: `size` bytes to byte `at` of `slot`. */
function spansOf(plan) {
  const spans = [];
  for (const slot of plan.slots) {
    let at = 0;
    for (const { file, offset, bytes } of slot.ranges) {
      for (let done = 0; done < bytes; ) {
        const span = spanFor(spans, file, offset + done);
        const size = Math.min(bytes - done, SPAN_BYTES - span.size);
        span.parts.push({ slot: slot.id, at: at + done, size });
        span.size += size;
        done += size;
      }
      at += bytes;
    }
  }
  return spans;
}

/** The last span where byte `offset` of `file` comes next in it and there is room, else a new one. */
function spanFor(spans, file, offset) {
  const last = spans.at(-1);
  if (last && last.file === file && last.offset + last.size === offset && last.size < SPAN_BYTES) return last;
  const span = { file, offset, size: 0, parts: [] };
  spans.push(span);
  return span;
}
