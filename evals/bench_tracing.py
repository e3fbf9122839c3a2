"""CPU time that traces add to an answer: `python -m evals.bench_tracing [--answers N] [--json]`.

The spans of one answer, as the workers make them: question, router, retrieval with five passages, embedding
and search, generation and its request to the engine. Exported to a collector in another process, which takes
them and does nothing; what this process spends on the export counts.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

from bus.spans import Arrival, Kind, Spans
from bus.vitals import Outcome
from contracts import (
    Done,
    Evidence,
    EvidenceJob,
    GenerateJob,
    LogPosition,
    Passage,
    Query,
    Route,
    Routed,
    Usage,
)
from workers.engines import GenerationRequest, Message, Piece, SimulatedEngine, Timing
from workers.shell.settings import WorkerSettings
from workers.tracing.content import Content, Policy
from workers.tracing.opening import open_spans
from workers.tracing.ports import traced_engine

_POSITION = LogPosition(first_sequence=1, last_sequence=1, last_index=1)
_TEXT = (
    "The gateway shows a red lamp after a reset until its certificate has been renewed by the server. " * 6
)
_PASSAGES = tuple(
    Passage(
        chunk_id=f"c{n}", document_id=f"d{n}", title="Gateway", source="g.md", text=_TEXT, score=1.0 / (n + 1)
    )
    for n in range(5)
)
_QUESTION = "What does a red lamp mean after a reset of the gateway?"
_REQUEST = GenerationRequest(
    (Message("system", "Answer from the passages."), Message("user", f"{_TEXT * 5}\n{_QUESTION}")),
    max_tokens=32,
)
_ROUTED = Routed(
    route=Route.DOCUMENTS, confidence=0.9, probabilities={"documents": 0.9, "sql": 0.08, "direct": 0.02}
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--answers", type=int, default=500, help="so many for each line")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    with _sink() as url:
        found = asyncio.run(_measure(url, options.answers))
    if options.json:
        print(json.dumps(found))
        return
    for name, micros in found.items():
        print(f"{name:24} {micros:8.0f} us of CPU an answer")


async def _measure(url: str, answers: int) -> dict[str, float]:
    cases: tuple[tuple[str, str, float, Policy], ...] = (
        ("no traces", "", 1.0, "full"),
        ("traces, not sampled", url, 0.0, "full"),
        ("traces", url, 1.0, "full"),
        ("traces, masked", url, 1.0, "masked"),
        ("traces, contents off", url, 1.0, "off"),
    )
    found = {}
    for name, endpoint, ratio, policy in cases:
        settings = WorkerSettings(trace_endpoint=endpoint, trace_ratio=ratio, trace_content=policy)
        found[name] = await _micros(settings, answers)
    idle = found["no traces"]
    return {
        name: round(micros - idle if name != "no traces" else micros, 1) for name, micros in found.items()
    }


async def _micros(settings: WorkerSettings, answers: int) -> float:
    async with _opened(settings) as spans:
        await _answer(spans, settings, 0)
        began = time.process_time()
        for number in range(answers):
            await _answer(spans, settings, number)
    return (time.process_time() - began) / answers * 1e6


@asynccontextmanager
async def _opened(settings: WorkerSettings) -> AsyncIterator[Spans]:
    """Ends once everything has been exported, so that the export counts."""
    async with open_spans(settings, worker="bench") as spans:
        yield spans


async def _answer(spans: Spans, settings: WorkerSettings, number: int) -> None:
    query = Query(id=f"q{number}", question=_QUESTION)
    asked = spans.asked("demo", query, "")

    @contextmanager
    def stage(name: str, body: Query | EvidenceJob | GenerateJob) -> Iterator[None]:
        arrival = Arrival(name, name.upper(), number + 1, 1, time.time_ns() // 1_000_000, asked.trace_parent)
        with spans.working(arrival):
            spans.received("demo", body)
            yield
            spans.settled(Outcome.DONE)

    with stage("router", query):
        spans.wrote(_ROUTED)
    with stage("retrieval", EvidenceJob(query_id=query.id, question=_QUESTION, position=_POSITION)):
        for name, kind in (("embedding", Kind.EMBEDDING), ("milvus", Kind.TOOL)):
            with spans.child(name, kind, {"askfleet.top_k": 5}):
                pass
        spans.wrote(Evidence(passages=_PASSAGES))
    with stage("generation", GenerateJob(query_id=query.id, first_sequence=1)):
        text = "".join([piece.text async for piece in _pieces(spans, settings)])
        done = Done(text=text, usage=Usage(prompt_tokens=700, completion_tokens=32))
        spans.wrote(done)
    asked.first_text()
    asked.close(done)


async def _pieces(spans: Spans, settings: WorkerSettings) -> AsyncIterator[Piece]:
    timing = Timing(first_token_s=0, interval_s=0, answer_tokens=32)
    engine = traced_engine(SimulatedEngine(timing), spans, Content(settings.trace_content))
    async with contextlib.aclosing(engine.stream(_REQUEST)) as pieces:
        async for piece in pieces:
            yield piece


@contextmanager
def _sink() -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{ours.recv()}"
    process.terminate()
    process.join()


def _serve(channel: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Swallow)
    channel.send(server.server_port)
    server.serve_forever()


class _Swallow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None: ...


if __name__ == "__main__":
    main()
