// Records: the data inside the page as objects, and the cells of the matrix that they make.

const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns.map(([name, head, kind]) => ({ name, head: head.split("\n"), kind }));
const contexts = data.contexts.map((row) => {
  const cell = row[row.length - 1];
  const texts = row.slice(0, -1).map((at) => data.texts[at]);
  return Object.fromEntries(data.contextFields.map((name, at) => [name, name === "cell" ? cell : texts[at]]));
});
const records = data.records.map((row) => {
  const own = Object.fromEntries(data.recordFields.map((name, at) => [name, row[at]]));
  own.status = data.texts[own.status];
  own.reason = data.texts[own.reason];
  return Object.assign(Object.create(contexts[own.context]), own);
});
const byId = new Map(records.map((record) => [record.id, record]));
const siblings = grouped(records, (record) => record.cell);

function grouped(members, key) {
  const groups = new Map();
  for (const member of members) {
    const found = groups.get(key(member));
    if (found) found.push(member);
    else groups.set(key(member), [member]);
  }
  return groups;
}

function revision(record) {
  return record.versions?.revision ?? null;
}

function byTime(a, b) {
  return a.started_at < b.started_at ? -1 : Number(a.started_at > b.started_at);
}

// [name of a column, text] of everything that one record tells.
function told(record) {
  return columns.map(({ name, kind }, at) => [name, record.values[at], kind]).filter(([, values]) => values)
    .map(([name, values, kind]) => [name, shown(kind, [values])]);
}

function address(record) {
  return `#r-${encodeURIComponent(record.id)}`;
}

// A cell of the matrix: the sessions of one case. Those that did not run, or ran an older revision, do not count.
function cellOf(members) {
  const sessions = [...members].sort(byTime);
  const ran = sessions.filter((record) => record.status === "ok");
  const latest = ran[ran.length - 1];
  const counted = ran.filter((record) => revision(record) === revision(latest));
  return { sessions, ran, counted, latest: latest ?? sessions[sessions.length - 1] };
}

// What the counted sessions have in a column.
function valuesOf(cell, at) {
  return cell.counted.map((record) => record.values[at]).filter(Boolean);
}
