// Numbers: how they are written, and what several sessions come to. As tables.py writes them for one record.

const NONE = "–";
const WRITTEN = [0, 1, 2, 3].map((digits) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));

// At least three significant digits of `like`, thousands separated.
function number(value, like = value) {
  const size = Math.abs(like);
  return WRITTEN[size >= 100 ? 0 : size >= 10 ? 1 : 2].format(value);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function mad(values) {
  const middle = median(values);
  return median(values.map((value) => Math.abs(value - middle)));
}

// Sessions' values of one column, oldest first, each an array: the text of the cell.
function shown(kind, sessions) {
  if (!sessions.length) return NONE;
  const middles = sessions[0].map((_, at) => median(sessions.filter((each) => each.length > at).map((each) => each[at])));
  if (kind === "whole") return WRITTEN[0].format(middles[0]);
  if (kind === "loss") return sessions[sessions.length - 1].map((value) => WRITTEN[3].format(value)).join("/");
  if (kind === "epoch") return (sessions.some((each) => each[1]) ? "~" : "") + number(middles[0]);
  if (kind !== "spread") return middles.map((value) => number(value)).join("/");
  const spread = sessions.length > 1 ? mad(sessions.map((each) => each[0])) : middles[1];
  return `${number(middles[0])} ± ${number(spread, middles[0])}`;
}
