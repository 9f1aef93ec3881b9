/**
 * Streams weight slots into GPU buffers, piece by piece; the next piece is asked for while one is written.
 *
 * A byte source is `open(file, offset, size) -> Promise<Response>`, whose body is those bytes.
 */

import { chunksOf } from "./chunks.js";

export const PIECE_BYTES = 16 << 20;
const SETTLE_BYTES = 64 << 20; // written at most before the device has taken them: browsers queue writes in memory

/** Writes every weight slot; `progress(doneBytes, totalBytes)` after each chunk. Rejects for a source that is short. */
export async function uploadWeights(device, plan, buffers, source, progress) {
  const pieces = [...piecesOf(plan)];
  const totalBytes = pieces.reduce((sum, piece) => sum + piece.size, 0);
  const ask = (at) => {
    const response = at < pieces.length ? source.open(pieces[at].file, pieces[at].offset, pieces[at].size) : null;
    response?.catch(() => {}); // a failure is met when its turn comes
    return response;
  };
  let doneBytes = 0, queuedBytes = 0, coming = ask(0);
  for (let at = 0; at < pieces.length; at++) {
    const response = await coming;
    coming = ask(at + 1);
    for await (const bytes of pour(device, buffers, pieces[at], response)) {
      doneBytes += bytes;
      queuedBytes += bytes;
      if (queuedBytes >= SETTLE_BYTES) {
        await device.queue.onSubmittedWorkDone();
        queuedBytes = 0;
      }
      progress(doneBytes, totalBytes);
    }
  }
}

/** Writes the body of `response` where `piece` belongs; yields the bytes of each write. */
async function* pour(device, buffers, piece, response) {
  let done = 0;
  for await (const chunk of chunksOf(response)) {
    if (done + chunk.byteLength > piece.size) break;
    device.queue.writeBuffer(buffers.get(piece.slot), piece.at + done, chunk);
    done += chunk.byteLength;
    yield chunk.byteLength;
  }
  if (done !== piece.size) {
    throw new Error(`the weight file gave other than the ${piece.size} bytes that were asked for ${piece.slot}`);
  }
}

/** Parts of all weight slots in order: `size` bytes at `offset` of `file` go to byte `at` of `slot`. */
function* piecesOf(plan) {
  for (const slot of plan.slots) {
    let at = 0;
    for (const range of slot.ranges) {
      for (let first = 0; first < range.bytes; first += PIECE_BYTES) {
        const size = Math.min(PIECE_BYTES, range.bytes - first);
        yield { slot: slot.id, at: at + first, file: range.file, offset: range.offset + first, size };
      }
      at += range.bytes;
    }
  }
}
