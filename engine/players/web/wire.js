/**
 * Messages between a page and the server that opened it: requests by long poll, answers and signs of life by POST.
 */

const BEAT_MS = 2000;
const ENDED = "the run has ended"; // the server's reason where nothing went wrong
const RETRY_MS = [200, 500, 1000, 2000, 4000, 8000]; // a server that is gone longer than these is gone

export class Wire {
  #base;
  #fetch;
  #visible;
  #busy = false;
  #page = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
  #timer = null;
  progress = {};

  constructor(base, fetch, visible) {
    this.#base = base;
    this.#fetch = fetch;
    this.#visible = visible;
  }

  /** Introduces the page; from now on it gives signs of life. */
  async hello(caps) {
    await this.#patiently(() => this.#post("hello", { page: this.#page, caps }));
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    this.#timer.unref?.(); // outside browsers: a timer alone keeps no process alive
  }

  /** Tells the server that this page cannot play, in place of a hello. */
  async decline(reason) {
    await this.#post("hello", { error: reason });
  }

  /** The next request, or null where none came for a while. */
  async next() {
    const response = await this.#patiently(() => this.#fetch(this.#base + "next", { headers: this.#headers() }));
    if (response.status === 204) return null;
    if (response.status === 410) {
      const reason = await response.text();
      return { op: "close", reason: reason === ENDED ? undefined : reason };
    }
    await this.#expect(response);
    this.#busy = true;
    return response.json();
  }

  async answer(id, answer) {
    this.#busy = false;
    this.progress = {};
    await this.#patiently(() => this.#post("answer", { id, ...answer }));
  }

  async json(path) {
    return (await this.#expect(await this.#fetch(this.#base + path, { headers: this.#headers() }))).json();
  }

  /** A response whose body is `size` bytes at `offset` of a file. */
  async range(path, offset, size) {
    const headers = { ...this.#headers(), Range: `bytes=${offset}-${offset + size - 1}` };
    return this.#expect(await this.#fetch(this.#base + path, { headers }));
  }

  /** Gives no more signs of life. */
  close() {
    clearInterval(this.#timer);
  }

  /** Tells the server that the page goes away; for a page that is being closed. */
  bye(beacon) {
    this.close();
    beacon(`${this.#base}bye?page=${this.#page}`);
  }

  #beat() {
    const { phase = null, done = 0, total = 0 } = this.progress;
    const body = { busy: this.#busy, phase, done, total, visible: this.#visible() };
    this.#post("beat", body).catch(() => {}); // the next long poll meets a server that is gone
  }

  async #post(path, body) {
    const headers = { ...this.#headers(), "Content-Type": "application/json" };
    return this.#expect(await this.#fetch(this.#base + path, { method: "POST", headers, body: JSON.stringify(body) }));
  }

  async #expect(response) {
    if (!response.ok) throw new Error(`the server answered ${response.status}: ${(await response.text()).slice(0, 200)}`);
    return response;
  }

  /** `send`, repeated while the network fails, for as long as a cable may take to be plugged in again. */
  async #patiently(send) {
    for (const wait_ms of RETRY_MS) {
      try {
        return await send();
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // what fetch throws where nobody answers
      }
      await new Promise((resume) => setTimeout(resume, wait_ms));
    }
    throw new Error("the computer that opened this page does not answer any more");
  }

  #headers() {
    return { "X-Tritmark-Page": this.#page };
  }
}
