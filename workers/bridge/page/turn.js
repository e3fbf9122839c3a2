// One question and its answer: the events folded into plain values, and their view.

import { copyText, h, linkOrText, seconds } from "./dom.js";
import { feedbackView } from "./feedback.js";
import { draw, hasTable } from "./markdown.js";
import { rowsView } from "./rows.js";
import { isKnown, openSource, sourcesView } from "./sources.js";
import { drawWay, whyView } from "./way.js";

export function newTurn(id, question, asked) {
  return {
    ...UNTOLD, id, question, asked, at: Date.now(), changedAt: Date.now(), status: "running", last: 0, places: [],
    answered: true, took: 0,
  };
}

const UNTOLD = { accepted: false, routed: null, evidence: null, rows: null, text: "", citations: [], problem: null };

export function fold(turn, event) {
  if (event.index === 1) Object.assign(turn, UNTOLD); // Told from the beginning: after a reload.
  turn.last = event.index;
  turn.changedAt = Date.now();
  turn.places = [];
  if (event.type === "accepted") Object.assign(turn, { accepted: true, acceptedAt: event.at });
  else if (event.type === "routed") turn.routed = event;
  else if (event.type === "evidence") turn.evidence = event;
  else if (event.type === "rows") turn.rows = event;
  else if (event.type === "delta") turn.text += event.text;
  else if (event.type === "done") {
    const { text, citations, answered } = event;
    Object.assign(turn, { text, citations, answered, status: "done" });
  } else if (event.type === "failed") Object.assign(turn, { problem: event.problem, status: "failed" });
  else if (event.type === "cancelled") turn.status = "cancelled";
  if (turn.status !== "running" && turn.acceptedAt) turn.took = event.at - turn.acceptedAt;
}

export class TurnView {
  // `deeds`: what the page does when asked again, or when a thumb is given.
  constructor(turn, deeds) {
    Object.assign(this, { turn, deeds, drawn: [], timer: 0, shown: {} });
    this.way = h("ol", { class: "way", "aria-label": "The way of the question" });
    this.why = h("div");
    this.facts = h("div");
    this.answer = h("div", { class: "answer", "aria-busy": "true" });
    this.notice = h("div");
    this.sources = h("div");
    this.deedsBar = h("div");
    this.element = h(
      "article", { class: "turn", "aria-labelledby": `question-${turn.id}` },
      h("h2", { id: `question-${turn.id}`, tabindex: "-1" }, turn.question),
      this.way, this.why, this.answer, this.notice, this.facts, this.sources, this.deedsBar,
    );
    this.draw();
  }

  // Many tokens, one drawing.
  soon() {
    if (!this.timer) this.timer = setTimeout(() => this.draw(), 40);
  }

  draw() {
    clearTimeout(this.timer);
    this.timer = 0;
    const { turn } = this;
    const running = turn.status === "running";
    drawWay(this.way, turn, Date.now());
    this.once("why", turn.routed, () => this.why.replaceChildren(...some(whyView(turn))));
    if (turn.rows?.statement && !turn.rows.problem) {
      const told = !running && hasTable(turn.text);
      this.once("rows", `${told}`, () => this.facts.replaceChildren(rowsView(turn.rows, told)));
    }
    this.once("sources", `${Boolean(turn.evidence)} ${running}`, () => this.sources.replaceChildren(...some(sourcesView(turn))));
    if (this.drawnStatus !== turn.status) this.drawn = this.clear();
    this.drawnStatus = turn.status;
    this.answer.setAttribute("aria-busy", String(running && Boolean(turn.text)));
    this.drawn = draw(this.answer, turn.text, (number) => this.cite(number), this.drawn);
    this.answer.hidden = !turn.text;
    this.notice.replaceChildren(...some(noticeOf(turn, this.deeds)));
    this.once("deeds", turn.status, () => this.deedsBar.replaceChildren(...some(running ? null : this.deedsView())));
  }

  clear() {
    this.answer.replaceChildren();
    return [];
  }

  once(name, value, act) {
    if (this.shown[name] === value || !value) return;
    this.shown[name] = value;
    act();
  }

  cite(number) {
    const { turn } = this;
    if (!isKnown(turn, number)) return h("span", { class: "cite" }, String(number));
    const open = () => openSource(turn, number, this.element);
    return h("button", { type: "button", class: "cite", "aria-label": `Source ${number}`, onclick: open }, String(number));
  }

  deedsView() {
    const { turn, deeds } = this;
    const again = h("button", { type: "button", class: "quiet", onclick: () => deeds.again(turn) }, "Ask again");
    const copy = h("button", { type: "button", class: "quiet", onclick: async () => {
      await copyText(asText(turn));
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    } }, "Copy");
    const bar = h("div", { class: "deeds" }, turn.text ? copy : null, again);
    if (turn.status !== "done") return bar;
    const { thumbs, remark } = feedbackView(turn, deeds);
    if (turn.trace) bar.append(traceLink(turn.trace));
    bar.append(...thumbs);
    return h("div", {}, bar, remark);
  }
}

function traceLink(address) {
  const link = linkOrText(address);
  link.className = "trace";
  link.textContent = "Trace";
  return link;
}

function some(view) {
  return view ? [view] : [];
}

function noticeOf(turn, deeds) {
  if (turn.trouble) return troubleView(turn, deeds);
  if (turn.status === "failed") {
    const { title, detail, remedy } = turn.problem;
    return h("div", { class: "notice bad", role: "alert" }, h("strong", {}, title), detail, h("span", { class: "remedy" }, ` ${remedy}`));
  }
  if (turn.status === "done" && !turn.answered) {
    return h("p", { class: "notice" }, "Your documents and databases do not hold an answer to this.");
  }
  const limits = [turn.evidence?.problem, turn.rows?.problem].filter(Boolean);
  if (limits.length) return h("div", { class: "notice" }, limits.map(({ detail }) => h("p", {}, detail)));
  return null;
}

// A question that did not get through, or a connection that is away.
function troubleView(turn, deeds) {
  const { title, detail, comesAt } = turn.trouble;
  const left = comesAt ? Math.max(0, comesAt - Date.now()) : 0;
  return h(
    "div", { class: turn.status === "running" ? "notice" : "notice bad", role: comesAt ? undefined : "alert" },
    h("strong", {}, title), detail,
    comesAt ? h("p", { class: "number" }, `Asking again in ${seconds(Math.ceil(left / 1000) * 1000)}`) : null,
    comesAt ? h("button", { type: "button", onclick: () => deeds.giveUp(turn) }, "Don't ask again") : null,
  );
}

function asText(turn) {
  const titles = turn.citations.map(({ number, title, source }) => `[${number}] ${title || source}${source && title ? `, ${source}` : ""}`);
  return titles.length ? `${turn.text}\n\n${titles.join("\n")}` : turn.text;
}
