// Elements: how parts of the page are made. Texts of records only ever become text.

const ROWS_AT_ONCE = 200;

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A number, or another text, that leads to its record.
function linked(record, text, properties = {}) {
  return text === NONE ? NONE : element("a", { href: address(record), ...properties }, text);
}

function badge(grade) {
  return element("span", { class: `badge ${grade.replaceAll(" ", "-")}` }, grade);
}

// `head`: a name and its unit, each a line.
function headCell(head) {
  return element("th", { scope: "col" }, head[0], ...head.slice(1).flatMap((line) => [" ", element("small", {}, line)]));
}

// A table that scrolls by itself where it is wider than the page, also by keys.
function scrolling(label, ...children) {
  return element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, element("table", {}, ...children));
}

// The first of many parts, and a button for more. `make(member)` is a node.
function inParts(members, make, into, what) {
  const more = element("button", { type: "button", class: "more" });
  let at = 0;
  const next = () => {
    into.append(...members.slice(at, at + ROWS_AT_ONCE).map(make));
    at += ROWS_AT_ONCE;
    more.hidden = at >= members.length;
    more.textContent = `Show more: ${(members.length - at).toLocaleString("en-US")} ${what} left`;
  };
  more.addEventListener("click", next);
  next();
  return more;
}
