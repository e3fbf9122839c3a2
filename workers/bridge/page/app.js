// The page: a conversation, the question box, and what belongs around them.

import { byId, h } from "./dom.js";
import { History, openConversation } from "./history.js";
import { askForKey, KeyPlace, themeButton } from "./settings.js";
import { Speech } from "./speech.js";
import { AnswerStream, newId, request, Trouble } from "./stream.js";
import { fold, newTurn, TurnView } from "./turn.js";

const TEMPLATES = ["What do our documents say about …", "How many … are there by …", "Which … has the most …"];
const MOST_TURNS = 20; // The bridge takes 40 messages: a question and an answer each.
const LONGEST_TURN = 8000;
const PLACE_AFTER_MS = 1000;
const SAVE_EVERY_MS = 1000;

const place = new KeyPlace("askfleet.key");
const speech = new Speech(byId("spoken"), byId("status"));
const page = { key: "", session: null, history: null, conversation: null, views: new Map(), streams: new Map(), savedAt: 0 };

const box = byId("question");
const thread = byId("thread");

// A session: the key that is kept, the one in the address (#key=...), none where none is wanted, or a new one.

const openSession = async (key) => (await request("/v1/session", { key })).json();

async function begin() {
  const given = /^#key=(.+)$/.exec(location.hash);
  if (given) {
    place.write(decodeURIComponent(given[1]), false);
    history.replaceState(null, "", location.pathname);
  }
  await enter(place.read());
}

async function enter(key) {
  try {
    page.session = await openSession(key);
  } catch (error) {
    if (error.status !== 401) return retryEntering(key, error);
    await enterAnew(key ? "This key is not known." : "");
    return undefined;
  }
  page.key = key;
  page.history = new History(key);
  byId("key").replaceChildren(h("span", { class: "wide" }, "Key: "), page.session.tenant);
  byId("key").setAttribute("aria-label", `Key of ${page.session.tenant}. Change`);
  fillModels(page.session.models);
  const open = page.history.find(openConversation.read());
  if (open) show(open);
  else showWelcome();
  return undefined;
}

async function enterAnew(problem) {
  leaveStreams();
  const key = await askForKey(byId("key-dialog"), place, openSession, problem);
  await enter(key);
}

function retryEntering(key, error) {
  thread.replaceChildren(h("div", { class: "notice bad", role: "alert" }, h("strong", {}, "The page can't reach askfleet"), `${error.message} ${error.remedy} It tries again every few seconds.`));
  setTimeout(() => {
    thread.replaceChildren();
    enter(key);
  }, 3000);
}

function fillModels(models) {
  byId("model-field").hidden = models.length < 2;
  byId("model").replaceChildren(...models.map((name) => h("option", { value: name }, name)));
}

// What is on the page.

function welcome(wanted) {
  byId("welcome").hidden = !wanted;
  byId("new").hidden = byId("conversation").hidden = wanted;
}

function showWelcome() {
  page.conversation = null;
  openConversation.write("");
  leaveStreams();
  thread.replaceChildren();
  page.views.clear();
  welcome(true);
  const samples = page.session.samples.map((text) => [text, () => ask(text)]);
  const templates = TEMPLATES.map((text) => [text, () => fillIn(text)]);
  byId("samples").replaceChildren(
    ...(samples.length ? samples : templates).map(([text, act]) => h("li", {}, h("button", { type: "button", onclick: act }, text))),
  );
  controls();
  box.focus();
}

function fillIn(text) {
  box.value = text;
  grow();
  box.focus();
  box.setSelectionRange(text.indexOf("…"), text.indexOf("…") + 1);
}

function show(conversation) {
  leaveStreams();
  page.conversation = conversation;
  openConversation.write(conversation.id);
  page.views.clear();
  thread.replaceChildren();
  welcome(false);
  for (const turn of conversation.turns) {
    addView(turn);
    if (turn.status === "running") follow(resumed(turn));
  }
  controls();
}

// From its first event on, since the log knows more than what was saved; a question that may not have got
// through is sent again under the same id.
function resumed(turn) {
  turn.trouble = null;
  if (turn.last > 0) turn.body = null;
  return turn;
}

function addView(turn) {
  const view = new TurnView(turn, deeds);
  page.views.set(turn.id, view);
  thread.append(view.element);
  return view;
}

const deeds = {
  again: (turn) => ask(turn.question, turn.asked),
  giveUp: (turn) => {
    turn.status = "cancelled";
    turn.trouble = null;
    page.streams.get(turn.id)?.leave();
    save();
  },
  feedback: async (turn, body) => {
    await request(`/v1/answers/${turn.id}/feedback`, { key: page.key, method: "POST", body });
    save();
  },
};

// Asking.

function ask(question, asked = chosen()) {
  if (!page.session) return;
  if (running()) return;
  page.conversation ||= { id: newId(), at: Date.now(), title: question.slice(0, 120), turns: [] };
  const { turns } = page.conversation;
  const body = { question, id: newId(), history: historyOf(turns), ...asked };
  const turn = newTurn(body.id, question, asked);
  turns.push(turn);
  openConversation.write(page.conversation.id);
  welcome(false);
  const view = addView(turn);
  save();
  speech.begin();
  speech.tell("Asked");
  view.element.scrollIntoView({ block: "start", behavior: "smooth" });
  turn.body = body;
  follow(turn);
}

function chosen() {
  const asked = {};
  if (byId("route").value) asked.route = byId("route").value;
  if (page.session.models.length > 1) asked.model = byId("model").value;
  return asked;
}

function historyOf(turns) {
  return turns.filter(({ status, text }) => status === "done" && text).slice(-MOST_TURNS).flatMap(({ question, text }) => [
    { role: "user", content: question.slice(0, LONGEST_TURN) },
    { role: "assistant", content: text.slice(0, LONGEST_TURN) },
  ]);
}

async function follow(turn) {
  const view = page.views.get(turn.id);
  const stream = new AnswerStream({
    key: page.key,
    id: turn.id,
    body: turn.body,
    onEvent: (event) => {
      turn.body = null;
      fold(turn, event);
      heard(turn, event);
      view.soon();
    },
    onTrace: (link) => {
      turn.trace = link;
    },
    onState: (state) => {
      turn.trouble = state === "lost" ? { title: "The connection is lost", detail: "The answer goes on; this page comes back to it by itself." } : null;
      if (turn.trouble) speech.tell("The connection is lost");
      view.soon();
    },
  });
  page.streams.set(turn.id, stream);
  controls();
  const ticking = setInterval(() => tick(turn, view), 1000);
  try {
    await inTime(turn, stream);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    await failed(turn, error);
  } finally {
    clearInterval(ticking);
    page.streams.delete(turn.id);
    if (!stream.aborter.signal.aborted) save();
    view.draw();
    controls();
  }
}

// Comes again when the bridge said so: its limits are not the question's fault.
async function inTime(turn, stream) {
  for (;;) {
    try {
      await stream.run();
      return;
    } catch (error) {
      if (error.status !== 429) throw error;
      turn.trouble = { title: error.code === "queue-full" ? "Everybody is asking at once" : "Your key's limit is reached", detail: error.message, comesAt: Date.now() + error.retryAfterS * 1000 };
      speech.tell(`${turn.trouble.title}. Asking again in ${error.retryAfterS} seconds`);
      page.views.get(turn.id).draw();
      await stream.pause(error.retryAfterS * 1000);
      if (stream.aborter.signal.aborted) return;
      turn.trouble = null;
    }
  }
}

async function failed(turn, error) {
  if (error.status === 401) {
    turn.trouble = { title: "This key is not known any more", detail: "Enter another one." };
    page.views.get(turn.id).draw();
    await enterAnew("This key is not known.");
    return;
  }
  turn.status = "failed";
  const gone = error.status === 404;
  turn.problem = {
    title: gone ? "This answer is no longer kept" : "The question did not get through",
    detail: error.message,
    remedy: error.remedy,
  };
}

function heard(turn, event) {
  if (event.type === "delta") speech.follow(turn.text, false);
  if (event.type === "done") {
    speech.follow(turn.text, true);
    speech.tell("The answer is complete");
  }
  if (event.type === "failed") speech.tell("The question failed");
  if (event.type === "cancelled") speech.tell("Stopped");
  if (event.type !== "delta" || Date.now() - page.savedAt > SAVE_EVERY_MS) save();
}

async function tick(turn, view) {
  view.soon();
  if (turn.status !== "running" || turn.text || turn.trouble || Date.now() - turn.changedAt < PLACE_AFTER_MS) return;
  try {
    const found = await (await request(`/v1/answers/${turn.id}/place`, { key: page.key })).json();
    if (Date.now() - turn.changedAt >= PLACE_AFTER_MS) turn.places = found.places;
  } catch {
    turn.places = []; // A place is a courtesy; the stream says what matters.
  }
}

function running() {
  return page.conversation?.turns.find(({ status }) => status === "running");
}

async function stop() {
  const turn = running();
  if (!turn) return;
  byId("stop").disabled = true;
  try {
    await request(`/v1/answers/${turn.id}`, { key: page.key, method: "DELETE" });
  } catch (error) {
    if (error.status === 404 || turn.trouble?.comesAt) deeds.giveUp(turn);
    else speech.tell(`It could not be stopped: ${error.message}`);
  } finally {
    byId("stop").disabled = false;
  }
}

function leaveStreams() {
  page.streams.forEach((stream) => stream.leave());
  page.streams.clear();
}

function save() {
  page.savedAt = Date.now();
  if (page.conversation) page.history.save(page.conversation);
}

function controls() {
  const busy = Boolean(running());
  byId("stop").hidden = !busy;
  byId("ask").hidden = busy;
  box.placeholder = page.conversation ? "Ask a follow-up question" : "Ask a question";
}

// What hands do.

function grow() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function submit() {
  const question = box.value.trim();
  if (!question || running() || !page.session) return;
  box.value = "";
  grow();
  ask(question);
}

function showHistory() {
  const list = page.history.all();
  const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  byId("history-list").replaceChildren(
    ...list.map((conversation) => h("li", {}, h(
      "button", { type: "button", onclick: () => {
        byId("history-dialog").close();
        show(conversation);
      } },
      conversation.title, h("span", { class: "when" }, when.format(conversation.at)),
    ))),
  );
  if (!list.length) byId("history-list").append(h("li", { class: "soft" }, "Nothing yet."));
  byId("history-clear").hidden = !list.length;
  byId("history-dialog").showModal();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName || "");
  if (event.key === "/" && !writing) {
    event.preventDefault();
    box.focus();
  }
  if (event.key === "Escape") stop();
});
byId("stop").addEventListener("click", stop);
byId("new").addEventListener("click", showWelcome);
byId("history").addEventListener("click", () => page.history && showHistory());
byId("history-close").addEventListener("click", () => byId("history-dialog").close());
byId("history-clear").addEventListener("click", () => {
  page.history.clear();
  byId("history-dialog").close();
  showWelcome();
});
byId("key").addEventListener("click", () => enterAnew(""));
byId("key-forget").addEventListener("click", () => {
  place.forget();
  location.reload();
});
themeButton(byId("theme"));
begin();
