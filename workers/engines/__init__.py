"""Engines: a language model behind one small port."""

from workers.engines.opening import open_engine
from workers.engines.port import (
    Abilities,
    Engine,
    FinishReason,
    GenerationRequest,
    Message,
    Piece,
    ToolCall,
)
from workers.engines.settings import EngineKind, EngineSettings
from workers.engines.simulated import SimulatedEngine, Timing

__all__ = [
    "Abilities",
    "Engine",
    "EngineKind",
    "EngineSettings",
    "FinishReason",
    "GenerationRequest",
    "Message",
    "Piece",
    "SimulatedEngine",
    "Timing",
    "ToolCall",
    "open_engine",
]
