// Whether an answer helped, and if not, what would have been right.

import { h } from "./dom.js";

const ROUTES = [["", "The sources were right"], ["documents", "Documents would have been right"], ["sql", "The database would have been right"], ["both", "Both would have been right"]];

export function feedbackView(turn, deeds) {
  const thumbs = [["up", "Helpful"], ["down", "Not helpful"]].map(([rating, word]) => {
    const pressed = String(turn.rating === rating);
    return h("button", { type: "button", class: "quiet", "aria-pressed": pressed, "data-rating": rating, onclick: () => rate(rating) }, word);
  });
  const told = h("span", { class: "took", role: "status" });
  const text = h("textarea", { maxlength: "2000", "aria-label": "What was wrong?", placeholder: "What was wrong? (optional)" });
  const route = h("select", { "aria-label": "Right sources" }, ROUTES.map(([value, word]) => h("option", { value }, word)));
  const send = h("button", { type: "submit" }, "Send");
  const remark = h("form", { class: "remark", hidden: true }, text, h("div", { class: "row" }, route, send));

  const give = async (body) => {
    try {
      await deeds.feedback(turn, body);
      told.textContent = "Thank you";
    } catch (error) {
      told.textContent = error.message;
    }
  };
  const rate = async (rating) => {
    turn.rating = rating;
    thumbs.forEach((thumb) => thumb.setAttribute("aria-pressed", String(thumb.dataset.rating === rating)));
    remark.hidden = rating !== "down";
    if (rating === "down") text.focus();
    await give({ rating });
  };
  remark.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { rating: "down", text: text.value.trim() };
    if (route.value) body.route = route.value;
    await give(body);
    remark.hidden = true;
  });
  return { thumbs: [...thumbs, told], remark };
}
