/**
 * The page's entry: gives the client what a browser has, and shows what it reports.
 */

import { choose } from "./choose.js";
import { runClient } from "./client.js";
import { explain, explainEnd, surroundings } from "./explain.js";
import { View } from "./view.js";
import { keepAwake } from "./wake.js";

const view = new View(document);
const awake = keepAwake(navigator, document);

function report(event) {
  awake(event.phase !== "closed");
  if (event.reason) view.fail(explainEnd(event.reason));
  else view.hear(event);
}

async function ask(request) {
  awake(false);
  view.hear({ phase: "choose" });
  const answer = await choose(document.getElementById("ask"), request);
  view.hear({ phase: "chosen" });
  return answer;
}

async function run() {
  report({ phase: "start" });
  try {
    await runClient({
      base: new URL(".", location.href).href,
      gpu: navigator.gpu,
      fetch: (...request) => fetch(...request),
      agent: navigator.userAgent,
      visible: () => document.visibilityState === "visible",
      report,
      choose: ask,
      leaving: (bye) => addEventListener("pagehide", () => bye((url) => navigator.sendBeacon(url))),
    });
  } catch (error) {
    awake(false);
    view.fail(explain(error, await surroundings(navigator, isSecureContext)));
  }
}

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // it came back from a cache, but has said farewell: let it say that this link is used
});
run();
