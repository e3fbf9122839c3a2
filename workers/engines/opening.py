"""From settings to a started engine."""

from pathlib import Path

from contracts.errors import Misconfigured
from workers.engines.journal import EngineJournal
from workers.engines.llamacpp import LlamaCppEngine, ModelFiles, shipped_model
from workers.engines.openai import Endpoint, OpenAIEngine
from workers.engines.port import Engine
from workers.engines.settings import EngineSettings
from workers.engines.simulated import SimulatedEngine, Timing
from workers.engines.startup import EngineNews, process_age_s
from workers.engines.vllm.engine import VllmEngine
from workers.engines.vllm.options import VllmModel


async def open_engine(settings: EngineSettings, news: EngineNews | None = None) -> Engine:
    """Raises: Misconfigured: a missing model file, a refused key. DependencyUnavailable: a silent server."""
    news = news or EngineNews()
    news.phase("process", process_age_s())
    engine = _build(settings, news)
    try:
        with news.timed("start"):
            await engine.start()
    except BaseException:
        await engine.close()
        raise
    return engine


def _build(settings: EngineSettings, news: EngineNews) -> Engine:
    if settings.kind == "vllm":
        return _vllm(settings, news)
    if settings.kind == "simulated":
        return _simulated(settings)
    if settings.kind == "openai":
        return _openai(settings)
    return _llamacpp(settings)


def _vllm(settings: EngineSettings, news: EngineNews) -> VllmEngine:
    if settings.model_path is None:
        raise Misconfigured(
            "vLLM has no model to load.",
            remedy="Set AF_ENGINE_MODEL_PATH to a folder with a model's config, tokenizer and safetensors.",
        )
    model = VllmModel(
        str(settings.model_path),
        name=settings.model,
        adapters=settings.adapter_targets(),
        chat_template=settings.chat_template,
        context_tokens=settings.context_tokens,
        max_requests=settings.slot_count(),
    )
    return VllmEngine(model, settings.vllm, news)


def _llamacpp(settings: EngineSettings) -> LlamaCppEngine:
    files = ModelFiles(
        settings.model_path or shipped_model(),
        adapters={name: Path(path) for name, path in settings.adapter_targets().items()},
        chat_template=settings.chat_template,
    )
    return LlamaCppEngine(
        files,
        slots=settings.slot_count(),
        context_tokens=settings.context_tokens or 2_048,
        threads=settings.threads,
        prompt_cache_mib=settings.prompt_cache_mib,
        name=settings.model,
    )


def _openai(settings: EngineSettings) -> OpenAIEngine:
    endpoint = Endpoint(
        url=settings.url,
        api_key=settings.api_key.get_secret_value() if settings.api_key else "",
        model=settings.model,
        context_tokens=settings.context_tokens,
        continuation=settings.continuation,
        structured=settings.structured,
        tools=settings.tools,
        adapters=settings.adapter_targets(),
        silence_s=settings.silence_s,
        unreachable_s=settings.unreachable_s,
        start_timeout_s=settings.start_timeout_s,
    )
    return OpenAIEngine(endpoint, slots=settings.slot_count())


def _simulated(settings: EngineSettings) -> SimulatedEngine:
    timing = Timing(
        first_token_s=settings.simulated_first_token_ms / 1_000,
        interval_s=settings.simulated_interval_ms / 1_000,
        answer_tokens=settings.simulated_tokens,
        piece_tokens=settings.simulated_piece_tokens,
    )
    return SimulatedEngine(
        timing,
        slots=settings.slot_count(),
        context_tokens=settings.context_tokens or 8_192,
        name=settings.model or "simulated",
        journal=EngineJournal(settings.journal) if settings.journal is not None else None,
        adapters=tuple(settings.adapter_targets()),
    )
