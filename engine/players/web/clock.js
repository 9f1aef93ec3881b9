/**
 * GPU timestamps of a run of steps: none ("wall"), a pair a step ("step"), or a pair a dispatch ("dispatch").
 */

const MOST_QUERIES = 4096;
export const TIMINGS = ["wall", "step", "dispatch"];

export class Clock {
  #device;
  #ledger;
  #queries = null;
  #passes = [];

  /** `passes`: how many compute passes will be timed. */
  constructor(device, ledger, timing, passes) {
    this.#device = device;
    this.#ledger = ledger;
    this.timing = timing;
    if (timing === "wall") return;
    if (!device.features.has("timestamp-query")) throw new Error("this GPU has no timestamp-query; use timing wall");
    if (2 * passes > MOST_QUERIES) throw new Error(`${passes} timed passes exceed ${MOST_QUERIES / 2}; play fewer steps at once`);
    this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * passes });
  }

  /** Descriptor of the next compute pass. */
  nextPass(step, label) {
    if (!this.#queries) return {};
    const at = 2 * this.#passes.length;
    this.#passes.push({ step, label });
    return { timestampWrites: { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 } };
  }

  /** [{step, label, begin_ns, end_ns}] of all passes, times since the first one began; [] without timestamps. */
  async collect() {
    if (!this.#queries) return [];
    const count = 2 * this.#passes.length;
    const resolved = this.#ledger.create("timestamps", count * 8, "staging", GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, count, resolved, 0);
    this.#device.queue.submit([encoder.finish()]);
    const ticks = new BigUint64Array((await this.#ledger.read(resolved, 0, count * 8)).buffer);
    this.#ledger.destroy(resolved);
    this.#queries.destroy();
    return this.#passes.map((pass, at) => ({
      ...pass,
      begin_ns: Number(ticks[2 * at] - ticks[0]),
      end_ns: Number(ticks[2 * at + 1] - ticks[0]),
    }));
  }
}
