// Ask askfleet from any JavaScript service, with the NATS client alone.
//
//   npm ci
//   export AF_NATS_URL=nats://127.0.0.1:4222
//   export AF_TENANT=demo AF_NATS_NKEY_FILE=.askfleet/nats-keys/tenants/demo.nk
//   node publish.js "How do I reset the hub?"
//
// For a server that asks for TLS, AF_NATS_TLS_CA, AF_NATS_TLS_CERT and AF_NATS_TLS_KEY name PEM files. The text
// goes to stdout, all else to stderr. Exit status: 0 answered, 1 failed or cancelled, 2 not asked, 3 no end
// before the deadline.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";
import { jetstream, jetstreamManager, JetStreamApiError } from "@nats-io/jetstream";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";

const TERMINAL = new Set(["done", "failed", "cancelled"]);
const SILENCE_MS = 5_000; // look at the log when nothing came for so long

/** The events of one answer, each once and in order. */
class Answer {
  index = 0;
  text = "";

  constructor(nc, tenant, id) {
    this.nc = nc;
    this.subject = `af.answer.${tenant}.${id}`;
    // Only what the log has stored arrives here; on af.answer itself, attempts that were refused would too.
    this.live = nc.subscribe(`af.live.${tenant}.${id}`);
  }

  async *events(deadline) {
    const messages = this.live[Symbol.asyncIterator]();
    let next = messages.next();
    while (Date.now() < deadline) {
      const patience = Math.min(SILENCE_MS, deadline - Date.now());
      const heard = await Promise.race([next, after(patience, null)]);
      if (heard?.done) return;
      if (heard) next = messages.next();
      const event = heard ? heard.value.json() : await this.end();
      if (!event) continue;
      if (TERMINAL.has(event.type)) {
        // What was lost on the way stands in the last event, which has the whole text.
        const missed = event.text?.startsWith(this.text) ? event.text.slice(this.text.length) : "";
        if (missed) yield { type: "delta", text: missed };
        yield event;
        return;
      }
      if (event.index !== this.index + 1) continue;
      this.index += 1;
      if (event.type === "delta") this.text += event.text;
      yield event;
    }
  }

  /** The end of the answer, if the log has it. */
  async end() {
    try {
      const manager = await jetstreamManager(this.nc, { checkAPI: false });
      const stored = await manager.direct.getMessage("ANSWERS", { last_by_subj: this.subject });
      const event = stored?.json();
      return TERMINAL.has(event?.type) ? event : null;
    } catch (error) {
      console.error(`the log can't be read now: ${error.message}`); // the next silence asks again
      return null;
    }
  }
}

async function publish(nc, tenant, query, deadline) {
  const head = headers();
  head.set("Nats-Msg-Id", `${tenant}:${query.id}:query`); // the same id again is asked once
  head.set("Af-Schema", "query/1");
  head.set("Af-Deadline", String(deadline)); // epoch milliseconds
  await jetstream(nc).publish(`af.query.${tenant}`, JSON.stringify(query), { headers: head });
}

function show(event) {
  switch (event.type) {
    case "routed":
      console.error(`route: ${event.route}`);
      break;
    case "rows":
      console.error(event.statement ? `sql: ${event.statement}` : `no sql: ${event.reason}`);
      break;
    case "delta":
      process.stdout.write(event.text);
      break;
    case "done":
      process.stdout.write("\n");
      for (const { number, title, source } of event.citations) console.error(`[${number}] ${title} ${source}`);
      break;
    case "failed":
      console.error(`failed: ${event.problem.code}: ${event.problem.detail} ${event.problem.remedy}`);
      break;
    case "cancelled":
      console.error(`cancelled ${event.reason}`);
  }
}

/** With the nkey seed of the tenant, which only the file holds. */
function connection(env) {
  const options = { servers: env.AF_NATS_URL ?? "nats://127.0.0.1:4222" };
  if (env.AF_NATS_NKEY_FILE) {
    options.authenticator = nkeyAuthenticator(() => Buffer.from(readFileSync(env.AF_NATS_NKEY_FILE, "utf8").trim()));
  }
  const [caFile, certFile, keyFile] = ["CA", "CERT", "KEY"].map((name) => env[`AF_NATS_TLS_${name}`]);
  if (caFile || certFile) options.tls = { caFile, certFile, keyFile };
  return options;
}

async function main() {
  const question = process.argv[2];
  if (!question || question === "--help") {
    console.error('usage: node publish.js "a question"   (AF_NATS_URL, AF_TENANT, AF_TIMEOUT_S)');
    return question ? 0 : 2;
  }
  const tenant = process.env.AF_TENANT ?? "demo";
  const deadline = Date.now() + 1_000 * Number(process.env.AF_TIMEOUT_S ?? 120);
  const query = { id: randomUUID(), question };
  const nc = await connect(connection(process.env));
  try {
    const answer = new Answer(nc, tenant, query.id); // before the publish: no event can be missed
    await publish(nc, tenant, query, deadline);
    let last;
    for await (last of answer.events(deadline + 2_000)) show(last);
    if (!TERMINAL.has(last?.type)) {
      console.error("no end before the deadline");
      return 3;
    }
    return last.type === "done" ? 0 : 1;
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error;
    console.error(`not asked: ${error.message}`); // 10077: the queue is full, try again later
    return 2;
  } finally {
    await nc.close();
  }
}

process.exit(await main());
