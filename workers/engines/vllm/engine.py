"""vLLM inside the worker: its `AsyncLLM`, with the engine core in processes of its own.

No thread stands between a token and the answer log: vLLM's output task fills a queue of each request in our
event loop, and `stream` reads it there. Only a long prompt of a request is made in a thread.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from contracts import Usage
from contracts.errors import ContextOverflow, DependencyUnavailable, Misconfigured, PermanentError
from workers.engines.port import Abilities, GenerationRequest, Message, Piece
from workers.engines.schemas import parsed
from workers.engines.startup import EngineNews, Phase
from workers.engines.vllm.headroom import Headroom
from workers.engines.vllm.load import LoadObserver
from workers.engines.vllm.options import VllmModel, engine_args, sampling_params
from workers.engines.vllm.prompt import Prompt, Prompts
from workers.engines.vllm.settings import VllmSettings
from workers.engines.vllm.steps import Step, beyond
from workers.engines.vllm.tools import Calling, Tools, check_parser, with_calls
from workers.engines.vocabulary import Vocabulary

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.25
_SPARE_TOKENS = 8
"""What is written again may have some tokens more than the same text has when it is tokenised."""


class VllmEngine:
    """`slots` follows the KV cache: it is less than the limit while running requests fill it."""

    def __init__(self, model: VllmModel, settings: VllmSettings, news: EngineNews | None = None) -> None:
        self.name = model.name or Path(model.model).name
        self.context_tokens = model.context_tokens or 0
        self.abilities = Abilities(grammar=True, json_schema=True, adapters=tuple(model.adapters))
        self.headroom = Headroom(model.max_requests, 0)
        self._model = model
        self._settings = settings
        self._news = news or EngineNews()
        self._llm: Any = None
        self._prompts: Prompts | None = None
        self._tools: Tools | None = None
        self._vocabulary = Vocabulary(None)
        self._watch: asyncio.Task[None] | None = None
        self._in_flight = 0

    @property
    def slots(self) -> int:
        return 0 if self._llm is not None and self._llm.errored else self.headroom.window

    async def start(self) -> None:
        """Raises: Misconfigured: vLLM is not installed, or can't load the model as the settings say."""
        self._check_adapters()
        # Two calls: modules of vLLM keep an error of their import, and with it the frames that called it.
        args = await asyncio.to_thread(self._arguments)
        self._llm = await asyncio.to_thread(self._open, args)
        config = self._llm.vllm_config
        self.context_tokens = config.model_config.max_model_len
        cache = config.cache_config
        self.headroom.kv_tokens = cache.num_gpu_blocks * cache.block_size
        tokenizer = self._llm.get_tokenizer()
        self._prompts = Prompts(tokenizer, self._model.chat_template)
        self._tools = Tools(tokenizer, self._settings.tool_parser)
        self.abilities = replace(self.abilities, tools=self._prompts.knows_tools())
        self._vocabulary = Vocabulary(tokenizer.backend_tokenizer)
        await self._tell_phases()
        await self._load_adapters()
        with self._news.timed("warm-up"):
            await self._warm_up()
        self.headroom.expect(self.context_tokens // 2)
        self._watch = asyncio.create_task(self._look_after(), name="engine core")

    def _arguments(self) -> Any:
        args = engine_args(self._model, self._settings)
        check_parser(self._settings.tool_parser)
        return args

    def _open(self, args: Any) -> Any:
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            return AsyncLLM.from_engine_args(args, stat_loggers=[LoadObserver(self.headroom)])
        except (ValueError, OSError, RuntimeError) as error:
            raise Misconfigured(
                f"vLLM can't start with the model {self._model.model!r}: {error}",
                remedy="Its own lines above say why; check AF_ENGINE_MODEL_PATH and AF_ENGINE_VLLM_*.",
            ) from error

    def _check_adapters(self) -> None:
        for name, folder in self._model.adapters.items():
            if not (Path(folder) / "adapter_config.json").is_file():
                raise Misconfigured(
                    f"The folder {folder!r} of the adapter {name!r} has no adapter_config.json.",
                    remedy="Set AF_ENGINE_ADAPTERS to name=folder, as PEFT writes it.",
                )

    async def _load_adapters(self) -> None:
        """Now, since else the first request for one would fail where it is broken."""
        for name in self._model.adapters:
            try:
                await self._llm.add_lora(self._adapter(name))
            except Exception as error:
                raise Misconfigured(
                    f"vLLM can't load the adapter {name!r}: {error}",
                    remedy="Check AF_ENGINE_ADAPTERS, and AF_ENGINE_VLLM_ADAPTER_RANK for its rank.",
                ) from error

    async def _tell_phases(self) -> None:
        """Of several workers of vLLM the slowest counts."""
        phases: tuple[Phase, ...] = ("weights", "compile", "graphs")
        told = await self._llm.collective_rpc("askfleet_phases")
        for phase in phases:
            self._news.phase(phase, max((times.get(phase, 0.0) for times in told), default=0.0))

    async def _warm_up(self) -> None:
        """A few tokens by the way that each request takes, so that the first answer does not pay for it."""
        request = GenerationRequest((Message("user", "Say hello."),), max_tokens=4)
        async with aclosing(self.stream(request)) as pieces:
            async for _ in pieces:
                pass

    async def _look_after(self) -> None:
        while not self._llm.errored:  # noqa: ASYNC110 (vLLM sets it from a thread and tells nobody)
            await asyncio.sleep(_LOOK_EVERY_S)
        log.error("the engine core of vLLM is dead; the worker ends", action="engine_dead")
        self._news.died("The engine core of vLLM is dead.")

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        llm, self._llm = self._llm, None
        if llm is not None:
            if llm.output_handler is not None:
                llm.output_handler.cancel()  # or it takes the end of the core for its death, and says so
            await asyncio.to_thread(llm.shutdown)
            del llm
            # Else the interpreter finds the engine at its very end, where what it calls then is gone already.
            gc.unfreeze()
            gc.collect()

    def in_flight(self) -> int:
        return self._in_flight

    async def core_has_requests(self) -> bool:
        """As the engine core says itself; when it has none, its cache of prompts is empty afterwards."""
        return not await self._llm.reset_prefix_cache()

    def count_tokens(self, text: str) -> int:
        return self._vocabulary.count(text)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.abilities.check(request)
        if request.json_schema is not None:
            parsed(request.json_schema)
        self._in_flight += 1
        try:
            calling = await self._calling(request)
            steps = self._steps(request, calling)
            async with (
                aclosing(steps),
                aclosing(_pieces(steps)) as plain,
                aclosing(with_calls(plain, calling) if calling else plain) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        finally:
            self._in_flight -= 1

    async def _calling(self, request: GenerationRequest) -> Calling | None:
        if request.tools is None:
            return None
        assert self._tools is not None, "not started"
        return await asyncio.to_thread(self._tools.calling, request)

    async def _steps(self, request: GenerationRequest, calling: Calling | None) -> AsyncGenerator[Step, None]:
        prompt = await self._prompt(request, repeat=True)
        if prompt.repeated:
            goes_on = False
            budget = request.max_tokens + prompt.repeated_tokens + _SPARE_TOKENS
            async with (
                aclosing(self._generated(request, prompt, budget)) as written,
                aclosing(beyond(written, prompt.repeated, request.max_tokens)) as steps,
            ):
                async for step in steps:
                    goes_on = True
                    yield step
            if goes_on:
                return
            prompt = await self._prompt(request, repeat=False)
        async with aclosing(self._generated(request, prompt, request.max_tokens, calling)) as steps:
            async for step in steps:
                yield step

    async def _prompt(self, request: GenerationRequest, *, repeat: bool) -> Prompt:
        """Raises: ContextOverflow."""
        assert self._prompts is not None, "not started"
        if self._prompts.takes_long(request):
            prompt = await asyncio.to_thread(self._prompts.of, request, repeat=repeat)
        else:
            prompt = self._prompts.of(request, repeat=repeat)
        if len(prompt.ids) >= self.context_tokens:
            raise ContextOverflow(
                f"The prompt has {len(prompt.ids)} tokens, the context of {self.name} {self.context_tokens}."
            )
        return prompt

    async def _generated(
        self, request: GenerationRequest, prompt: Prompt, max_tokens: int, calling: Calling | None = None
    ) -> AsyncGenerator[Step, None]:
        from vllm.inputs import tokens_input

        fitting = min(max_tokens, self.context_tokens - len(prompt.ids))
        number = self.headroom.enter(len(prompt.ids), fitting)
        seen = 0
        outputs = self._llm.generate(
            tokens_input(prompt.ids),
            sampling_params(request, fitting, calling),
            f"{request.request_id}-{number}",
            lora_request=self._adapter(request.adapter),
        )
        try:
            with _told_in_our_words(self._llm):
                async with aclosing(outputs):
                    async for output in outputs:
                        step = _step(output, len(prompt.ids))
                        self.headroom.advance(number, step.tokens + (0 if seen else len(prompt.ids)))
                        seen += 1
                        yield step
        finally:
            self.headroom.leave(number)

    def _adapter(self, name: str) -> Any:
        if not name:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(name, 1 + list(self._model.adapters).index(name), self._model.adapters[name])


def _step(output: Any, prompt_tokens: int) -> Step:
    """Of one output of vLLM, which holds what came since the one before."""
    (made,) = output.outputs
    reason = made.finish_reason
    return Step(
        made.text,
        len(made.token_ids),
        None if reason is None else "length" if reason == "length" else "stop",
        prompt_tokens,
        output.num_cached_tokens or 0,
    )


@contextmanager
def _told_in_our_words(llm: Any) -> Iterator[None]:
    from vllm.exceptions import VLLMClientError
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    try:
        yield
    except VLLMClientError as error:
        raise PermanentError(f"vLLM refuses the request, maybe for its grammar: {error}.") from error
    except (EngineDeadError, EngineGenerateError) as error:
        what = "is dead" if llm.errored else "failed at a request"
        raise DependencyUnavailable(f"The engine core of vLLM {what}.") from error


async def _pieces(steps: AsyncGenerator[Step, None]) -> AsyncGenerator[Piece, None]:
    """A step without text is told with the next."""
    written = untold = 0
    async for step in steps:
        written, untold = written + step.tokens, untold + step.tokens
        if step.finish is not None:
            usage = Usage(
                prompt_tokens=step.prompt_tokens,
                completion_tokens=written,
                cached_prompt_tokens=step.cached_tokens,
            )
            yield Piece(step.text, untold, step.finish, usage)
            return
        if step.text:
            yield Piece(step.text, untold)
            untold = 0
