/**
 * What the page shows of a run. It is told what the client reports and knows the document; it must not know networks or
 * GPUs. Progress is drawn four times a second and no oftener: drawing takes the GPU that is being measured.
 */

const CALM_MS = 250;
const STEADY_NS = 100_000_000; // a run of steps shorter than this tells no speed
const KINDS = { cpu: "software, on the processor", integrated: "GPU of the chip", discrete: "graphics card", unknown: "not told by the browser" };

export class View {
  #document;
  #pending = null;
  #timer = null;
  #began_ms = 0; // when loading began
  #rated = false; // whether the computer tells the speed, so that single runs of steps need not

  constructor(document) {
    this.#document = document;
  }

  /** An event of `runClient`; those that come in numbers are shown late, and only the last of them. */
  hear(event) {
    if (["weights", "shaders", "steps", "idle"].includes(event.phase)) {
      this.#pending = event;
      this.#timer ??= setTimeout(() => this.#flush(), CALM_MS);
    } else {
      if (this.#pending?.phase !== "idle") this.#flush();
      this.#pending = null;
      this.#show(event);
    }
  }

  /** Why nothing will come any more. */
  fail({ title, what, remedy }) {
    this.#pending = null;
    this.#rest("failed", title, what);
    this.#part("speed").hidden = this.#part("ask").hidden = true;
    const list = this.#part("remedy");
    list.replaceChildren(...remedy.map((line) => this.#made("li", line)));
    list.hidden = false;
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const event = this.#pending;
    this.#pending = null;
    if (event) this.#show(event);
  }

  #show(event) {
    switch (event.phase) {
      case "start": return this.#state("waiting", "Connecting", "");
      case "hello": return this.#hello(event.caps);
      case "load": return this.#load(event);
      case "weights": return this.#work(event, this.#weightWords(event));
      case "shaders": return this.#work(event, `Shaders: ${event.done} of ${event.total}`);
      case "play": return this.#state("busy", "Running");
      case "steps": return this.#steps(event);
      case "idle": return this.#rest("waiting", "Waiting for the computer");
      case "choose": return this.#rest("waiting", "Your turn");
      case "chosen": return this.#rest("waiting", "Waiting for the computer", "");
      case "show": return this.#said(event);
      case "closed": return this.#rest("ended", "The run has ended", "You can close this page.");
    }
  }

  #hello(caps) {
    this.#state("waiting", "Waiting for the computer");
    this.#pairs("caps", [["Adapter", caps.adapter], ["Through", caps.backend], ["Kind", KINDS[caps.kind]], ["Browser", caps.driver]]);
    const features = [...caps.features, ...caps.language_features].map((name) => [breakable(name), "yes"]);
    this.#pairs("limits", [...features, ...Object.entries(caps.limits).map(([name, value]) => [breakable(name), value.toLocaleString("en")])]);
    this.#part("device").hidden = false;
  }

  #load({ model, format }) {
    this.#began_ms = performance.now();
    this.#rated = false;
    this.#said({ text: "", numbers: [] });
    this.#part("speed").hidden = true;
    this.#state("busy", "Loading the model");
    const [file, memory = file] = format.split(">");
    this.#pairs("bundle", [["Name", model], ["Format", file === memory ? file : `${file} in the file, ${memory} in memory`]]);
    this.#part("model").hidden = false;
  }

  #weightWords({ done, total }) {
    const rate = done / 1e3 / Math.max(1, performance.now() - this.#began_ms); // bytes per ms / 1e3: MB/s
    return `Weights: ${mebibytes(done)} of ${mebibytes(total)} MiB, ${rate.toFixed(0)} MB/s`;
  }

  #steps(event) {
    this.#state("busy", "Running");
    this.#work(event, `Step ${event.done.toLocaleString("en")} of ${event.total.toLocaleString("en")}`);
    if (!this.#rated && event.elapsed_ns >= STEADY_NS) this.#speed((event.tokens * 1e9) / event.elapsed_ns);
  }

  /** What the computer says: {text?, note?, tokens_per_s?, numbers?: [[name, value]]}; what is left out stays. */
  #said({ text, note, tokens_per_s, numbers }) {
    if (note !== undefined) this.#set("note", note);
    if (text !== undefined) this.#set("text", text);
    if (numbers !== undefined) this.#pairs("numbers", numbers);
    if (Number.isFinite(tokens_per_s)) {
      this.#rated = true;
      this.#speed(tokens_per_s);
    }
    this.#part("writing").hidden = !this.#part("text").textContent;
    this.#part("result").hidden = !this.#part("numbers").childElementCount;
  }

  #speed(tokens_per_s) {
    const decimals = tokens_per_s < 9.995 ? 2 : tokens_per_s < 99.95 ? 1 : 0; // three digits: the unit stays where it is
    this.#set("rate", tokens_per_s.toFixed(decimals));
    this.#part("speed").hidden = false;
  }

  #work(event, words = "") {
    this.#part("work").hidden = event === null;
    if (event === null) return;
    Object.assign(this.#part("bar"), { max: event.total || 1, value: event.done });
    this.#set("words", words);
  }

  #rest(state, title, note) {
    this.#state(state, title, note);
    this.#work(null);
  }

  #state(state, title, note) {
    this.#document.body.dataset.state = state;
    this.#set("title", title);
    if (note !== undefined) this.#set("note", note);
  }

  #pairs(id, pairs) {
    this.#part(id).replaceChildren(...pairs.flatMap(([name, value]) => [this.#made("dt", name), this.#made("dd", value)]));
  }

  #made(tag, text) {
    return Object.assign(this.#document.createElement(tag), { textContent: text });
  }

  /** Text that is the same is left alone, so that it is not read aloud again. */
  #set(id, text) {
    const part = this.#part(id);
    if (part.textContent !== text) part.textContent = text;
  }

  #part(id) {
    return this.#document.getElementById(id);
  }
}

/** A name of a program, which may be wrapped between its words. */
function breakable(name) {
  return name.replace(/_|[a-z](?=[A-Z])/g, "$&\u200b");
}

function mebibytes(bytes) {
  return Math.round(bytes / 2 ** 20).toLocaleString("en");
}
