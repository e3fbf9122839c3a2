"""Where a command writes what a person asked for: found out before anything takes time."""

import tempfile
from pathlib import Path

from contracts.errors import Misconfigured


def output_folder(folder: Path, *, option: str) -> Path:
    """The folder, made if it was not there. Raises: Misconfigured: nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Misconfigured(
            f"{folder} can't be written to: {error.strerror}.", remedy=f"Give {option} another place."
        ) from error
    return folder


def output_file(file: Path, *, option: str) -> Path:
    """The file, in a folder that is there. Raises: Misconfigured: it is a folder, or can't be written."""
    if file.is_dir():
        raise Misconfigured(f"{file} is a folder.", remedy=f"Give {option} the name of a file.")
    output_folder(file.parent, option=option)
    return file
