// The little Markdown that models write, as elements: paragraphs, lists, headings, tables, code, bold, citations.
// Whatever else the text holds, HTML among it, is shown as it stands.

import { h } from "./dom.js";

const FENCE = /^\s*```/;
const ITEM = /^\s*(?:[-*•]|(\d{1,3})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;
const LINE = /^\s*\|(.*)\|\s*$/;
const RULE = /^\s*\|(\s*:?-{2,}:?\s*\|)+\s*$/;
const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*|\[\d{1,3}\])/;

// Blocks as plain values, so that a growing text is drawn again only where it changed.
export function blocks(text) {
  const found = [];
  let paragraph = [];
  const close = () => {
    if (paragraph.length) found.push({ kind: "p", text: paragraph.join("\n") });
    paragraph = [];
  };
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    const heading = HEADING.exec(line);
    const item = ITEM.exec(line);
    if (FENCE.test(line)) {
      close();
      const code = [];
      for (at += 1; at < lines.length && !FENCE.test(lines[at]); at += 1) code.push(lines[at]);
      found.push({ kind: "pre", text: code.join("\n") });
    } else if (LINE.test(line) && RULE.test(lines[at + 1] || "")) {
      close();
      const table = { kind: "table", head: cells(line), lines: [] };
      for (at += 2; at < lines.length && LINE.test(lines[at]); at += 1) table.lines.push(cells(lines[at]));
      at -= 1;
      found.push(table);
    } else if (heading) {
      close();
      found.push({ kind: "h3", text: heading[1] });
    } else if (item) {
      close();
      const kind = item[1] ? "ol" : "ul";
      const last = found.at(-1);
      if (last?.kind === kind) last.items.push(item[2]);
      else found.push({ kind, start: item[1], items: [item[2]] });
    } else if (line.trim() === "") {
      close();
    } else {
      paragraph.push(line);
    }
  }
  close();
  return found;
}

function cells(line) {
  return LINE.exec(line)[1].split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

// Draws `text` into `element`; `cite(number)` gives the element for `[number]`.
export function draw(element, text, cite, drawn = []) {
  const fresh = blocks(text).map((block) => JSON.stringify(block));
  let same = 0;
  while (same < fresh.length && fresh[same] === drawn[same]) same += 1;
  while (element.childNodes.length > same) element.lastChild.remove();
  fresh.slice(same).forEach((block) => element.append(build(JSON.parse(block), cite)));
  return fresh;
}

function build(block, cite) {
  if (block.kind === "pre") return h("pre", {}, h("code", {}, block.text));
  if (block.kind === "table") return table(block, cite);
  if (block.items) {
    const start = block.kind === "ol" && block.start !== "1" ? block.start : undefined;
    return h(block.kind, { start }, block.items.map((item) => h("li", {}, inline(item, cite))));
  }
  return h(block.kind, {}, inline(block.text, cite));
}

function table({ head, lines }, cite) {
  const figure = (at) => (lines.every((line) => /^-?[\d.,]+ ?%?$/.test(line[at] || "")) ? "figure" : undefined);
  const classes = head.map((_, at) => figure(at));
  const row = (tag, values) => h("tr", {}, values.map((value, at) => h(tag, { class: classes[at], scope: tag === "th" ? "col" : undefined }, inline(value, cite))));
  return h(
    "div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, row("th", head)), h("tbody", {}, lines.map((line) => row("td", line)))),
  );
}

export function hasTable(text) {
  return blocks(text).some(({ kind }) => kind === "table");
}

function inline(text, cite) {
  // A citation stays on the line of the word before it.
  const bound = text.replace(/ (?=\[\d{1,3}\])/g, "\u00a0");
  return bound.split(INLINE).filter(Boolean).map((piece) => {
    if (/^`[^`]+`$/.test(piece)) return h("code", {}, piece.slice(1, -1));
    if (/^\*\*[^*]+\*\*$/.test(piece)) return h("strong", {}, piece.slice(2, -2));
    if (/^\[\d{1,3}\]$/.test(piece)) return cite(Number(piece.slice(1, -1)));
    return piece;
  });
}
