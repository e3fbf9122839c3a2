"""From the events on the log to the answer's text. Free of NATS: the writer gives the events their index."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import NamedTuple

from contracts import Citation, Delta, Done, Event, Usage, adapter_of
from contracts.query import ADAPTER_MARK
from workers.engines import Engine, FinishReason, GenerationRequest
from workers.generation import sentences
from workers.generation.agreement import CheckedSentences, agreement_of
from workers.generation.citations import CitedText, as_written
from workers.generation.plan import Plan, plan
from workers.generation.prompt import Material, Prompt, build, build_small, rows_source
from workers.generation.quoting import departs, faithful, quote, rest_of_quote
from workers.generation.record import Record, read, title_of
from workers.generation.settings import GenerationSettings
from workers.generation.support import Ranked, Support

_CHECKED_TOKENS = 64


async def write_answer(
    log: Sequence[Event], *, engine: Engine, settings: GenerationSettings
) -> AsyncGenerator[Delta | Done, None]:
    """The deltas that follow those on the log, at last `Done` with the text of all of them.

    May run twice for one query: a later attempt keeps what the earlier one published and goes on behind it.

    Raises: what the engine raises; InvalidQuery: the model's adapter is not loaded; PermanentError: the log
    holds no query.
    """
    record = read(log)
    # Also where no model is asked: one name is known or unknown, whatever the question.
    engine.abilities.check_adapter(adapter_of(record.query.model))
    answer = _Answer(record, engine, settings)
    async with aclosing(answer.deltas()) as deltas:
        async for delta in deltas:
            yield delta
    yield answer.done()


class _Text(NamedTuple):
    """A tuple, since three are made for each token."""

    text: str
    tokens: int = 0


class _Answer:
    """One attempt at one answer."""

    def __init__(self, record: Record, engine: Engine, settings: GenerationSettings) -> None:
        self._record = record
        self._engine = engine
        self._settings = settings
        self._plan: Plan = plan(record, settings)
        self._text = record.published
        self._tokens = record.published_tokens
        self._unpublished_tokens = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._finish: FinishReason = "stop"
        self._model = ""
        self._cited: tuple[int, ...] = ()
        self._supported = 0
        self._unsupported: tuple[str, ...] = ()
        self._rows_worded = False

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        before, material, after = self._plan.before, self._plan.material, self._plan.after
        if (delta := self._published(_Text(_rest(before, self._text)))) is not None:
            yield delta
        if material is None:
            return
        written = self._text.removeprefix(before)
        ended = bool(after) and written.endswith(after)
        texts = self._write(material, written.removesuffix(after) if ended else written, ended=ended)
        async with aclosing(texts):
            async for text in texts:
                if (delta := self._published(text)) is not None:
                    yield delta
        if (delta := self._published(_Text("" if ended else after))) is not None:
            yield delta

    def _published(self, text: _Text) -> Delta | None:
        """Tokens that gave no text yet (a bracket that is held back) are counted with the next text."""
        self._tokens += text.tokens
        self._unpublished_tokens += text.tokens
        if not text.text:
            return None
        self._text += text.text
        tokens, self._unpublished_tokens = self._unpublished_tokens, 0
        return Delta(text=text.text, tokens=tokens)

    async def _write(self, material: Material, written: str, *, ended: bool) -> AsyncGenerator[_Text, None]:
        """The text behind `written`, cited; nothing when the part `ended` in an earlier attempt."""
        rows = rows_source(material, max_rows=self._settings.max_rows_shown)
        support = Support([*material.sources, *rows]) if rows else self._record.support
        own = self._plan.instead
        if own and written.endswith(own):
            self._rows_worded, ended, written = True, True, written.removesuffix(own)
        prompt = None if ended or self._quotes(material) else self._prompt(material)
        cited = CitedText(support, published=written, numbers=prompt.numbers if prompt else None)
        if not ended:
            raw = self._raw(material, prompt, written)
            async with aclosing(raw):
                async for piece in raw:
                    yield _Text(cited.feed(piece.text), piece.tokens)
        tail, self._cited = cited.finish()
        self._supported, self._unsupported = cited.supported, tuple(cited.unsupported)
        if not ended:
            yield _Text(tail)
            yield _Text(f"{_gap(self._text)}{own}" if self._rows_worded else "")

    def _quotes(self, material: Material) -> bool:
        return material.rows is None and bool(material.sources) and self._settings.style() != "write"

    def _prompt(self, material: Material) -> Prompt:
        return build(
            material,
            limit=self._prompt_limit(self._max_tokens()),
            count=self._engine.count_tokens,
            order=self._settings.prompt_order,
        )

    def _raw(self, material: Material, prompt: Prompt | None, written: str) -> AsyncGenerator[_Text, None]:
        if prompt is None:
            return self._quoted(material, written, ask=self._settings.style() == "check")
        texts = self._from_engine(prompt, written)
        return texts if material.rows is None else self._agreeing(material, texts)

    async def _from_engine(self, prompt: Prompt, written: str) -> AsyncGenerator[_Text, None]:
        left = self._max_tokens() - self._record.published_tokens
        if left <= 0:
            self._finish = "length"
            return
        prefix = as_written(written, prompt.numbers)
        request = GenerationRequest(
            prompt.messages, max_tokens=left, prefix=prefix, request_id=self._record.query.id
        )
        self._prompt_tokens = prompt.tokens
        async with aclosing(self._stream(request)) as texts:
            async for text in texts:
                yield text

    async def _agreeing(
        self, material: Material, texts: AsyncGenerator[_Text, None]
    ) -> AsyncGenerator[_Text, None]:
        """The model's sentences about rows, each checked before it leaves.

        At the first that says what the rows do not hold the model stops, and the platform's own words follow.
        """
        checked = CheckedSentences(agreement_of(material))
        async with aclosing(texts):
            async for text in texts:
                yield _Text(checked.feed(text.text), text.tokens)
                if checked.disagreed:
                    break
        yield _Text(checked.finish())
        if checked.disagreed:
            self._finish, self._rows_worded = "stop", True

    async def _stream(self, request: GenerationRequest) -> AsyncGenerator[_Text, None]:
        adapter = adapter_of(self._record.query.model)
        request = replace(request, adapter=adapter)
        self._model = f"{self._engine.name}{ADAPTER_MARK}{adapter}" if adapter else self._engine.name
        async with aclosing(self._engine.stream(request)) as pieces:
            async for piece in pieces:
                if piece.usage is not None:
                    self._prompt_tokens = piece.usage.prompt_tokens
                    self._cached_tokens = piece.usage.cached_prompt_tokens
                self._finish = piece.finish_reason or self._finish
                yield _Text(piece.text, piece.tokens)

    async def _quoted(self, material: Material, written: str, *, ask: bool) -> AsyncGenerator[_Text, None]:
        """The model's sentence if it is faithful to the evidence, else the evidence's own sentences."""
        ranked = self._record.support.rank(material.question)
        if ask and not written and ranked:
            sentence = await self._checked(material, ranked)
            if sentence.text:
                yield sentence
                return
            yield _Text("", sentence.tokens)
        for text in rest_of_quote(quote(ranked), written):
            yield _Text(text)

    async def _checked(self, material: Material, ranked: Sequence[Ranked]) -> _Text:
        """The model's first sentence; without text when it is not faithful: then the model stops at once."""
        best, limit = ranked[0], self._prompt_limit(_CHECKED_TOKENS)
        prompt = build_small(material, ranked, limit=limit, count=self._engine.count_tokens)
        self._prompt_tokens = prompt.tokens
        request = GenerationRequest(
            prompt.messages,
            max_tokens=min(_CHECKED_TOKENS, self._max_tokens()),
            stop=("\n",),
            request_id=self._record.query.id,
        )
        text, tokens = "", 0
        async with aclosing(self._stream(request)) as pieces:
            async for piece in pieces:
                text, tokens = text + piece.text, tokens + piece.tokens
                whole_words = text[: text.rfind(" ") + 1]
                if departs(whole_words, material.question, best) or len(sentences.split(text)) > 1:
                    break
        first = next(iter(sentences.split(text)), "")
        cut, self._finish = self._finish == "length", "stop"
        kept = not cut and faithful(first, material.question, best, self._record.support)
        return _Text(first if kept else "", tokens)

    def _max_tokens(self) -> int:
        return min(self._record.query.max_tokens, self._engine.context_tokens // 2)

    def _prompt_limit(self, max_tokens: int) -> int:
        return self._settings.prompt_limit(context_tokens=self._engine.context_tokens, max_tokens=max_tokens)

    def done(self) -> Done:
        rows_only = self._plan.cites_rows and not self._plan.material
        numbers = set(self._cited)
        cites_rows = self._plan.cites_rows or self._rows_worded
        if cites_rows and f"[{self._record.rows_number}]" in self._text:
            numbers.add(self._record.rows_number)
        answered = self._plan.answered and (rows_only or cites_rows or self._is_supported())
        return Done(
            text=self._text,
            citations=tuple(_citation(self._record, number) for number in sorted(numbers)),
            usage=Usage(
                prompt_tokens=self._prompt_tokens,
                completion_tokens=self._tokens,
                cached_prompt_tokens=self._cached_tokens,
            ),
            model=self._model,
            finish_reason=self._finish,
            answered=answered,
            unsupported=self._unsupported,
        )

    def _is_supported(self) -> bool:
        return self._plan.material is None or self._supported > 0


def _rest(fixed: str, published: str) -> str:
    """What of a fixed text is not published yet."""
    return fixed[len(published) :] if fixed.startswith(published) else ""


def _gap(text: str) -> str:
    """What stands between a text and a paragraph behind it."""
    return "" if not text or text.endswith("\n\n") else "\n\n"


def _citation(record: Record, number: int) -> Citation:
    if number <= len(record.passages):
        passage = record.passages[number - 1]
        return Citation(
            number=number,
            kind="passage",
            title=title_of(passage),
            source=passage.source,
            chunk_id=passage.chunk_id,
            document_id=passage.document_id,
        )
    statement = record.rows.statement if record.rows else None
    return Citation(number=number, kind="rows", title="Rows of the database", source=statement or "")
