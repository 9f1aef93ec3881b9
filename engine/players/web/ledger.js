/**
 * Every GPU buffer of a session, counted exactly by role while it lives.
 */

export const STAGING_BYTES = 4 << 20;

export class Ledger {
  #device;
  #live = new Map();
  #staging = null;
  peakBytes = 0;

  constructor(device) {
    this.#device = device;
  }

  /** A buffer of `size` bytes; `usage` defaults to what a slot needs. */
  create(label, size, role, usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC) {
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#live.set(buffer, role);
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return buffer;
  }

  destroy(buffer) {
    this.#live.delete(buffer);
    buffer.destroy();
  }

  get liveBytes() {
    return [...this.#live.keys()].reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /** Live bytes by role. */
  byRole() {
    const totals = {};
    for (const [buffer, role] of this.#live) totals[role] = (totals[role] ?? 0) + buffer.size;
    return totals;
  }

  /** A copy of bytes offset..offset + size, through a staging buffer of at most STAGING_BYTES. */
  async read(buffer, offset, size) {
    const bytes = new Uint8Array(size);
    const piece = Math.min(STAGING_BYTES, Math.ceil(size / 4) * 4);
    const staging = this.create("staging", piece, "staging", GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
    try {
      for (let first = 0; first < size; first += piece) {
        const count = Math.min(piece, Math.ceil((size - first) / 4) * 4);
        const encoder = this.#device.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, offset + first, staging, 0, count);
        this.#device.queue.submit([encoder.finish()]);
        await staging.mapAsync(GPUMapMode.READ, 0, count);
        bytes.set(new Uint8Array(staging.getMappedRange(0, count)).subarray(0, Math.min(count, size - first)), first);
        staging.unmap();
      }
    } finally {
      this.destroy(staging);
    }
    return bytes;
  }

  close() {
    for (const buffer of [...this.#live.keys()]) this.destroy(buffer);
  }
}
