"""Writes docs/contracts: `python -m bus.export`. A test keeps the files equal to the code."""

import json
from pathlib import Path

from bus.asyncapi import asyncapi_document
from contracts import json_schemas

FOLDER = Path(__file__).parent.parent / "docs" / "contracts"


def contract_files() -> dict[str, str]:
    """File name to content."""
    files = {
        f"{name.replace('/', '-')}.schema.json": _text(schema) for name, schema in json_schemas().items()
    }
    files["asyncapi.json"] = _text(asyncapi_document())
    return files


def _text(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in contract_files().items():
        (FOLDER / name).write_text(content)
        print(f"docs/contracts/{name}")


if __name__ == "__main__":
    main()
