/**
 * The web player: replays a Plan on a GPUDevice it is given and hands back Traces.
 *
 * It knows Plans, a byte source and a device; it must not know pages, networks or models, so that it also runs outside
 * browsers. Times are nanoseconds of `performance.now()`.
 */

import { Clock, TIMINGS } from "./clock.js";
import { Ledger } from "./ledger.js";
import { checkPlan, inlineBytes, STEP_STRIDE_BYTES, stepTable, tokensOf } from "./plan.js";
import { buildPrograms } from "./programs.js";
import { oneLine, Watch } from "./watch.js";
import { uploadWeights } from "./weights.js";

const STEPS_AT_ONCE = 512; // timed steps a query set holds; WebGPU allows 4096 queries
const BATCH = 8; // steps between two looks at the queue: one batch runs while the next is encoded, no more are queued

export class Player {
  #buffers = new Map();
  #programs = new Map();

  /** `progress({phase, done, total, tokens?, elapsed_ns?})` hears of everything that takes time. */
  constructor(device, caps, progress = () => {}) {
    this.device = device;
    this.caps = caps;
    this.progress = progress;
    this.watch = new Watch(device);
    this.ledger = new Ledger(device);
    this.plan = null;
  }

  /** Makes the Plan's buffers and pipelines; replaces what was loaded before. */
  async load(plan, source) {
    checkPlan(plan, this.caps);
    this.close();
    this.ledger = new Ledger(this.device);
    try {
      const started = now_ns();
      await this.#guarded(() => this.#fill(plan, source));
      const filled = now_ns();
      await this.#guarded(() => this.#build(plan));
      this.plan = plan;
      return {
        load_ns: filled - started,
        compile_ns: now_ns() - filled,
        ledger: this.ledger.byRole(),
        ledger_peak_bytes: this.ledger.peakBytes,
      };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #fill(plan, source) {
    for (const slot of plan.slots) {
      const buffer = this.ledger.create(slot.id, slot.bytes, slot.role);
      this.#buffers.set(slot.id, buffer);
      if (slot.inline !== null) this.device.queue.writeBuffer(buffer, 0, inlineBytes(slot));
    }
    const table = stepTable(plan);
    this.steps = this.ledger.create("steps", table.byteLength, "steps");
    this.device.queue.writeBuffer(this.steps, 0, table);
    const tell = (done, total) => this.progress({ phase: "weights", done, total });
    await uploadWeights(this.device, plan, this.#buffers, source, tell);
    await this.device.queue.onSubmittedWorkDone();
  }

  async #build(plan) {
    const tell = (done, total) => this.progress({ phase: "shaders", done, total });
    this.#programs = await buildPrograms(this.device, plan, this.#buffers, this.steps, tell);
  }

  /** Runs `action` and turns what the device says about it into an error: no memory, or a Plan that it refuses. */
  async #guarded(action) {
    this.device.pushErrorScope("validation");
    this.device.pushErrorScope("out-of-memory");
    let result, failure;
    try {
      result = await this.watch.until(action());
    } catch (error) {
      failure = error;
    }
    const [memory, validation] = [await this.device.popErrorScope(), await this.device.popErrorScope()];
    if (memory) throw new Error(`no GPU memory for the plan (${this.ledger.liveBytes} bytes asked for): ${oneLine(memory.message)}`);
    if (failure) throw failure;
    if (validation) throw new Error(`the device refused the plan: ${oneLine(validation.message)}`);
    return result;
  }

  /** Plays steps first..last (half open). Whatever goes wrong becomes a failed Trace. */
  async play(first, last, timing = "wall") {
    if (!this.plan) throw new Error("no plan is loaded");
    if (!(first >= 0 && first < last && last <= this.plan.steps.length)) {
      throw new Error(`steps ${first}..${last} are outside the plan's ${this.plan.steps.length}`);
    }
    if (!TIMINGS.includes(timing)) throw new Error(`timing ${timing} is unknown; use ${TIMINGS.join(", ")}`);
    const trace = {
      player: "web", status: "ok", reason: null, timing, wall_ns: 0, encode_ns: 0, steps: [], dispatches: [],
      digests: {}, ledger: {}, ledger_peak_bytes: 0,
    };
    try {
      await this.#playAll(first, last, trace);
      trace.digests = await this.watch.until(this.#digests());
    } catch (error) {
      Object.assign(trace, { status: "failed", reason: oneLine(error.message), digests: {} });
    }
    return { ...trace, ledger: this.ledger.byRole(), ledger_peak_bytes: this.ledger.peakBytes };
  }

  async #playAll(first, last, trace) {
    const started = now_ns();
    for (let from = first; from < last; from += STEPS_AT_ONCE) {
      await this.#playSome(from, Math.min(from + STEPS_AT_ONCE, last), trace, started);
    }
    trace.wall_ns = now_ns() - started;
  }

  async #playSome(from, to, trace, started) {
    const clock = new Clock(this.device, this.ledger, trace.timing, this.#passes(from, to, trace.timing));
    let tokens = 0, earlier = Promise.resolve();
    for (let first = from; first < to; first += BATCH) {
      const last = Math.min(first + BATCH, to);
      const before = now_ns();
      for (let step = first; step < last; step++) {
        this.device.queue.submit([this.#encode(step, clock)]);
        tokens += tokensOf(this.plan, step);
      }
      trace.encode_ns += now_ns() - before;
      const done = this.device.queue.onSubmittedWorkDone();
      await this.watch.until(last < to ? earlier : done);
      earlier = done;
      this.progress({ phase: "steps", done: last, total: this.plan.steps.length, tokens, elapsed_ns: now_ns() - started });
    }
    keep(trace, await this.watch.until(clock.collect()), from, to);
  }

  #passes(from, to, timing) {
    const rows = this.plan.steps.slice(from, to);
    return timing === "dispatch" ? rows.reduce((sum, [program]) => sum + this.#programs.get(program).length, 0) : rows.length;
  }

  #encode(step, clock) {
    const [program, ...values] = this.plan.steps[step];
    const launches = this.#programs.get(program);
    const encoder = this.device.createCommandEncoder();
    for (const run of clock.timing === "dispatch" ? launches.map((launch) => [launch]) : [launches]) {
      const pass = encoder.beginComputePass(clock.nextPass(step, run[0].label));
      encodeRun(pass, run, values, new Uint32Array([step * STEP_STRIDE_BYTES]));
      pass.end();
    }
    return encoder.finish();
  }

  /** SHA-256 of each probe's bytes. */
  async #digests() {
    const digests = {};
    for (const probe of this.plan.probes) {
      digests[probe.name] = await sha256(await this.ledger.read(this.#buffers.get(probe.slot), probe.offset, probe.bytes));
    }
    return digests;
  }

  /** `size` bytes of a slot. */
  async read(slot, offset, size) {
    if (!this.plan) throw new Error("no plan is loaded");
    const whole = this.plan.slots.find(({ id }) => id === slot)?.bytes;
    if (whole === undefined) throw new Error(`the plan has no slot ${slot}`);
    if (offset < 0 || size <= 0 || offset + size > whole) throw new Error(`bytes ${offset}..${offset + size} lie outside ${slot} (${whole} bytes)`);
    return this.watch.until(this.ledger.read(this.#buffers.get(slot), offset, size));
  }

  /** Frees every buffer; the device stays open. */
  close() {
    this.plan = null;
    this.#programs.clear();
    this.#buffers.clear();
    this.ledger.close();
  }
}

/** Appends launches to an open pass; neighbours that share a pipeline set it once. */
function encodeRun(pass, launches, values, offsets) {
  let current = null;
  for (const { pipeline, group, grid: [x, y, z] } of launches) {
    if (pipeline !== current) {
      current = pipeline;
      pass.setPipeline(pipeline);
    }
    pass.setBindGroup(0, group, offsets, 0, 1);
    pass.dispatchWorkgroups(x < 0 ? values[-1 - x] : x, y < 0 ? values[-1 - y] : y, z < 0 ? values[-1 - z] : z);
  }
}

/** Adds what a clock collected for steps from..to to a trace, in the form of StepTime and DispatchTime. */
function keep(trace, times, from, to) {
  if (trace.timing === "dispatch") {
    trace.dispatches.push(...times.map(({ step, label, begin_ns, end_ns }) => ({ step, label, gpu_ns: end_ns - begin_ns })));
  } else if (trace.timing === "step") {
    const earlier = trace.steps.at(-1)?.end_ns ?? 0;
    trace.steps.push(...times.map(({ step, begin_ns, end_ns }) => ({ step, end_ns: earlier + end_ns, gpu_ns: end_ns - begin_ns })));
    return;
  }
  for (let step = from; step < to; step++) trace.steps.push({ step, end_ns: null, gpu_ns: null });
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function now_ns() {
  return Math.round(performance.now() * 1e6);
}
