"""An engine with stated timings and no model, for load tests: what it costs beside it is the platform's."""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice

from contracts import Usage
from contracts.errors import ContextOverflow
from workers.engines.journal import EngineJournal
from workers.engines.port import Abilities, FinishReason, GenerationRequest, Message, Piece, ToolCall
from workers.engines.schemas import least, parsed

_WORD = re.compile(r"\s*\S+")
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_PASSAGE = re.compile(r"^\[(\d{1,3})\]\s*(.+)$", re.MULTILINE)
_WORDS_A_SENTENCE = 12


@dataclass(frozen=True)
class Timing:
    """When tokens are due, how many there are, and how many one piece may hold (None: all that are due)."""

    first_token_s: float = 0.05
    interval_s: float = 0.005
    answer_tokens: int = 64
    piece_tokens: int | None = None


class SimulatedEngine:
    """The text follows from the prompt alone, so a continued answer equals an uninterrupted one."""

    def __init__(
        self,
        timing: Timing,
        *,
        slots: int = 64,
        context_tokens: int = 8_192,
        name: str = "simulated",
        journal: EngineJournal | None = None,
        adapters: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.abilities = Abilities(json_schema=True, tools=True, adapters=tuple(adapters))
        self.slots = slots
        self.context_tokens = context_tokens
        self._timing = timing
        self._journal = journal
        self._free = asyncio.Semaphore(slots)
        self._in_flight = 0

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def in_flight(self) -> int:
        return self._in_flight

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.abilities.check(request)
        prompt_tokens = sum(self.count_tokens(message.content) for message in request.messages)
        if prompt_tokens + request.max_tokens > self.context_tokens:
            raise ContextOverflow(
                f"{prompt_tokens} prompt tokens and {request.max_tokens} to generate exceed "
                f"{self.context_tokens}."
            )
        calls = _calls(request)
        # One more than is asked for tells whether the answer was cut.
        tokens = () if calls else _before(self._tokens(request), request.stop)
        following = list(islice(tokens, request.max_tokens + 1))
        rest = following[: request.max_tokens]
        self._in_flight += 1
        try:
            async with self._free:
                played = self._play(rest)
                noted = played if self._journal is None else _noted(played, self._journal, request, len(rest))
                async with aclosing(noted) as pieces:
                    async for piece in pieces:
                        yield piece
        finally:
            self._in_flight -= 1
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(rest))
        finish: FinishReason = "length" if len(following) > len(rest) else "stop"
        yield Piece("", tokens=0, finish_reason=finish, usage=usage, tool_calls=calls)

    def _tokens(self, request: GenerationRequest) -> Iterator[str]:
        """What the prompt, the adapter or the schema makes the answer."""
        if request.json_schema is not None:
            return iter(_WORD.findall(json.dumps(least(parsed(request.json_schema)))))
        tokens = islice(_answer(request.messages), self._timing.answer_tokens)
        spoken = [f"As {request.adapter}: "] if request.adapter else []
        return _after((*spoken, *tokens), request.prefix)

    async def _play(self, tokens: Sequence[str]) -> AsyncGenerator[Piece, None]:
        """Token k is due at a fixed time; whoever reads late gets all that is due in one piece."""
        timing = self._timing
        at_most = timing.piece_tokens or len(tokens)
        # Not the loop's clock: uvloop's stands still while a callback computes, and counts milliseconds.
        clock = time.perf_counter
        begin = clock() + timing.first_token_s
        sent = 0
        while sent < len(tokens):
            wait_s = begin + sent * timing.interval_s - clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            due = _due(clock() - begin, timing.interval_s, total=len(tokens))
            upto = min(max(due, sent + 1), sent + at_most)
            yield Piece("".join(tokens[sent:upto]), tokens=upto - sent)
            sent = upto


async def _noted(
    played: AsyncGenerator[Piece, None], journal: EngineJournal, request: GenerationRequest, total: int
) -> AsyncGenerator[Piece, None]:
    """Writes down when the request took its slot and when it left it."""
    number = journal.begin(request.request_id)
    made = 0
    try:
        async with aclosing(played) as pieces:
            async for piece in pieces:
                made += piece.tokens
                yield piece
    finally:
        journal.end(number, request.request_id, tokens=made, aborted=made < total)


def _before(tokens: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """The tokens up to the first stop, which may begin and end within one."""
    if not stops:
        yield from tokens
        return
    made = list(tokens)
    text = "".join(made)
    left = min(len(text.partition(stop)[0]) for stop in stops)
    for token in made:
        if left <= 0:
            return
        yield token[:left]
        left -= len(token)


def _calls(request: GenerationRequest) -> tuple[ToolCall, ...]:
    """Each tool once, with the least that it takes."""
    if request.tools is None:
        return ()
    functions = [tool["function"] for tool in parsed(request.tools)]
    return tuple(
        ToolCall(f"call-{number}", function["name"], json.dumps(least(function.get("parameters", {}))))
        for number, function in enumerate(functions)
    )


def _due(elapsed_s: float, interval_s: float, *, total: int) -> int:
    return total if interval_s <= 0 else min(total, int(elapsed_s / interval_s) + 1)


def _answer(messages: Sequence[Message]) -> Iterator[str]:
    """The tokens of an answer without end."""
    words = _words(messages)
    yield next(words)
    for word in words:
        yield f" {word}"


def _words(messages: Sequence[Message]) -> Iterator[str]:
    """Words of the numbered evidence in turn, a citation behind each sentence; one word is one token."""
    prompt = "\n".join(message.content for message in messages)
    passages = [(number, text.split()) for number, text in _PASSAGE.findall(prompt)]
    if not passages:
        passages = [("", prompt.split() or ["nothing"])]
    start = 0
    while True:
        for number, text in passages:
            begin = start % len(text)
            sentence = [word.rstrip(".") for word in text[begin : begin + _WORDS_A_SENTENCE]]
            yield from [word for word in sentence if not _MARKER.fullmatch(word)] or ["so"]
            yield f"[{number}]." if number else "so."
        start += _WORDS_A_SENTENCE


def _after(tokens: Iterable[str], prefix: str) -> Iterator[str]:
    """The tokens that follow `prefix`, in which citation markers may have been added or left out."""
    rest = prefix
    remaining = iter(tokens)
    for token in remaining:
        if not rest:
            yield token
            break
        if rest.startswith(token):
            rest = rest[len(token) :]
        elif token.startswith(rest):
            yield token[len(rest) :]
            break
        else:
            rest, unread = _skip_marker(rest, token)
            if unread:
                yield unread
                break
    yield from remaining


def _skip_marker(rest: str, token: str) -> tuple[str, str]:
    """What is left of prefix and token once a marker that only one of them has is out of the way."""
    added = _MARKER.match(rest)
    if added:
        rest = rest[added.end() :]
    dropped = _MARKER.match(token)
    if dropped:
        token = token[dropped.end() :]
    if rest.startswith(token):
        return rest[len(token) :], ""
    return "", token.removeprefix(rest) if token.startswith(rest) else token
