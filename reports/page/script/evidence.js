// Evidence: the list of all records, and one record in full when somebody follows a number.

const TIMED = { wall: "wall-clock time of whole samples", step: "GPU timestamps a step", dispatch: "GPU timestamps a dispatch" };
const PLAYED = {
  interleaved: "arms interleaved, all open at once", reopened: "arms interleaved, one open at a time", "own process": "a process of its own",
};
const UNTOLD = "not recorded";

function evidence(found) {
  const listed = [...found].sort((a, b) => byTime(b, a));
  if (!listed.length) return [element("p", { class: "soft" }, "The filter leaves no record.")];
  const body = element("tbody");
  const more = inParts(listed, listedRow, body, "records");
  const heads = ["Record", "Begun", "Grade", "Status", "Model", "Format", "Workload", "Device", "Revision"];
  const list = scrolling("Records", element("thead", {}, element("tr", {}, ...heads.map((head) => headCell([head])))), body);
  list.classList.add("texts");
  return [list, more];
}

function listedRow(record) {
  const texts = [record.model, record.format, record.workload, record.machine, (revision(record) ?? NONE).slice(0, 10)];
  return element("tr", { class: record.status === "ok" ? null : "failed" },
    element("th", { scope: "row" }, element("a", { href: address(record), class: "id" }, record.id.slice(0, 8))),
    element("td", {}, moment(record)),
    element("td", {}, badge(record.grade)), element("td", {}, record.status),
    ...texts.map((text) => element("td", {}, text || NONE)));
}

// The entry of the first of `ids`; links to the others.
function entry(ids) {
  const record = byId.get(ids[0]);
  const close = element("button", { type: "button", class: "close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  if (!record) {
    return element("article", { id: `r-${ids[0]}` }, close, element("h2", { id: "entry-title" }, "No such record"),
      element("p", {}, `This page holds no record ${ids[0]}.`));
  }
  const facts = (record.figure ? figureFacts(record) : measuredFacts(record))
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value ?? UNTOLD)]);
  const reasons = record.grade_reasons.map((reason) => element("li", {}, reason));
  return element("article", { id: `r-${record.id}` }, close,
    element("h2", { id: "entry-title" }, `${record.model || "no model"}, ${record.format || "no format"}, ${record.workload}`),
    element("p", {}, record.machine, " ", badge(record.grade)),
    reasons.length ? element("ul", { class: "reasons" }, ...reasons) : null,
    record.status === "ok" ? null : element("p", { class: "alarm" }, `${record.status}: ${record.reason ?? "no reason was recorded"}`),
    ids.length > 1 ? others("Cases behind the number", ids.map((id) => byId.get(id)).filter(Boolean), record, true) : null,
    sessionsOf(record),
    element("dl", {}, ...facts));
}

function measuredFacts(record) {
  const versions = Object.entries(record.versions ?? {}).filter(([name]) => name !== "revision");
  const samples = record.samples_ns.map((ns) => ns.toLocaleString("en-US")).join("  ");
  return [
    ...told(record).map(([name, text]) => [name, element("strong", {}, text)]),
    ["Record", code(record.id)], ["Begun", moment(record)], ["Revision", code(revision(record))],
    ["Model hash", code(record.model_sha256)], ["Adapter", record.adapter], ["Driver", record.driver], ["Device", record.device],
    ["System", record.os], ["Player", record.runner ?? record.player], ["Method", method(record)],
    ["Exact", { true: "yes, the exactness probe passed", false: "NO, the exactness probe failed" }[record.exact]],
    ["Digest", code(record.digest)], ["Plan hash", code(record.plan_hash)], ["Shader hash", code(record.shader_hash)],
    ["Versions", versions.map(([name, text]) => `${name} ${text}`).join(", ") || null], ["Samples, ns", code(samples)],
    ["Case", code(record.case_key)],
  ];
}

function figureFacts(record) {
  const { figure } = record;
  return [
    ["Figure", element("strong", {}, figure.value === null ? record.reason ?? NONE : `${figure.value} ${figure.unit}`)],
    ["Source", figure.source], ["Table", figure.table], ["Line of the file", String(figure.line ?? UNTOLD)], ["Device", record.device],
    ["Note", figure.note || null], ["Record", code(record.id)], ["Appeared", record.started_at.slice(0, 10)],
    ["Revision", null], ["Model hash", null], ["Driver", null], ["Method", null],
  ];
}

function moment(record) {
  return record.started_at.replace("T", " ").replace("+00:00", " UTC");
}

function code(text) {
  return text ? element("code", {}, text) : null;
}

// How the numbers came about, in one sentence.
function method(record) {
  const sessions = siblings.get(record.cell).length;
  return [
    TIMED[record.timing] ?? record.timing, PLAYED[record.schedule] ?? record.schedule,
    `session ${record.session}${sessions > 1 ? `, ${sessions} records of this case` : ""}`,
    `${record.samples_ns.length} repetitions after ${record.warmups} for warm-up`,
    record.throttled ? `throttled -${record.throttled} %` : null,
    record.rest?.waited_s ? `rested ${record.rest.waited_s} s before` : null,
    record.prompt_tokens && !record.epoch ? `${record.prompt_tokens} prompt and ${record.generated_tokens} generated tokens` : null,
    record.epoch ? `${record.epoch[0]} of ${record.epoch[1]} steps of an epoch a repetition` : null,
  ].filter(Boolean).join("; ");
}

function sessionsOf(record) {
  const members = siblings.get(record.cell);
  return !record.figure && members.length > 1 ? others("All sessions of the case", cellOf(members).sessions, record) : null;
}

function others(title, members, current, cases = false) {
  const rate = (record) => (record.figure ? `${record.figure.value ?? record.reason}` : told(record)[0]?.[1] ?? record.status);
  const list = element("ul", { class: "others" });
  const more = inParts(members, (record) => element("li", {},
    element("a", { href: address(record), "aria-current": record === current ? "true" : null }, rate(record)),
    cases ? `, ${record.format} ${record.workload}` : null,
    `, ${moment(record)}, session ${record.session}, ${(revision(record) ?? "no revision").slice(0, 10)}`), list, "records");
  return element("section", {}, element("h3", {}, title), list, more);
}
