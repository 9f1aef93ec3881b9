/**
 * Says in plain words why Tritmark could not run, and what to do. It knows what browsers tell of themselves; it must not
 * know the DOM.
 */

const NOT_HERE = "Tritmark cannot run here";
const NOT_CONNECTED = "Not connected";
const USED = /^the (page was closed|run has ended)/; // by whoever had the link before
const NEWEST_LINK = "Open the newest link that the computer shows. Each link serves one page, once.";

/**
 * Why the server ended the run that a page was still playing. `reason` is a line of the server.
 */
export function explainEnd(reason) {
  return { title: "The run has ended", what: sentence(reason), remedy: [NEWEST_LINK] };
}

/**
 * What the explanation depends on: {secure, gpu: whether there is WebGPU at all, agent: user agent, android: major version
 * or null, touch: whether the screen is one}. User agents of today hide Android's version; client hints tell it.
 */
export async function surroundings(navigator, secure) {
  const agent = navigator.userAgent;
  const hints = await navigator.userAgentData?.getHighEntropyValues?.(["platformVersion"]).catch(() => null);
  const told = hints?.platform === "Android" ? hints.platformVersion : /Android (\d+)(?!.*Chrome\/(1[1-9]|[2-9]\d)\d)/.exec(agent)?.[1];
  return { secure, gpu: Boolean(navigator.gpu), agent, android: told ? parseInt(told, 10) : null, touch: navigator.maxTouchPoints > 1 };
}

/** {title, what: one sentence, remedy: what to do, one sentence each} for an error of the client. */
export function explain(error, about) {
  const said = error.message;
  if (!about.gpu) return withoutWebGpu(about);
  if (/no adapter/.test(said)) {
    return {
      title: NOT_HERE,
      what: "This browser has WebGPU, but it found no GPU that it would use.",
      remedy: [
        "Update the browser and the system: old graphics drivers are blocked on purpose.",
        "In Chrome, the page chrome://gpu says why. Graphics acceleration must be switched on in the settings.",
      ],
    };
  }
  const [, status, reason] = /server answered (\d+)(?:: (.+))?/.exec(said) ?? [];
  if (status === "409") {
    return { title: NOT_CONNECTED, what: "This link is or was open in another page.", remedy: [NEWEST_LINK, "Close the other page."] };
  }
  if (status === "410" && !USED.test(reason)) return explainEnd(reason);
  if (status === "404" || status === "410") {
    return { title: NOT_CONNECTED, what: "This link has been used already, or its run has ended.", remedy: [NEWEST_LINK] };
  }
  if (/does not answer/.test(said)) {
    return {
      title: NOT_CONNECTED,
      what: "The computer that shows the link does not answer.",
      remedy: [
        "Is Tritmark still running there? If so, open the newest link that it shows.",
        "By network: are both in the same Wi-Fi? By cable: is it plugged in?",
      ],
    };
  }
  return { title: "Something failed", what: sentence(said), remedy: ["The computer shows more about it. Open its newest link to try again."] };
}

function withoutWebGpu({ secure, agent, android, touch }) {
  if (!secure) {
    return because("It was opened over plain http, and browsers let only https pages use the GPU.", [
      "On the computer, start tritmark serve --lan and open the https link that it shows.",
      "Or open the link on the computer itself.",
    ]);
  }
  if (/iPhone|iPad/.test(agent) || (/Macintosh/.test(agent) && touch)) return onIos(agent);
  if (android !== null && android < 12) {
    return because(`This is Android ${android}; WebGPU needs Android 12.`, ["Update the system, or use a newer phone."]);
  }
  const chrome = version(/Chrom(?:e|ium)\/(\d+)/, agent), needed = /Android/.test(agent) ? 121 : 113;
  if (/Firefox/.test(agent)) return because("This Firefox has no WebGPU here.", ["Use Chrome or Edge."]);
  if (chrome !== null && chrome < needed) {
    return because(`This is version ${chrome} of the browser; WebGPU came with ${needed}.`, ["Update the browser."]);
  }
  if (chrome === null && /Macintosh/.test(agent)) return because("Safari has WebGPU since macOS 26.", ["Update the system, or use Chrome."]);
  return because("The browser is new enough, but its WebGPU is switched off.", [
    "Switch on graphics acceleration in the browser's settings; chrome://gpu says what is off.",
    "Or open the link in another browser: Chrome, Edge.",
  ]);
}

/** Safari tells its own version, which is that of iOS since 26; that of iOS itself stands still in its user agent. */
function onIos(agent) {
  const safari = version(/Version\/(\d+)/, agent), device = /iPhone/.test(agent) ? "iPhone" : "iPad";
  if (safari === null || /(Cri|Fxi|Edgi)OS/.test(agent)) return because(`Other browsers of an ${device} may have no WebGPU.`, ["Open the link in Safari; it needs iOS 26."]);
  if (safari < 26) return because(`This is Safari ${safari}; WebGPU needs iOS 26.`, [`Update: Settings > General > Software Update.`]);
  return because("WebGPU is switched off.", ["Switch it on: Settings > Apps > Safari > Advanced > Feature Flags > WebGPU."]);
}

function because(why, remedy) {
  return { title: NOT_HERE, what: `WebGPU is missing in this page. ${why}`, remedy };
}

/** A line of a program as a sentence. */
function sentence(line) {
  return line.charAt(0).toUpperCase() + line.slice(1).replace(/\.?\s*$/, ".");
}

function version(pattern, agent) {
  const found = pattern.exec(agent);
  return found ? Number(found[1]) : null;
}
