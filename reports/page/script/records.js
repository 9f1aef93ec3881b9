// Records: the data inside the page as objects, and the cells of the matrix that they make.

const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns.map(([name, head, kind]) => ({ name, head: head.split("\n"), kind }));
const contexts = data.contexts.map((row) => {
  const cell = row[row.length - 1];
  const texts = row.slice(0, -1).map((at) => data.texts[at]);
  return Object.fromEntries(data.contextFields.map((name, at) => [name, name === "cell" ? cell : texts[at]]));
});
const records = data.records.map((row) => {
  const told = Object.fromEntries(data.recordFields.map((name, at) => [name, row[at]]));
  told.status = data.texts[told.status];
  told.reason = data.texts[told.reason];
  return Object.assign(Object.create(contexts[told.context]), told);
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

function address(record) {
  return `#r-${encodeURIComponent(record.id)}`;
}

// A cell of the matrix: the sessions of one case. Those that did not run, or ran an older revision, do not count.
function cellOf(members) {
  const sessions = [...members].sort((a, b) => (a.started_at < b.started_at ? -1 : a.started_at > b.started_at ? 1 : 0));
  const ran = sessions.filter((record) => record.status === "ok");
  const latest = ran[ran.length - 1];
  const counted = ran.filter((record) => revision(record) === revision(latest));
  return { sessions, ran, counted, latest: latest ?? sessions[sessions.length - 1] };
}

// What the counted sessions have in a column.
function valuesOf(cell, at) {
  return cell.counted.map((record) => record.values[at]).filter(Boolean);
}
