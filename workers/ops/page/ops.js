// The operator's page: the board every second while it is looked at, dead letters, and what can be done.

import { byId, count, h, linkOrText, seconds } from "./dom.js";
import { askForKey, KeyPlace, themeButton } from "./settings.js";

const EVERY_MS = 1000;
const LETTERS_EVERY_MS = 15000;
const TOLD_MS = 4000;
const SHOWN_ANSWERS = 25;
const PARTS = [["router", "router", "router_ms"], ["evidence", "search and SQL", ""], ["first", "first words", "first_words_ms"], ["writing", "writing", "writing_ms"]];

const place = new KeyPlace("askfleet.operator-key");
const chosen = new Set();
let letters = [];
let lettersAt = 0;
let toldUntil = 0;
let deadBefore = 0;

class Trouble extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

async function call(path, { key = place.read(), method = "GET", body } = {}) {
  const headers = { Authorization: `Bearer ${key}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Trouble("The connection is lost.");
  }
  const found = await response.json().catch(() => ({}));
  if (!response.ok) throw new Trouble(found.detail || `The server answered ${response.status}.`, response.status);
  return found;
}

async function watch() {
  for (;;) {
    const began = performance.now();
    try {
      if (!place.read()) await enter("");
      if (!document.hidden) await look();
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      if (error.status === 401) await enter(place.read() ? "This key is not known." : "");
      else live("lost", error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(200, EVERY_MS - (performance.now() - began))));
  }
}

async function enter(problem) {
  await askForKey(byId("key-dialog"), place, (key) => call("/ops/board", { key }), problem);
}

async function look() {
  const board = await call("/ops/board");
  drawProblems(board.overview.problems);
  drawStages(board.overview.stages);
  drawScaling(board.scaling);
  drawAnswers(board);
  drawWorkers(board.overview);
  if (performance.now() > toldUntil) live("on", "Live");
  const dead = board.overview.stages.reduce((sum, stage) => sum + stage.dead, 0);
  if (dead !== deadBefore || performance.now() - lettersAt > LETTERS_EVERY_MS || !lettersAt) await lookAtLetters();
  deadBefore = dead;
}

function live(state, text) {
  if (byId("live").textContent !== text) byId("live").textContent = text;
  byId("live").dataset.state = state;
}

// Draws anew only what changed, so that focus and selection stay.
function redraw(id, value, make) {
  const target = byId(id);
  const now = JSON.stringify(value);
  if (target.dataset.drawn === now) return;
  const focused = target.contains(document.activeElement) ? document.activeElement.dataset.focus : "";
  target.dataset.drawn = now;
  target.replaceChildren(...[make()].flat());
  if (focused) target.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function drawProblems(problems) {
  redraw("problems", problems, () => problems.length ? h("div", { class: "notice bad", role: "alert" }, h("strong", {}, "Not everything could be read"), problems.map((text) => h("p", {}, text))) : []);
}

function drawStages(stages) {
  const options = byId("stage");
  if (options.length === 1) options.append(...stages.map(({ stage }) => h("option", { value: stage }, stage)));
  redraw("stages", stages, () => stages.map((found) => {
    const unserved = found.workers === 0 && found.stored > 0;
    const facts = [["In work", found.in_work], ["Oldest waits", found.waiting ? seconds(found.oldest_age_s * 1000) : "-"], ["Workers", found.workers], ["Dead letters", found.dead]];
    return h(
      "article", { class: "stage", "data-alarm": unserved, "aria-label": found.stage },
      h("h3", {}, found.stage === "sql" ? "SQL" : found.stage),
      h("p", { class: "depth" }, found.waiting.toLocaleString("en"), h("small", {}, " waiting")),
      h("dl", {}, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: name === "Workers" && unserved ? "alarm" : undefined }, String(value))])),
    );
  }));
}

function known(value) {
  return value === null ? "-" : value.toLocaleString("en");
}

function clock(epochSeconds) {
  return epochSeconds === null ? "-" : new Date(epochSeconds * 1000).toLocaleTimeString();
}

function drawScaling(scaling) {
  redraw("scaling", scaling, () => {
    const local = scaling.decided === "local";
    const told = local
      ? `askfleet up decides here, by the ScaledObjects.${scaling.speed === 1 ? "" : ` KEDA's clock runs ${scaling.speed} times as fast.`}`
      : "No local scaler answers: in a cluster KEDA decides (kubectl get scaledobject,hpa). Its decisions are not known here; the lag is what it reads.";
    const head = local ? ["Scaled", "Metric", "Target each", "Desired", "Actual", "Range", "Since", "Why"] : ["Scaled", "Lag", "Target each", "Workers", "Note"];
    return [
      h("p", { class: "soft small" }, told),
      scroller("Table of what is scaled", head, scaling.scaled.map((found) => cells(local ? localScaled(found) : scaledElsewhere(found)))),
      scaling.decisions.length ? h("h3", { class: "small soft" }, "Last decisions") : "",
      scaling.decisions.length ? scroller("Table of decisions", ["At", "Scaled", "Replicas", "Metric", "Why"], scaling.decisions.map((made) => cells(decision(made)))) : "",
    ];
  });
}

function localScaled({ scaled_object: name, metric, target, desired, ready, starting, draining, least, most, since, why }) {
  const others = [[starting, "starting"], [draining, "draining"]].filter(([number]) => number).map(([number, word]) => `${number} ${word}`).join(", ");
  return [name, metric === null ? "unreadable" : known(metric), known(target), known(desired), others ? `${ready} (${others})` : known(ready), `${least} to ${most}`, clock(since), why];
}

function scaledElsewhere({ scaled_object: name, metric, target, ready, why }) {
  return [name, metric === null ? "unreadable" : known(metric), known(target), known(ready), why || "-"];
}

function decision({ at, scaled_object: name, before, desired, metric, reason }) {
  return [clock(at), name, `${before} to ${desired}`, known(metric), reason];
}

function cells(values) {
  return h("tr", {}, values.map((value) => h("td", {}, value)));
}

function scroller(label, head, rows) {
  return h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": label }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows)));
}

function brief(ms) {
  return ms < 1000 ? `${ms} ms` : seconds(ms);
}

// In minutes, so that the table stands still.
function upFor(startedAt) {
  const ms = Date.now() - startedAt;
  return ms < 60000 ? "under 1 min" : seconds(Math.max(90000, Math.floor(ms / 60000) * 60000));
}

function evidenceMs(answer) {
  const found = [answer.retrieval_ms, answer.sql_ms].filter((ms) => ms !== null);
  return found.length ? Math.max(...found) : null;
}

function timesOf(answer) {
  return PARTS.map(([part, word, field]) => [part, word, field ? answer[field] : evidenceMs(answer)]).filter(([, , ms]) => ms !== null);
}

function drawAnswers({ answers, trace_link: traceUrl }) {
  const shown = answers.slice(0, SHOWN_ANSWERS);
  redraw("answers", shown, () => {
    if (!shown.length) return h("p", { class: "empty" }, "No answer in the last minutes.");
    const head = ["Question", "Tenant", "Route", "State", "Time of each stage", "Total", "Do"].map((name) => h("th", { scope: "col" }, name));
    return h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table of answers" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, shown.map((answer) => answerRow(answer, traceUrl)))));
  });
}

function answerRow(answer, traceUrl) {
  const times = timesOf(answer);
  const told = times.map(([, word, ms]) => `${word} ${brief(ms)}`).join(", ");
  const bars = times.map(([part, , ms]) => {
    const bar = h("span", { "data-part": part });
    bar.style.flexGrow = String(Math.max(ms, 1));
    return bar;
  });
  const trace = traceUrl && answer.trace_id ? linkOrText(traceUrl.replace("{trace_id}", answer.trace_id)) : null;
  if (trace) trace.textContent = "Trace";
  const cancel = h("button", { type: "button", class: "danger", "data-focus": `cancel-${answer.id}`, onclick: () => cancelAnswer(answer) }, "Cancel");
  return h(
    "tr", {},
    h("td", { class: "question" }, answer.question || "-", h("span", { class: "soft" }, answer.problem || answer.id)),
    h("td", {}, answer.tenant),
    h("td", {}, answer.route || "-"),
    h("td", {}, h("span", { class: "state", "data-state": answer.state }, answer.state)),
    h("td", { class: "times" }, h("span", { class: "small soft" }, told || "-"), times.length ? h("span", { class: "track", "aria-hidden": "true" }, bars) : null),
    h("td", { class: "figure" }, answer.total_ms === null ? "-" : brief(answer.total_ms)),
    h("td", {}, answer.state === "running" ? cancel : trace || "-"),
  );
}

async function cancelAnswer({ tenant, id, question }) {
  if (!(await sure("Cancel this answer?", question || id, "Cancel it"))) return;
  await act(async () => {
    const { fate } = await call("/ops/cancel", { method: "POST", body: { tenant, id } });
    return { cancelled: "Cancelled", ended: "It had ended already", unknown: "No such answer is under way" }[fate];
  });
}

function drawWorkers({ workers }) {
  const rows = workers.map(({ name, kind, host, pid, concurrency, in_work: inWork, ready, conditions, started_at: startedAt, version }) => {
    const missing = Object.entries(conditions).filter(([, holds]) => !holds).map(([condition]) => condition);
    return { name, kind, where: `${host} ${pid}`, work: concurrency ? `${inWork} of ${concurrency}` : "-", ready, missing, up: upFor(startedAt), version };
  });
  redraw("workers", rows, () => {
    if (!rows.length) return h("p", { class: "empty" }, "No worker answers.");
    const head = ["Worker", "State", "In work", "Host, process", "Up for", "Version"].map((name) => h("th", { scope: "col" }, name));
    const line = (row) => h(
      "tr", {}, h("td", {}, row.name),
      h("td", {}, h("span", { class: "state", "data-state": row.ready ? "ready" : "away" }, row.ready ? "ready" : `not ready: ${row.missing.join(", ")}`)),
      h("td", { class: "number" }, row.work), h("td", {}, row.where), h("td", { class: "number" }, row.up), h("td", {}, row.version),
    );
    return h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table of workers" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map(line))));
  });
}

// Dead letters.

async function lookAtLetters() {
  lettersAt = performance.now();
  const found = await call(`/ops/letters?stage=${encodeURIComponent(byId("stage").value)}`);
  letters = found.letters;
  const there = new Set(letters.map(({ sequence }) => sequence));
  [...chosen].filter((sequence) => !there.has(sequence)).forEach((sequence) => chosen.delete(sequence));
  drawLetters(found.more);
}

function drawLetters(more) {
  redraw("letters", [letters, [...chosen], more], () => {
    if (!letters.length) return h("p", { class: "empty" }, "Nothing was given up.");
    const all = h("input", { type: "checkbox", "aria-label": "Choose all", "data-focus": "all", onchange: () => choose(letters, all.checked) });
    all.checked = letters.every(({ sequence }) => chosen.has(sequence));
    const head = [h("th", { scope: "col" }, all), ...["Number", "Stage", "Tenant", "Reason", "Attempts", "Given up", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Show")))];
    const table = h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, letters.map(letterRow)));
    return [h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table of dead letters" }, table), more ? h("p", { class: "soft small" }, "Older ones exist: askfleet dlq list.") : ""];
  });
  byId("replay").disabled = byId("purge").disabled = chosen.size === 0;
  byId("replay").textContent = chosen.size ? `Replay ${chosen.size}` : "Replay";
  byId("purge").textContent = chosen.size ? `Purge ${chosen.size}` : "Purge";
}

function letterRow(letter) {
  const box = h("input", { type: "checkbox", "aria-label": `Choose ${letter.sequence}`, "data-focus": `box-${letter.sequence}`, onchange: () => choose([letter], box.checked) });
  box.checked = chosen.has(letter.sequence);
  const show = h("button", { type: "button", "data-focus": `show-${letter.sequence}`, onclick: () => showLetter(letter.sequence) }, "Show");
  return h(
    "tr", {}, h("td", {}, box), h("td", { class: "number" }, String(letter.sequence)), h("td", {}, letter.stage), h("td", {}, letter.tenant),
    h("td", { class: "question" }, letter.reason, h("span", { class: "soft" }, letter.code)),
    h("td", { class: "number" }, String(letter.attempts)), h("td", {}, new Date(letter.buried_at).toLocaleString()), h("td", {}, show),
  );
}

function choose(some, wanted) {
  some.forEach(({ sequence }) => (wanted ? chosen.add(sequence) : chosen.delete(sequence)));
  drawLetters(false);
}

async function showLetter(sequence) {
  await act(async () => {
    const { letter, headers, body } = await call(`/ops/letters/${sequence}`);
    byId("letter-title").textContent = `Dead letter ${sequence}`;
    const facts = { Stage: letter.stage, Tenant: letter.tenant, Query: letter.query_id, Reason: letter.reason, Trace: letter.trace_id, ...headers };
    byId("letter-facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
    byId("letter-body").textContent = body;
    byId("letter").showModal();
    return "";
  });
}

async function replayChosen() {
  const sequences = [...chosen];
  if (!(await sure(`Replay ${count(sequences.length, "dead letter")}?`, "Each is asked again under an id of its own, and taken off.", "Replay"))) return;
  await act(async () => {
    const outcomes = await call("/ops/letters/replay", { method: "POST", body: { sequences } });
    const impossible = outcomes.filter(({ outcome }) => outcome === "impossible");
    const done = outcomes.filter(({ outcome }) => outcome === "replayed").length;
    return [`Replayed ${done} of ${outcomes.length}`, ...impossible.map(({ sequence, note }) => `${sequence}: ${note}`)].join(". ");
  });
}

async function purgeChosen() {
  const sequences = [...chosen];
  if (!(await sure(`Purge ${count(sequences.length, "dead letter")}?`, "They are gone for good.", "Purge"))) return;
  await act(async () => `Purged ${(await call("/ops/letters/purge", { method: "POST", body: { sequences } })).purged}`);
}

// Does it, tells what came of it, looks again.
async function act(deed) {
  try {
    const told = await deed();
    if (told) live("on", told);
    toldUntil = performance.now() + TOLD_MS;
    lettersAt = 0;
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    live("lost", error.message);
    toldUntil = performance.now() + TOLD_MS;
  }
}

function sure(title, text, word) {
  const dialog = byId("sure");
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = text;
  byId("sure-yes").textContent = word;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

byId("key").addEventListener("click", () => enter(""));
byId("key-forget").addEventListener("click", () => {
  place.forget();
  location.reload();
});
byId("letter-close").addEventListener("click", () => byId("letter").close());
byId("replay").addEventListener("click", replayChosen);
byId("purge").addEventListener("click", purgeChosen);
byId("stage").addEventListener("change", () => act(async () => {
  await lookAtLetters();
  return "";
}));
themeButton(byId("theme"));
watch();
