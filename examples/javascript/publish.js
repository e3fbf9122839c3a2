// Ask askfleet from any JavaScript service, with the NATS client alone.
//
//   npm ci
//   AF_NATS_URL=nats://127.0.0.1:4222 AF_TENANT=demo node publish.js "How do I reset the hub?"
//
// The text goes to stdout, all else to stderr. Exit status: 0 answered, 1 failed or cancelled,
// 2 not asked, 3 no end before the deadline.
import { randomUUID } from "node:crypto";
import { setTimeout as after } from "node:timers/promises";
import { jetstream, jetstreamManager, JetStreamApiError } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

const TERMINAL = new Set(["done", "failed", "cancelled"]);
const SILENCE_MS = 5_000; // read the log when nothing came for so long

/** The events of one answer, each once and in order. */
class Answer {
  index = 0;

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
      const event = heard?.value.json();
      if (heard) next = messages.next();
      // A gap or a silence: messages may have been lost on the way, the log has them all.
      const fresh = event?.index <= this.index + 1 ? [event] : await this.log();
      for (const found of fresh) {
        if (found.index !== this.index + 1) continue;
        this.index = found.index;
        yield found;
        if (TERMINAL.has(found.type)) return;
      }
    }
  }

  async log() {
    const manager = await jetstreamManager(this.nc, { checkAPI: false });
    const request = { seq: 1, next_by_subj: this.subject };
    const events = [];
    try {
      for (let stored; (stored = await manager.direct.getMessage("ANSWERS", request)); ) {
        events.push(stored.json());
        request.seq = stored.seq + 1;
      }
    } catch (error) {
      console.error(`the log can't be read now: ${error.message}`); // the next silence asks again
    }
    return events;
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

async function main() {
  const question = process.argv[2];
  if (!question || question === "--help") {
    console.error('usage: node publish.js "a question"   (AF_NATS_URL, AF_TENANT, AF_TIMEOUT_S)');
    return question ? 0 : 2;
  }
  const tenant = process.env.AF_TENANT ?? "demo";
  const deadline = Date.now() + 1_000 * Number(process.env.AF_TIMEOUT_S ?? 120);
  const query = { id: randomUUID(), question };
  const nc = await connect({ servers: process.env.AF_NATS_URL ?? "nats://127.0.0.1:4222" });
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
