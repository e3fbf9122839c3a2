"""Ask askfleet from any Python service, with nats-py alone.

    pip install "nats-py[nkeys]"
    export AF_NATS_URL=nats://127.0.0.1:4222
    export AF_TENANT=demo AF_NATS_NKEY_FILE=.askfleet/nats-keys/tenants/demo.nk
    python publish.py "How do I reset the hub?"

For a server that asks for TLS, AF_NATS_TLS_CA, AF_NATS_TLS_CERT and AF_NATS_TLS_KEY name PEM files. The text
goes to stdout, all else to stderr. Exit status: 0 answered, 1 failed or cancelled, 2 not asked, 3 no end
before the deadline.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError

TERMINAL = ("done", "failed", "cancelled")
SILENCE_S = 5.0
"""Look at the log when nothing came for so long."""

Event = dict[str, Any]


class Answer:
    """The events of one answer, each once and in order."""

    def __init__(self, nc: Client, tenant: str, query_id: str) -> None:
        self._js = nc.jetstream()
        self._nc = nc
        self._key = f"{tenant}.{query_id}"
        self._live: Subscription | None = None
        self._index = 0
        self._text = ""

    async def listen(self) -> None:
        """Before the publish, so that no event is missed.

        Only what the log has stored arrives on af.live; on af.answer, attempts that were refused would too.
        """
        self._live = await self._nc.subscribe(f"af.live.{self._key}")

    async def events(self, deadline: float) -> AsyncIterator[Event]:
        while time.time() < deadline:
            event = await self._heard(min(SILENCE_S, deadline - time.time()))
            if event is None:
                continue
            if event["type"] in TERMINAL:
                # What was lost on the way stands in the last event, which has the whole text.
                if missed := event.get("text", "").removeprefix(self._text):
                    yield {"type": "delta", "text": missed}
                yield event
                return
            if event["index"] == self._index + 1:
                self._index += 1
                self._text += event.get("text", "") if event["type"] == "delta" else ""
                yield event

    async def _heard(self, patience: float) -> Event | None:
        """The next event; after a silence the end of the answer, if the log has it."""
        assert self._live is not None, "call listen() first"
        try:
            return json.loads((await self._live.next_msg(timeout=patience)).data)
        except NatsTimeoutError:
            return await self._end()

    async def _end(self) -> Event | None:
        try:
            stored = await self._js.get_msg("ANSWERS", subject=f"af.answer.{self._key}", direct=True)
        except NatsError:  # nothing is stored yet, or NATS is away: the next silence asks again
            return None
        event = json.loads(stored.data or b"")
        return event if event["type"] in TERMINAL else None


async def publish(nc: Client, tenant: str, query: dict[str, str], deadline: float) -> None:
    headers = {
        "Nats-Msg-Id": f"{tenant}:{query['id']}:query",  # the same id again is asked once
        "Af-Schema": "query/1",
        "Af-Deadline": str(int(deadline * 1000)),  # epoch milliseconds
    }
    await nc.jetstream().publish(f"af.query.{tenant}", json.dumps(query).encode(), headers=headers)


def show(event: Event) -> None:
    match event["type"]:
        case "routed":
            print("route:", event["route"], file=sys.stderr)
        case "rows":
            print("sql:", event["statement"] or f"none, {event['reason']}", file=sys.stderr)
        case "delta":
            print(event["text"], end="", flush=True)
        case "done":
            print()
            for citation in event["citations"]:
                print(f"[{citation['number']}]", citation["title"], citation["source"], file=sys.stderr)
        case "failed":
            problem = event["problem"]
            print(f"failed: {problem['code']}: {problem['detail']} {problem['remedy']}", file=sys.stderr)
        case "cancelled":
            print("cancelled", event["reason"], file=sys.stderr)


async def connect(url: str) -> Client:
    """With the nkey seed of the tenant, which only the file holds."""
    ca, cert, key = (os.environ.get(f"AF_NATS_TLS_{name}") for name in ("CA", "CERT", "KEY"))
    tls = ssl.create_default_context(cafile=ca) if ca or cert else None
    if tls is not None and cert:
        tls.load_cert_chain(cert, key)
    return await nats.connect(url, nkeys_seed=os.environ.get("AF_NATS_NKEY_FILE"), tls=tls)


async def ask(nc: Client, options: argparse.Namespace) -> int:
    deadline = time.time() + options.timeout
    query = {"id": uuid.uuid4().hex, "question": options.question}
    answer = Answer(nc, options.tenant, query["id"])
    await answer.listen()
    try:
        await publish(nc, options.tenant, query, deadline)
    except APIError as error:  # err_code 10077: the queue is full, try again later
        print("not asked:", error, file=sys.stderr)
        return 2
    async for event in answer.events(deadline + 2):
        show(event)
        if event["type"] in TERMINAL:
            return 0 if event["type"] == "done" else 1
    print("no end before the deadline", file=sys.stderr)
    return 3


async def main() -> int:
    parser = argparse.ArgumentParser(description="Ask askfleet a question over NATS.")
    parser.add_argument("question")
    parser.add_argument("--url", default=os.environ.get("AF_NATS_URL", "nats://127.0.0.1:4222"))
    parser.add_argument("--tenant", default=os.environ.get("AF_TENANT", "demo"))
    parser.add_argument(
        "--timeout", type=float, default=os.environ.get("AF_TIMEOUT_S", "120"), help="in seconds"
    )
    options = parser.parse_args()
    nc = await connect(options.url)
    try:
        return await ask(nc, options)
    finally:
        await nc.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
