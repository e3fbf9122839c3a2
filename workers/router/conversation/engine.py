"""A language model rewrites the follow-ups that the rules are not sure of, within a time of its own.

What it says is taken only where each of its words was said in the conversation: so it can leave nothing else
in the question, neither an invention nor what a text in an earlier answer told it to write.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import structlog

from contracts import Turn
from contracts.errors import AskfleetError
from workers.catalogue.vocabulary import content_words
from workers.catalogue.words import root
from workers.engines.openai import Endpoint, OpenAIEngine
from workers.engines.port import Engine, GenerationRequest, Message
from workers.router.conversation.sentence import words_of
from workers.router.settings import RouterSettings

log = structlog.get_logger(__name__)

SYSTEM = (
    "Rewrite the last question so that it can be understood without the conversation. Use the words of the "
    "conversation. Answer with the question alone, in one line."
)
REST_S = 10.0
"""After a failure the rules are on their own for so long, so that an engine that is away costs no time."""
_TURNS = 6
_SHOWN_CHARS = 600
_LONGEST = 300
_MAX_TOKENS = 96


class EngineRewriter:
    """One for a process; `timeout_s` bounds each rewriting, the first use of the engine included."""

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._started = False
        self._rests_until = 0.0

    async def rewrite(self, question: str, history: Sequence[Turn]) -> str:
        """The stand-alone question; empty where the engine is late, away, or says what nobody said."""
        clock = asyncio.get_running_loop().time
        if clock() < self._rests_until:
            return ""
        try:
            async with asyncio.timeout(self._timeout_s):
                said = await self._ask(_request(question, history))
        except (TimeoutError, AskfleetError) as error:
            self._rests_until = clock() + REST_S
            log.info("the rules alone rewrite follow-ups for now", action="rewriter_rests", error=repr(error))
            return ""
        return accepted(said, question, history)

    async def close(self) -> None:
        await self._engine.close()

    async def _ask(self, request: GenerationRequest) -> str:
        if not self._started:
            await self._engine.start()
            self._started = True
        async with aclosing(self._engine.stream(request)) as pieces:
            return "".join([piece.text async for piece in pieces])


def open_rewriter(settings: RouterSettings) -> EngineRewriter | None:
    """None where no server is configured; one that is away is met at the first question, and left aside."""
    if not settings.rewrite_url:
        return None
    key = settings.rewrite_api_key.get_secret_value() if settings.rewrite_api_key else ""
    endpoint = Endpoint(settings.rewrite_url, api_key=key, model=settings.rewrite_model, start_timeout_s=0.0)
    return EngineRewriter(OpenAIEngine(endpoint), timeout_s=settings.rewrite_timeout_s)


def accepted(said: str, question: str, history: Sequence[Turn]) -> str:
    """What the engine said, if it is one question in words of the conversation; else empty."""
    made = said.strip().strip("\"'").strip()
    if not made or "\n" in made or len(made) > _LONGEST or not made.isprintable():
        return ""
    known = _roots(question).union(*(_roots(turn.content) for turn in history[-_TURNS:]))
    return made if _roots(made) <= known and any(char.isalpha() for char in made) else ""


def _roots(text: str) -> set[str]:
    words = [word.plain for word in words_of(text)]
    numbers = {word for word in words if any(char.isdigit() for char in word)}
    return {root(word) for word in content_words(words)} | numbers


def _request(question: str, history: Sequence[Turn]) -> GenerationRequest:
    turns = [f"{turn.role}: {' '.join(turn.content.split())[:_SHOWN_CHARS]}" for turn in history[-_TURNS:]]
    said = "\n".join(turns)
    content = f"Conversation:\n{said}\n\nLast question: {question}\nStand-alone question:"
    messages = (Message("system", SYSTEM), Message("user", content))
    return GenerationRequest(messages, max_tokens=_MAX_TOKENS, stop=("\n",))
