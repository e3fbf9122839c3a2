"""Exports as files: what the APIs answer, saved as JSON, one object, a list, or one object a line.

All files are read before the first record leaves: comments lie in other files than their tickets, and a
ticket may be in several, of which the newest counts.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from askfleet.sources.fields import Object, object_of
from askfleet.sources.records import Kind, Record, merged
from contracts.document import Outcome
from contracts.errors import InvalidDocument, Misconfigured

SUFFIXES = (".json", ".jsonl", ".ndjson")
MAX_FILE_BYTES = 512_000_000
_LINES = (".jsonl", ".ndjson")

Take = Callable[[Object, str], Iterator[Outcome]]
"""Gathers from one JSON object, which stood where the second argument says; yields what failed."""


def files_of(root: Path, kind: Kind) -> list[Path]:
    """A file, or those of a folder and the folders below, sorted; hidden ones are left out.

    Raises:
        Misconfigured: nothing is there.
    """
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise Misconfigured(
            f"{root} is neither a file, nor a folder, nor an address.",
            remedy="Check the path, or begin with https://.",
        )
    found = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not found:
        raise Misconfigured(
            f"{root} holds no {kind} export.", remedy=f"Put files there that end in {', '.join(SUFFIXES)}."
        )
    return found


def read_export(path: Path, name: str, take: Take) -> Iterator[Outcome]:
    """Give each object of the file to `take`; what can't be read is a failed outcome in its place."""
    try:
        for content, where in _texts(path, name):
            yield from _taken(content, where, take)
    except InvalidDocument as error:
        yield failure(name, error)


def failure(name: str, error: InvalidDocument) -> Outcome:
    return Outcome(document_id=name[:512], status="failed", problem=error.problem())


def _taken(content: bytes, where: str, take: Take) -> Iterator[Outcome]:
    try:
        value = parsed(content, where)
    except InvalidDocument as error:
        yield failure(where, error)
        return
    many = value if isinstance(value, list) else [value]
    for at, item in enumerate(many, start=1):
        place = f"{where}[{at}]" if isinstance(value, list) else where
        try:
            yield from take(object_of(item, place), place)
        except InvalidDocument as error:
            yield failure(place, error)


def _texts(path: Path, name: str) -> Iterator[tuple[bytes, str]]:
    """The file, or each of its lines, and what it is called."""
    is_lines = path.suffix.lower() in _LINES
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES and not is_lines:
            raise InvalidDocument(
                f"{name}: {size:,} bytes are more than the {MAX_FILE_BYTES:,} that are allowed.",
                remedy="Export it as JSON lines, or in several files.",
            )
        if not is_lines:
            yield path.read_bytes(), name
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield line, f"{name}, line {number}"
    except OSError as error:
        raise InvalidDocument(
            f"{name}: {error.strerror or error}.", remedy="Check that the file is there and readable."
        ) from error


def parsed(content: bytes, name: str) -> object:
    """Raises InvalidDocument when it is no JSON."""
    try:
        found: object = json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        reason = "its values are nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidDocument(f"{name}: no JSON: {reason}.", remedy="Export it again as JSON.") from error
    return found


class Gathered:
    """Records by id, in the order in which they were met first."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def add(self, record: Record) -> None:
        known = self.records.get(record.id)
        self.records[record.id] = merged(known, record) if known else record


def each(
    values: Iterable[object], where: str, read: Callable[[object], Record], gathered: Gathered
) -> Iterator[Outcome]:
    """Gather what `read` makes of the values; one that it can't read does not stop the others."""
    for at, value in enumerate(values, start=1):
        try:
            gathered.add(read(value))
        except InvalidDocument as error:
            yield failure(f"{where}[{at}]", error)


def unknown(found: Object, where: str, wanted: str) -> InvalidDocument:
    names = ", ".join(sorted(found)[:8]) or "nothing"
    return InvalidDocument(f"{where}: an object with {names}.", remedy=f"An export has {wanted}.")
