// Talking to the bridge: requests that tell what went wrong, and an answer's events, resumed wherever they broke off.

const PAUSES_MS = [300, 1000, 2000, 4000, 8000];
const SILENCE_MS = 40000; // The bridge sends a comment every 15 s: after this the connection is dead.

export class Trouble extends Error {
  constructor(message, { status = 0, code = "", remedy = "", retryAfterS = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, remedy, retryAfterS });
  }

  // No reply at all, or one of a proxy whose bridge is away.
  get passing() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

export async function request(path, { key, method = "GET", body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (key) sent.Authorization = `Bearer ${key}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers: sent, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The connection is lost.", { remedy: "Check the network." });
  }
  if (!response.ok) throw await troubleOf(response);
  return response;
}

async function troubleOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Not ours: a proxy's page.
  }
  return new Trouble(problem.detail || `The server answered ${response.status}.`, {
    status: response.status,
    code: problem.code || "",
    remedy: problem.remedy || "",
    retryAfterS: Number(response.headers.get("Retry-After")) || 0,
  });
}

// Follows one answer to its terminal event. `onEvent(event)` gets each event once and in order.
export class AnswerStream {
  constructor({ key, id, body = null, last = 0, onEvent, onState, onTrace }) {
    Object.assign(this, { key, id, body, last, onEvent, onState, onTrace, ended: false });
    this.aborter = new AbortController();
  }

  // Resolves at the end; rejects with what can't be mended by coming again.
  async run() {
    for (let attempt = 0; !this.ended && !this.aborter.signal.aborted; attempt += 1) {
      const before = this.last;
      try {
        await this.read();
      } catch (error) {
        if (this.aborter.signal.aborted) return;
        if (!(error instanceof Trouble) || !error.passing) throw error;
        if (this.last > before) attempt = 0;
        this.onState("lost");
        const told = error.retryAfterS * 1000;
        await this.pause(Math.max(told, PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)]));
      }
    }
  }

  leave() {
    this.aborter.abort();
  }

  async read() {
    const watch = new AbortController();
    const stop = () => watch.abort();
    this.aborter.signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, SILENCE_MS);
    try {
      const response = await this.open(watch.signal);
      this.body = null;
      this.onState("open");
      const trace = response.headers.get("af-trace-link");
      if (trace) this.onTrace(trace);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE_MS);
        const frames = (rest + value).split("\n\n");
        rest = frames.pop();
        frames.forEach((frame) => this.take(frame));
        if (this.ended) return;
      }
      throw new Trouble("The stream broke off.");
    } catch (error) {
      if (error instanceof Trouble || this.aborter.signal.aborted) throw error;
      throw new Trouble("The connection is lost.");
    } finally {
      clearTimeout(timer);
      this.aborter.signal.removeEventListener("abort", stop);
    }
  }

  // The question is sent under an id of its own, so that sending it again asks nothing twice.
  open(signal) {
    const headers = { Accept: "text/event-stream" };
    if (this.body) return request("/v1/ask", { key: this.key, method: "POST", body: this.body, headers, signal });
    headers["Last-Event-ID"] = String(this.last);
    return request(`/v1/answers/${this.id}`, { key: this.key, headers, signal });
  }

  take(frame) {
    const data = frame.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
    if (!data) return;
    const event = JSON.parse(data);
    if (event.index <= this.last) return;
    this.last = event.index;
    this.ended = ["done", "failed", "cancelled"].includes(event.type);
    this.onEvent(event);
  }

  // Ends early once the browser is online again.
  pause(ms) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        removeEventListener("online", end);
        this.aborter.signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      addEventListener("online", end);
      this.aborter.signal.addEventListener("abort", end);
    });
  }
}

export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
