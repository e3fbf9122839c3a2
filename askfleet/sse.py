"""Server-sent events as an answer's events, over connections that may drop."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from contracts import Event, Terminal, decode_event
from contracts.errors import AskfleetError, DependencyUnavailable, Problem

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 60.0
"""The bridge sends a comment at least every 15 s, so a longer silence is a dead connection."""
RECONNECT_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Frame:
    """One dispatched event of the stream; `id` is the last one seen, as the standard has it."""

    id: str
    event: str
    data: str


class Refused(AskfleetError):
    """The bridge answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, remedy=problem.remedy)
        self.code, self.title = problem.code, problem.title
        self.status, self.retryable = problem.status, problem.retryable


async def frames(lines: AsyncIterator[str]) -> AsyncIterator[Frame]:
    """Parse https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation."""
    identity, event, data = "", "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield Frame(identity, event or "message", "\n".join(data))
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\0" not in value:
            identity = value


class AnswerStream:
    """Asks one question and yields its events in order, each once, over as many connections as it takes."""

    def __init__(self, client: httpx.AsyncClient, *, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
        self._last_index = 0
        self._reached = False
        self.trace = ""
        """Where to see what happened to the question, or its trace's id; empty where nothing is traced."""
        # Chosen here, so that asking again after a lost connection asks once.
        self.answer_id = secrets.token_hex(16)

    async def ask(self, body: dict[str, object]) -> AsyncIterator[Event]:
        """POST the question and follow its answer to the terminal event.

        Raises:
            Refused: the bridge answered with a problem.
            DependencyUnavailable: it can't be reached, at first or any more.
        """
        failures = 0
        while True:
            request = self._resume() if self._last_index else self._first(body)
            seen = self._last_index
            try:
                async for event in self._events(request):
                    yield event
                    if isinstance(event, Terminal):
                        return
                reason = "the stream ended early"
            except httpx.TransportError as error:
                reason = repr(error)
            failures = 0 if self._last_index > seen else failures
            if not self._reached or failures == len(RECONNECT_DELAYS_S):
                raise DependencyUnavailable(
                    f"No connection to the bridge at {self._client.base_url} ({reason}).",
                    remedy="Is the stack running? `askfleet status` tells.",
                )
            await asyncio.sleep(RECONNECT_DELAYS_S[failures])
            failures += 1

    async def cancel(self) -> None:
        """Cancel what was asked; nothing to do when the bridge was never reached."""
        if self._reached:
            await cancel(self._client, self.answer_id, headers=self._headers)

    def _first(self, body: dict[str, object]) -> httpx.Request:
        return self._client.build_request(
            "POST", "/v1/ask", json={**body, "id": self.answer_id}, headers=self._headers
        )

    def _resume(self) -> httpx.Request:
        headers = {**self._headers, "Last-Event-ID": str(self._last_index)}
        return self._client.build_request("GET", f"/v1/answers/{self.answer_id}", headers=headers)

    async def _events(self, request: httpx.Request) -> AsyncIterator[Event]:
        response = await self._client.send(request, stream=True)
        self._reached = True
        try:
            if response.status_code != 200:
                await response.aread()
                raise refusal(response)
            told = response.headers
            self.trace = told.get("af-trace-link") or told.get("af-trace-id") or self.trace
            async for frame in frames(response.aiter_lines()):
                event = decode_event(frame.data.encode())
                if event.index <= self._last_index:
                    continue
                self._last_index = event.index
                yield event
        finally:
            await response.aclose()


async def cancel(client: httpx.AsyncClient, answer_id: str, *, headers: dict[str, str]) -> None:
    """Raises Refused, for instance when there is no such answer."""
    response = await client.delete(f"/v1/answers/{answer_id}", headers=headers)
    if response.is_error:
        raise refusal(response)


def refusal(response: httpx.Response) -> Refused:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(
            type="about:blank",
            title=response.reason_phrase,
            status=response.status_code,
            detail=f"{response.request.url} answered {response.status_code}: {response.text[:200]!r}.",
            code=f"http-{response.status_code}",
            remedy="Is this the address of an askfleet bridge?",
        )
    return Refused(problem)


def open_client(url: str) -> httpx.AsyncClient:
    timeout = httpx.Timeout(SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    return httpx.AsyncClient(base_url=url, timeout=timeout)
