/**
 * The page's side of a run: says hello, then does what the server asks, one request after another, until it is told to
 * close.
 *
 * It reaches the server through a `fetch` it is given and the GPU through the `gpu` it is given; it must not know the DOM.
 */

import { openGpu } from "./caps.js";
import { Player } from "./player.js";
import { oneLine } from "./watch.js";
import { Wire } from "./wire.js";

/**
 * Runs until the server closes the session.
 *
 * @param {object} settings
 * @param {string} settings.base   URL of the run, ending in "/"
 * @param {GPU} settings.gpu       navigator.gpu, or that of another WebGPU implementation
 * @param {string} settings.agent  the user agent
 * @param {(event: object) => void} settings.report  hears {phase, ...}: "hello", "load", "weights", "shaders", "play", "steps", "idle",
 *   "show", and "closed" with a `reason` where something went wrong
 * @param {() => boolean} settings.visible  whether a person would see the page; a hidden page is slowed down
 * @param {(request: object) => Promise<object>} settings.choose  asks the person who opened the page
 * @param {(bye: (beacon: (url: string) => void) => void) => void} settings.leaving  is given what says farewell, to be
 *   called with something that posts to a URL when the page goes away
 */
export async function runClient(settings) {
  const { base, gpu, fetch, agent = "", report = () => {}, visible = () => true, choose = async () => ({}), leaving = () => {} } = settings;
  const wire = new Wire(base, fetch, visible);
  const { device, caps } = await openOrTell(wire, gpu, agent);
  const player = new Player(device, caps, (event) => {
    wire.progress = event;
    report(event);
  });
  report({ phase: "hello", caps });
  await wire.hello(caps);
  leaving((beacon) => wire.bye(beacon));
  const handlers = handlersOf(player, wire, report, visible, choose);
  let reason; // why the server ended the run, where something went wrong
  try {
    for (;;) {
      const request = await wire.next();
      if (request === null) continue;
      if (request.op === "close") {
        reason = request.reason;
        break;
      }
      await wire.answer(request.id, await answerOf(handlers, request));
      report({ phase: "idle" });
    }
  } finally {
    wire.close();
    player.close();
    device.destroy();
  }
  report({ phase: "closed", reason });
}

/** The open GPU; where there is none, the server hears why instead of waiting for a hello. */
async function openOrTell(wire, gpu, agent) {
  try {
    return await openGpu(gpu, agent);
  } catch (error) {
    await wire.decline(error.message).catch(() => {}); // whoever reads the page is told in any case
    throw error;
  }
}

async function answerOf(handlers, request) {
  try {
    if (!(request.op in handlers)) throw new Error(`unknown request ${request.op}`);
    return { ok: true, ...(await handlers[request.op](request)) };
  } catch (error) {
    return { ok: false, error: oneLine(error.message), kind: "PlayerError" };
  }
}

function handlersOf(player, wire, report, visible, choose) {
  return {
    async load({ plan, weights, model, format }) {
      report({ phase: "load", model, format });
      const source = { open: (file, offset, size) => wire.range(weights + file, offset, size) };
      return player.load(await wire.json(plan), source);
    },
    async play({ first, last, timing }) {
      report({ phase: "play", first, last });
      const seen = visible();
      const trace = await player.play(first, last, timing);
      if (trace.status === "ok" && !(seen && visible())) {
        Object.assign(trace, { status: "failed", digests: {},
          reason: "the page was hidden while it ran (screen locked, or another app in front); keep it open and the screen on" });
      }
      return { trace };
    },
    async read({ slot, offset, bytes }) {
      return { base64: base64(await player.read(slot, offset, bytes)) };
    },
    async show(request) {
      player.watch.check(); // whoever shows something wants to know whether this page can still play
      report({ phase: "show", ...request });
      return {};
    },
    choose,
  };
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}
