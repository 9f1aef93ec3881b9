// Matrix: a table for each device and kind of work, a row for each case, its models one after the other.

const INFERENCE = ["Prefill tok/s", "Decode tok/s", "TTFT ms", "ITL ms"];
const TRAINING = ["Train tok/s", "Supervised tok/s", "Step s", "Epoch s", "Loss"];
const MATRIX_ROWS = 200;

let allRows = false;

function matrix(found, state) {
  const cells = [...grouped(found.filter((record) => !record.figure), (record) => record.cell).values()].map(cellOf);
  const shownCells = allRows ? cells : cells.slice(0, MATRIX_ROWS);
  const parts = [...grouped(shownCells, (cell) => cell.latest.machine)].map(([machine, members]) => machinePart(machine, members, state));
  if (!cells.length) parts.push(element("p", { class: "soft" }, "The filter leaves no measurement."));
  if (shownCells.length < cells.length) {
    const more = element("button", { type: "button", class: "more" }, `Show all ${cells.length.toLocaleString("en-US")} rows`);
    more.addEventListener("click", () => {
      allRows = true;
      document.getElementById("machines").replaceChildren(...matrix(found, state));
    });
    parts.push(more);
  }
  return parts;
}

function machinePart(machine, cells, state) {
  const told = new Set(cells.flatMap(({ latest }) => [latest.device, latest.driver, latest.os]).filter((text) => text && text !== machine));
  const kinds = [...grouped(cells, trains)].map(([training, members]) => table(machine, training, members));
  const narrowed = ["format", "workload", "grade", "from", "to"].some((name) => state[name]);
  const models = new Set(cells.map((cell) => cell.latest.model));
  const notes = narrowed ? [] : data.notes.filter(([where, model]) => where === machine && models.has(model));
  return element("div", { class: "machine" },
    element("h3", {}, machine),
    element("p", { class: "soft small" }, [...told].join(" · ")),
    ...kinds,
    notes.length ? element("ul", { class: "notes small" }, ...notes.map(note)) : null);
}

function note([, model, said, ids]) {
  return element("li", {}, `${model}: `, element("a", { href: `#r-${ids.map(encodeURIComponent)}` }, said));
}

function trains(cell) {
  return cell.latest.workload.startsWith("lora:");
}

function table(machine, training, cells) {
  const foreign = training ? INFERENCE : TRAINING;
  const used = columns.map((column, at) => ({ ...column, at }))
    .filter(({ name, at }) => !foreign.includes(name) && cells.some((cell) => valuesOf(cell, at).length));
  const heads = [["Format", "workload"], ...used.map(({ head }) => head), ["Sessions"], ["Status"]];
  const bodies = [...grouped(cells, (cell) => cell.latest.model)].map(([model, members]) =>
    element("tbody", {},
      element("tr", { class: "model" }, element("th", { scope: "rowgroup", colspan: heads.length }, element("span", {}, model))),
      ...members.map((cell) => row(cell, used))));
  return scrolling(`${training ? "Fine-tuning" : "Inference"} on ${machine}`,
    element("thead", {}, element("tr", {}, ...heads.map(headCell))), ...bodies);
}

function row(cell, used) {
  const { latest, counted } = cell;
  const grade = latest.grade === "measured" ? null : badge(latest.grade);
  const head = element("th", { scope: "row" }, latest.format, " ", element("small", {}, latest.workload), grade);
  if (!counted.length) {
    const said = element("a", { href: address(latest) }, latest.status);
    const why = `: ${latest.reason ?? "no reason was recorded"}`;
    return element("tr", { class: "failed" }, head, element("td", { class: "reason", colspan: used.length + 2 }, said, why));
  }
  const cells = used.map(({ at, kind }) => element("td", {}, linked(latest, shown(kind, valuesOf(cell, at)))));
  return element("tr", {}, head, ...cells, element("td", {}, linked(latest, String(counted.length))), element("td", {}, ...status(cell)));
}

// What the counted sessions say of themselves, and how many did not run.
function status({ sessions, ran, counted, latest }) {
  const throttled = counted.filter((record) => record.throttled);
  const parts = [];
  if (throttled.length) {
    const [worst] = throttled.sort((a, b) => Number(b.throttled) - Number(a.throttled));
    parts.push(linked(worst, `throttled -${worst.throttled} %`, { class: "alarm" }));
  }
  if (counted.some((record) => record.exact === false)) parts.push(linked(latest, "not exact", { class: "alarm" }));
  const lost = sessions.filter((record) => record.status !== "ok");
  const last = lost[lost.length - 1];
  if (last) parts.push(linked(last, `${lost.length} of ${sessions.length} ${last.status}`, { class: "alarm" }));
  if (ran.length > counted.length) parts.push(linked(ran[0], `${ran.length - counted.length} older`));
  return (parts.length ? parts : ["ok"]).flatMap((part, at) => (at ? [", ", part] : [part]));
}
