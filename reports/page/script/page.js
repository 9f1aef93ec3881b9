// Page: what the address says, shown.

const dialog = document.getElementById("entry");
let state = stateOfAddress();
let followed = null; // the address of the entry that is open

function show() {
  const found = records.filter((record) => matches(record, state));
  const [some, all] = [found, records].map(({ length }) => length.toLocaleString("en-US"));
  document.getElementById("filtered").textContent = some === all ? "" : `: ${some} of ${all} records`;
  document.getElementById("machines").replaceChildren(...matrix(found, state));
  document.getElementById("figures")?.replaceChildren(...published(found));
  document.getElementById("records").replaceChildren(...evidence(found));
  showChoices();
}

// Recommendations stand on many records: only the device and the model choose among them.
function showChoices() {
  for (const part of document.querySelectorAll("#first [data-device]")) {
    const { device, model } = part.dataset;
    part.hidden = (state.device && device !== state.device) || (state.model && model && model !== state.model);
  }
  for (const part of document.querySelectorAll("#first .machine")) {
    part.hidden = ![...part.querySelectorAll(".choice")].some((choice) => !choice.hidden);
  }
  const parts = [...document.querySelectorAll("#first .machine")];
  document.getElementById("first-none").hidden = !parts.length || parts.some((part) => !part.hidden);
}

// "#r-ID,ID" is evidence; "#device=..." a filter; anything else a part of the page.
function follow() {
  const address = location.hash;
  if (address.startsWith("#r-")) {
    followed = address;
    dialog.replaceChildren(entry(address.slice(3).split(",").map(decoded)));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    return;
  }
  if (dialog.open) dialog.close();
  if (address && !address.includes("=") && address !== "#") return;
  const told = stateOfAddress();
  if (FIELDS.every((name) => told[name] === state[name])) return;
  state = told;
  fillForm(state);
  show();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an address that somebody cut
  }
}

form.addEventListener("input", () => {
  state = stateOfForm();
  history.replaceState(null, "", addressOf(state));
  show();
});
form.addEventListener("reset", () => {
  state = Object.fromEntries(FIELDS.map((name) => [name, ""]));
  history.replaceState(null, "", "#");
  fillForm(state);
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
dialog.addEventListener("close", () => {
  if (location.hash === followed) history.replaceState(null, "", addressOf(state));
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
});
addEventListener("hashchange", follow);

fillForm(state);
document.getElementById("filter").open = matchMedia("(min-width: 60rem)").matches || FIELDS.some((name) => state[name]);
show();
follow();
