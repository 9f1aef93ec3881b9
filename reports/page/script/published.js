// Published: figures as they were printed, beside ours of the same metric and size of model, each with its grade.

const OUR_COLUMN = JSON.parse(document.getElementById("metrics").textContent);
const STRUCK = ["suspect", "impossible"];

function published(found) {
  const figures = found.filter((record) => record.figure);
  if (!figures.length) return [element("p", { class: "soft" }, "The filter leaves no published figure.")];
  const ours = [...grouped(found.filter((record) => !record.figure), (record) => record.cell).values()].map(cellOf);
  return [...grouped(figures, (record) => JSON.stringify([record.figure.metric, record.figure.unit])).values()]
    .map((members) => metricPart(members, ours));
}

function metricPart(figures, ours) {
  const { metric, unit } = figures[0].figure;
  const at = columns.findIndex((column) => column.name === OUR_COLUMN[metric]);
  const beside = at < 0 ? [] : ours.filter((cell) => valuesOf(cell, at).length && (metric !== "vram_peak" || trains(cell)));
  const formats = [...new Set([...beside.map((cell) => cell.latest.format), ...figures.map((record) => record.format)])].sort();
  const sizes = [...new Set(figures.map((record) => record.size))];
  const title = metric.replaceAll("_", " ");
  const [most] = [...grouped(figures, sourceOf)].sort((a, b) => b[1].length - a[1].length)[0];
  const detail = (record) => (sourceOf(record) === most ? null : sourceOf(record));
  return element("div", { class: "machine" },
    element("h3", {}, title.charAt(0).toUpperCase() + title.slice(1), unit ? element("small", {}, `, ${unit}`) : null),
    element("p", { class: "soft small" }, `Printed in ${most}, where nothing else is said.`),
    scrolling(`Published ${title}`,
      element("thead", {}, element("tr", {}, ...[["Device"], ...formats.map((format) => [format || "no format"])].map(headCell))),
      ...sizes.map((size) => sizeBody(size, formats, beside.filter((cell) => cell.latest.size === size),
        figures.filter((record) => record.size === size), at, detail))));
}

function sourceOf({ figure }) {
  return `${figure.source}, table ${figure.table}`;
}

function sizeBody(size, formats, ours, figures, at, detail) {
  const measured = grouped(ours, ({ latest }) => JSON.stringify([latest.machine, latest.workload, latest.grade]));
  const printed = grouped(figures, ({ device, figure }) => JSON.stringify([device, figure.source, figure.table]));
  return element("tbody", {},
    element("tr", { class: "model" }, element("th", { scope: "rowgroup", colspan: formats.length + 1 }, element("span", {}, size || "no model"))),
    ...[...measured.values()].map((cells) => besideRow(cells[0].latest.machine, cells[0].latest.workload, formats,
      (format) => cells.filter((cell) => cell.latest.format === format).flatMap((cell) => [
        linked(cell.latest, shown(columns[at].kind, valuesOf(cell, at))), badge(cell.latest.grade)]), "ours")),
    ...[...printed.values()].map((members) => besideRow(members[0].device, detail(members[0]), formats,
      (format) => members.filter((record) => record.format === format).flatMap(printedCell))));
}

function besideRow(name, detail, formats, content, kind = null) {
  return element("tr", { class: kind }, element("th", { scope: "row" }, name, " ", detail ? element("small", {}, detail) : null),
    ...formats.map(content).map((parts) => element("td", {}, ...(parts.length ? parts : [NONE]))));
}

function printedCell(record) {
  const { value } = record.figure;
  const text = value === null ? record.reason ?? record.status : number(value);
  const link = linked(record, text, { title: record.grade_reasons[0], class: value === null ? "reason" : null });
  return [STRUCK.includes(record.grade) ? element("s", {}, link) : link, badge(record.grade)];
}
