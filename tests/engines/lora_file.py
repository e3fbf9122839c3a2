"""A LoRA adapter as a GGUF file or a folder of PEFT: random, small, for the attention of one layer."""

import json
import random
import struct
from pathlib import Path

WIDTH, RANK, ALPHA = 576, 2, 16.0
_STRING, _FLOAT = 8, 6


def write_adapter(path: Path, *, scale: float = 0.3, seed: int = 1) -> Path:
    """`scale` is the largest weight; with 0.3 the model does not find its words any more."""
    draw = random.Random(seed)
    names = [f"blk.0.{part}.weight" for part in ("attn_q", "attn_output")]
    shapes = [
        (f"{name}.lora_{side}", shape)
        for name in names
        for side, shape in (("a", (WIDTH, RANK)), ("b", (RANK, WIDTH)))
    ]
    texts = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(texts) + 1)
    for key, text in texts.items():
        head += _string(key) + struct.pack("<I", _STRING) + _string(text)
    head += _string("adapter.lora.alpha") + struct.pack("<If", _FLOAT, ALPHA)
    data = b""
    for name, (columns, rows) in shapes:
        head += _string(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, len(data))
        weights = [draw.uniform(-scale, scale) for _ in range(columns * rows)]
        data += _padded(struct.pack(f"<{len(weights)}f", *weights))
    path.write_bytes(_padded(head) + data)
    return path


def write_adapter_folder(path: Path, *, scale: float = 0.3, seed: int = 1) -> Path:
    """The same in a folder as PEFT writes it, with safetensors."""
    draw = random.Random(seed)
    parts = ("q_proj", "o_proj")
    head: dict[str, object] = {}
    data = b""
    for part in parts:
        for side, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
            weights = [draw.uniform(-scale, scale) for _ in range(RANK * WIDTH)]
            begin, data = len(data), data + struct.pack(f"<{len(weights)}f", *weights)
            name = f"base_model.model.model.layers.0.self_attn.{part}.lora_{side}.weight"
            head[name] = {"dtype": "F32", "shape": shape, "data_offsets": (begin, len(data))}
    path.mkdir()
    text = json.dumps(head).encode()
    (path / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": parts, "bias": "none"}
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % 32)
