// What the database said: the statement, its rows as a table, and a chart where they want one.

import { copyText, count, h, svg } from "./dom.js";

// In units of the drawing, which are pixels where it has its full width: letters stay readable on a phone.
const width = () => Math.min(700, Math.max(320, innerWidth - 40));
const SHOWN_ROWS = 20;
const MOST_BARS = 24;
const MOST_POINTS = 400;
// Numbers that name something: no thousands are marked in them, and no chart measures them.
const NAMELIKE = /(^|_| )(id|no|number|code|zip|year|month)$/i;
const DATE = /^\d{4}-\d{2}(-\d{2})?([T ]|$)/;

// `told`: the answer itself shows the rows, so they are folded away here.
export function rowsView(rows, told) {
  const view = h("section", { class: "rows", "aria-label": "From the database" });
  const chart = chartOf(rows);
  if (chart) view.append(chart);
  const rowsShown = rows.columns.length ? table(rows) : null;
  if (rowsShown && told) view.append(h("details", { class: "statement" }, h("summary", {}, count(rows.rows.length, "row")), rowsShown));
  else if (rowsShown) view.append(rowsShown);
  if (rows.statement) view.append(statement(rows));
  return view;
}

function statement(rows) {
  const copy = h("button", { type: "button", class: "quiet", onclick: () => copyText(rows.statement) }, "Copy SQL");
  const words = { low: "not sure that it asks what you meant", none: "unsure" }[rows.confidence];
  return h(
    "details", { class: "statement" },
    h("summary", {}, `SQL${words ? `, ${words}` : ""}${rows.took_ms ? `, ${Math.round(rows.took_ms)} ms` : ""}`),
    h("pre", { tabindex: "0", "aria-label": "SQL statement" }, h("code", {}, rows.statement)),
    rows.reason ? h("p", {}, rows.reason) : null,
    copy,
  );
}

function table(rows) {
  const figures = rows.columns.map((_, at) => isNumeric(rows.rows.map((row) => row[at])));
  const plain = rows.columns.map((name) => NAMELIKE.test(name));
  const cell = (value, at) => h("td", { class: figures[at] ? "figure" : undefined }, shown(value, plain[at]));
  const line = (row) => h("tr", {}, row.map(cell));
  const body = h("tbody", {}, rows.rows.slice(0, SHOWN_ROWS).map(line));
  const total = count(rows.rows.length, "row");
  const head = rows.columns.map((name, at) => h("th", { scope: "col", class: figures[at] ? "figure" : undefined }, name));
  const found = h(
    "table", {},
    h("caption", { class: "unseen" }, `Result: ${rows.truncated ? `the first ${total}` : total}`),
    h("thead", {}, h("tr", {}, head)),
    body,
  );
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Rows of the result" }, found);
  const left = rows.rows.length - SHOWN_ROWS;
  const parts = [scroller];
  if (left > 0) {
    const more = h("button", { type: "button", class: "quiet", onclick: () => {
      body.append(...rows.rows.slice(SHOWN_ROWS).map(line));
      more.remove();
    } }, `Show ${count(left, "more row")}`);
    parts.push(more);
  }
  if (rows.truncated) parts.push(h("p", { class: "soft small" }, "More rows exist than were fetched."));
  return h("div", {}, parts);
}

function shown(value, plain) {
  if (value === null) return h("span", { class: "soft" }, "none");
  if (typeof value === "number") return plain ? String(value) : format(value);
  return String(value);
}

function format(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 4 });
}

// Numbers may come as text: PostgreSQL's numeric does.
function number(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) && value.length < 18 ? Number(value) : NaN;
}

function isNumeric(values) {
  const known = values.filter((value) => value !== null);
  return known.length > 0 && known.every((value) => !Number.isNaN(number(value)));
}

// One column names things, another measures them: bars; along time: a line. Else the table says it better.
function chartOf({ columns, rows }) {
  if (rows.length < 2 || columns.length < 2) return null;
  const column = (at) => rows.map((row) => row[at]);
  const places = columns.map((_, at) => at);
  const time = places.find((at) => column(at).every((value) => typeof value === "string" && DATE.test(value)));
  const numeric = places.filter((at) => at !== time && isNumeric(column(at)));
  const labels = time ?? places.find((at) => column(at).every((v) => typeof v === "string") && !numeric.includes(at));
  const wanted = numeric.filter((at) => at !== labels && !NAMELIKE.test(columns[at]));
  if (labels === undefined || wanted.length !== 1 || columns.length > 3) return null;
  const points = rows.map((row) => ({ label: String(row[labels]), value: number(row[wanted[0]]) }));
  if (points.some(({ value }) => Number.isNaN(value))) return null;
  const name = `${columns[wanted[0]]} by ${columns[labels]}`;
  if (time !== undefined && points.length > 2 && points.length <= MOST_POINTS) return figure(line(points, name), name);
  return points.length <= MOST_BARS ? figure(bars(points, name), name) : null;
}

function figure(drawing, name) {
  return h("figure", { class: "chart" }, drawing, h("figcaption", { class: "unseen" }, name));
}

function summary(points, name) {
  const top = points.reduce((a, b) => (b.value > a.value ? b : a));
  return `${name}: ${count(points.length, "value")}, the highest is ${top.label} with ${format(top.value)}`;
}

function bars(points, name) {
  const step = 26;
  const longest = Math.floor(width() * 0.04);
  const right = width() - 80;
  const left = Math.min(width() * 0.32, 20 + 7 * Math.max(...points.map(({ label }) => Math.min(label.length, longest))));
  const low = Math.min(0, ...points.map(({ value }) => value));
  const span = Math.max(0, ...points.map(({ value }) => value)) - low || 1;
  const x = (value) => left + ((value - low) / span) * (right - left);
  const drawn = points.flatMap(({ label, value }, at) => {
    const y = at * step + 4;
    const from = Math.min(x(0), x(value));
    return [
      svg("text", { x: left - 10, y: y + 13, "text-anchor": "end" }, label.length > longest ? `${label.slice(0, longest - 1)}…` : label),
      svg("rect", { class: "mark", x: from, y, width: Math.max(1.5, Math.abs(x(value) - x(0))), height: 18, rx: 3 }),
      svg("text", { class: "value", x: Math.max(x(value), x(0)) + 8, y: y + 13 }, format(value)),
    ];
  });
  return svg("svg", { viewBox: `0 0 ${width()} ${points.length * step + 4}`, role: "img", "aria-label": summary(points, name) }, drawn);
}

function line(unordered, name) {
  const points = [...unordered].sort((a, b) => (a.label < b.label ? -1 : 1));
  const low = Math.min(0, ...points.map(({ value }) => value));
  const high = Math.max(...points.map(({ value }) => value));
  const right = width() - 20;
  const x = (at) => 56 + (at / (points.length - 1)) * (right - 56);
  const y = (value) => 12 + (1 - (value - low) / (high - low || 1)) * 160;
  const ends = [points[0], points.at(-1)].map(({ label }) => label.slice(0, 10));
  return svg(
    "svg", { viewBox: `0 0 ${width()} 204`, role: "img", "aria-label": summary(points, name) },
    svg("line", { class: "axis", x1: 56, x2: right, y1: y(low), y2: y(low) }),
    svg("line", { class: "axis", x1: 56, x2: right, y1: y(high), y2: y(high) }),
    svg("text", { x: 48, y: y(high) + 4, "text-anchor": "end" }, format(high)),
    svg("text", { x: 48, y: y(low) + 4, "text-anchor": "end" }, format(low)),
    svg("polyline", { class: "stroke", points: points.map(({ value }, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    svg("text", { x: 56, y: 194 }, ends[0]),
    svg("text", { x: right, y: 194, "text-anchor": "end" }, ends[1]),
  );
}
