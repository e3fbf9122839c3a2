// The way of a question: where it waits, how it was routed and why, what was found.

import { count, h, seconds } from "./dom.js";

const SOURCES = { documents: "Documents", sql: "Database", both: "Documents and database", direct: "No sources needed" };
const WAITING = { router: "Queued", retrieval: "Search queued", sql: "Database queued", generation: "Writing queued" };

export function drawWay(list, turn, now) {
  const made = steps(turn, now);
  const wanted = made.map(({ state, text }) => `${state} ${text}`);
  if (list.dataset.drawn === wanted.join("\n")) return;
  list.dataset.drawn = wanted.join("\n");
  list.replaceChildren(...made.map(({ state, text }) => h("li", { "data-state": state }, text)));
}

// State: past, now, bad, or off (that nothing came of it).
function steps(turn, now) {
  const { routed, evidence, rows } = turn;
  const made = [];
  const since = now - (turn.changedAt || turn.at);
  const waiting = (stage, word) => {
    const place = turn.places.find((found) => found.stage === stage);
    const queued = place?.state === "waiting";
    const parts = [queued ? WAITING[stage] : word];
    if (queued) parts.push(place.ahead ? `${place.ahead} before it` : "next in line");
    if (since > 2000) parts.push(`for ${seconds(since)}`);
    return parts.join(", ");
  };
  const live = turn.status === "running";
  if (!routed) {
    if (live) made.push({ state: "now", text: waiting("router", turn.accepted ? "Choosing sources" : "Queued") });
    return [...made, ...ending(turn)];
  }
  const sure = Object.keys(routed.probabilities || {}).length ? `, ${Math.round(routed.confidence * 100)} % sure` : "";
  made.push({ state: "past", text: `${SOURCES[routed.route] || routed.route}${sure}` });
  const documents = routed.route === "documents" || routed.route === "both";
  const database = routed.route === "sql" || routed.route === "both";
  if (documents && evidence) made.push(foundPassages(evidence));
  else if (documents && live) made.push({ state: "now", text: waiting("retrieval", "Searching") });
  if (database && rows) made.push(foundRows(rows));
  else if (database && live) made.push({ state: "now", text: waiting("sql", "Asking the database") });
  const ready = (!documents || evidence) && (!database || rows);
  if (live && ready) made.push({ state: "now", text: turn.text ? "Writing" : waiting("generation", "Reading") });
  return [...made, ...ending(turn)];
}

function foundPassages({ passages, problem }) {
  if (problem) return { state: "bad", text: "Documents could not be searched" };
  if (!passages.length) return { state: "off", text: "No passages" };
  return { state: "past", text: count(passages.length, "passage") };
}

function foundRows({ statement, rows, problem }) {
  if (problem) return { state: "bad", text: "Database could not be asked" };
  if (!statement) return { state: "off", text: "No fitting SQL" };
  return { state: "past", text: count(rows.length, "row") };
}

function ending({ status, took }) {
  if (status === "done") return [{ state: "past", text: took ? `Answered in ${seconds(took)}` : "Answered" }];
  if (status === "cancelled") return [{ state: "off", text: "Stopped" }];
  return status === "failed" ? [{ state: "bad", text: "Failed" }] : [];
}

// Why this route; null where there is nothing to tell.
export function whyView({ routed }) {
  const chances = Object.entries(routed.probabilities || {}).sort((a, b) => b[1] - a[1]);
  if (!chances.length && !routed.reason && !routed.question) return null;
  const lines = chances.flatMap(([route, value]) => [
    h("dt", {}, SOURCES[route] || route),
    h("dd", {}, h("meter", { min: 0, max: 1, value, "aria-label": SOURCES[route] || route })),
    h("dd", { class: "number" }, `${Math.round(value * 100)} %`),
  ]);
  return h(
    "details", { class: "why" },
    h("summary", {}, "Why there?"),
    routed.reason ? h("p", {}, routed.reason) : null,
    routed.question ? h("p", {}, `Understood as: ${routed.question}`) : null,
    lines.length ? h("dl", {}, lines) : null,
  );
}
