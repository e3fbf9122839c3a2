"""An engine around another one: all that the port asks for, handed on."""

from collections.abc import AsyncGenerator

from workers.engines.port import Abilities, Engine, GenerationRequest, Piece


class EngineAround:
    """Whoever watches requests says its own `stream`; the rest is the inner engine's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def context_tokens(self) -> int:
        return self._engine.context_tokens

    @property
    def abilities(self) -> Abilities:
        return self._engine.abilities

    async def start(self) -> None:
        await self._engine.start()

    async def close(self) -> None:
        await self._engine.close()

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        return self._engine.stream(request)

    def count_tokens(self, text: str) -> int:
        return self._engine.count_tokens(text)

    def in_flight(self) -> int:
        return self._engine.in_flight()
