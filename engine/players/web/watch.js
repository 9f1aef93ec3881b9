/**
 * Watches a GPUDevice: whatever it reports on its own (a lost device, an uncaptured error) ends what is being waited for.
 */

const CAUSE_MS = 200; // how long after an effect its cause may be told

export class Watch {
  #failure = null;
  #fail;
  #failed;

  constructor(device) {
    this.#failed = new Promise((_, reject) => { this.#fail = reject; });
    this.#failed.catch(() => {}); // nobody may be waiting when it comes
    device.lost.then((info) => {
      if (info.reason !== "destroyed") this.#note(`the GPU device was lost: ${info.message || "the browser gave no reason"}`);
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#note(`the GPU reported an error: ${oneLine(event.error.message)}`);
    });
  }

  #note(reason) {
    this.#failure ??= new Error(reason);
    this.#fail(this.#failure);
  }

  /** Throws what the device has reported so far. */
  check() {
    if (this.#failure) throw this.#failure;
  }

  /** What `promise` gives, unless the device fails first. */
  async until(promise) {
    this.check();
    try {
      return await Promise.race([promise, this.#failed]);
    } catch (error) {
      await Promise.race([this.#failed, pause(CAUSE_MS)]); // the cause may be told after its first effect
      throw error;
    } finally {
      this.check();
    }
  }
}

function pause(ms) {
  return new Promise((resume) => setTimeout(resume, ms));
}

export function oneLine(text) {
  return String(text).split(/\s+/).join(" ").trim();
}
