/**
 * Streams weight slots into GPU buffers, a piece at a time, the next piece being fetched while one is written.
 *
 * A byte source is `read(file, offset, size) -> Promise<Uint8Array>`.
 */

export const PIECE_BYTES = 16 << 20;
const IN_FLIGHT = 3; // pieces asked for and not yet written
const SETTLE_BYTES = 64 << 20; // written at most before the device has taken them: browsers queue writes in memory

/** Writes every weight slot; `progress(doneBytes, totalBytes)` after each piece. Rejects for a source that is short. */
export async function uploadWeights(device, plan, buffers, source, progress) {
  const pieces = [...piecesOf(plan)];
  const totalBytes = pieces.reduce((sum, piece) => sum + piece.size, 0);
  const waiting = [];
  let next = 0, doneBytes = 0, queuedBytes = 0;
  const ask = () => {
    while (waiting.length < IN_FLIGHT && next < pieces.length) {
      const piece = pieces[next++];
      const bytes = source.read(piece.file, piece.offset, piece.size);
      bytes.catch(() => {}); // a failure is met when its turn comes
      waiting.push({ piece, bytes });
    }
  };
  for (ask(); waiting.length > 0; ask()) {
    const { piece, bytes } = waiting.shift();
    const content = await bytes;
    if (content.byteLength !== piece.size) {
      throw new Error(`the weight file gave ${content.byteLength} bytes for ${piece.slot}, ${piece.size} were asked for`);
    }
    device.queue.writeBuffer(buffers.get(piece.slot), piece.at, content);
    doneBytes += piece.size;
    queuedBytes += piece.size;
    if (queuedBytes >= SETTLE_BYTES) {
      await device.queue.onSubmittedWorkDone();
      queuedBytes = 0;
    }
    progress(doneBytes, totalBytes);
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
