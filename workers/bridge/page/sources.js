// What an answer rests on: the passages it cites, then those that were found beside.

import { count, h, linkOrText } from "./dom.js";

export function sourcesView(turn) {
  const passages = turn.evidence?.passages || [];
  const cited = turn.citations.filter(({ kind }) => kind === "passage").map((citation) => ({
    number: citation.number,
    passage: passages.find(({ chunk_id: id }) => id === citation.chunk_id) || citation,
  }));
  const used = new Set(cited.map(({ passage }) => passage));
  const others = passages.map((passage, at) => ({ number: at + 1, passage })).filter(({ passage }) => !used.has(passage));
  if (!cited.length && !others.length) return null;
  const word = cited.length ? `${count(others.length, "passage")} found beside` : `${count(others.length, "passage")} found`;
  return h(
    "section", { class: "sources", "aria-label": "Sources" },
    cited.length ? h("h3", {}, "Sources") : null,
    cited.map((source) => item(turn, source)),
    others.length ? h("details", { class: "more" }, h("summary", {}, word), others.map((source) => item(turn, source))) : null,
  );
}

function item(turn, { number, passage }) {
  const path = (passage.heading_path || []).join(" › ");
  const title = passage.title || passage.document_id || passage.source;
  return h(
    "details", { class: "source-item", id: sourceId(turn, number) },
    h(
      "summary", {},
      h("span", { class: "mark-number" }, String(number)),
      h("span", {}, title, path && path !== title ? h("span", { class: "place" }, ` ${path}`) : null),
    ),
    h(
      "div", {},
      passage.source ? h("p", { class: "soft small" }, linkOrText(passage.source)) : null,
      h("p", { class: "passage", tabindex: "0" }, passage.text || "The passage is no longer kept."),
    ),
  );
}

function sourceId(turn, number) {
  return `source-${turn.id}-${number}`;
}

// Opens what `[number]` stands for, and goes there.
export function openSource(turn, number, view) {
  const found = document.getElementById(sourceId(turn, number));
  if (!found) {
    view.querySelector(".rows")?.scrollIntoView({ block: "center", behavior: "smooth" });
    return;
  }
  found.closest(".more")?.setAttribute("open", "");
  view.querySelectorAll("[data-lit]").forEach((lit) => delete lit.dataset.lit);
  found.open = true;
  found.dataset.lit = "";
  found.scrollIntoView({ block: "nearest", behavior: "smooth" });
  found.querySelector("summary").focus({ preventScroll: true });
}

export function isKnown(turn, number) {
  if (turn.status === "running") return number <= (turn.evidence?.passages.length || 0);
  return turn.citations.some((citation) => citation.number === number);
}
