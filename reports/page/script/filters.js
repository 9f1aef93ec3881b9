// Filters: which records are shown. The state lives in the address, so that a link shares it.

const AXES = { device: "machine", model: "model", format: "format", workload: "workload", grade: "grade" };
const FIELDS = [...Object.keys(AXES), "from", "to"];
const form = document.querySelector("#filter form");

function stateOfAddress() {
  const told = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(FIELDS.map((name) => [name, told.get(name) ?? ""]));
}

function stateOfForm() {
  return Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));
}

function addressOf(state) {
  const told = new URLSearchParams();
  for (const name of FIELDS) if (state[name]) told.set(name, state[name]);
  return `#${told}`;
}

// Days compare as texts: both are ISO dates.
function matches(record, state) {
  const day = record.started_at.slice(0, 10);
  return Object.entries(AXES).every(([name, field]) => !state[name] || record[field] === state[name])
    && (!state.from || day >= state.from) && (!state.to || day <= state.to);
}

function fillForm(state) {
  for (const [name, field] of Object.entries(AXES)) {
    const select = form.elements[name];
    const values = new Set(records.map((record) => record[field]).filter(Boolean));
    if (state[name]) values.add(state[name]); // of a link to a page that had more
    select.replaceChildren(element("option", { value: "" }, "all"), ...[...values].map((value) => element("option", { value }, value)));
    select.disabled = values.size < 2 && !state[name];
  }
  for (const name of FIELDS) form.elements[name].value = state[name];
}
