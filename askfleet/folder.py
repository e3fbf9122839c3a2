"""A folder of files as documents: each file, and each line of a JSON lines file, is one."""

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Protocol

from askfleet.json_lines import read_json_lines
from contracts.document import Document, MediaType, Outcome
from contracts.errors import InvalidDocument, Misconfigured

MEDIA_TYPES: dict[str, MediaType] = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".rst": "text/plain",
}
JSON_LINES = ".jsonl"
_MAX_ID = 512


@dataclass(frozen=True)
class Selection:
    """Patterns such as `*.md` or `drafts/*`, held against a file's path below the folder and its name."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes_file(self, path: str) -> bool:
        return not self.leaves_out(path) and (not self.include or _matches(path, self.include))

    def leaves_out(self, path: str) -> bool:
        return _matches(path, self.exclude)


class Indexed(Protocol):
    """As much of a document of the index as says where it came from."""

    @property
    def document_id(self) -> str: ...

    @property
    def source(self) -> str: ...


@dataclass
class Folder:
    """Reads `root`, a folder or a single file.

    Ids are paths below the folder with forward slashes; a document of a JSON lines file has `#` and its own
    id behind. `address` is put before the path to make the source that answers cite.
    """

    root: Path
    selection: Selection = Selection()
    address: str = ""
    max_bytes: int = 20_000_000
    _present: set[str] = field(default_factory=set)
    _unread: set[str] = field(default_factory=set)

    def documents(self) -> Iterator[Document | Outcome]:
        """Lazily, in order of path; a file that can't be read is a failed outcome in its place.

        Raises:
            Misconfigured: `root` is not there.
        """
        for path in self.files():
            for item in self.documents_of(path):
                if isinstance(item, Document):
                    self._present.add(item.id)
                else:
                    self._unread.add(self._name(path))
                yield item

    def documents_of(self, path: Path) -> Iterator[Document | Outcome]:
        """Those of one of its files."""
        name = self._name(path)
        try:
            yield from self._read(path, name)
        except InvalidDocument as error:
            yield failed(name, error)

    def met(self, outcome: Outcome) -> None:
        """Where `documents_of` is called elsewhere: what became of one of its documents."""
        self._present.add(outcome.document_id)
        if outcome.status == "failed":
            self._unread.add(outcome.document_id.partition("#")[0])

    @property
    def present(self) -> int:
        """So many documents were met."""
        return len(self._present)

    def removed(self, indexed: Iterable[Indexed]) -> list[Document]:
        """A deletion for each that came from here and is gone; ask after all documents were met.

        What lies in a file or folder that could not be read may still be there: it stays. So does what the
        selection does not take, and what cites another source than a file of this folder would.
        """
        files = {name.partition("#")[0] for name in self._present}
        gone = {
            item.document_id
            for item in indexed
            if item.document_id not in self._present and self._is_from_here(item, files)
        }
        return [Document(id=name, action="delete") for name in sorted(gone) if not self._may_be_unread(name)]

    def _is_from_here(self, item: Indexed, files: set[str]) -> bool:
        path, line, _ = item.document_id.partition("#")
        parents = (parent.as_posix() for parent in PurePosixPath(path).parents)
        if (
            not _is_known(path)
            or not self.selection.takes_file(path)
            or any(self.selection.leaves_out(parent) for parent in parents)
        ):
            return False
        # A line may name a source of its own; its file, as long as it is there, says that it is ours.
        own = self.address + path if self.address else item.document_id
        return item.source == own or (bool(line) and path in files)

    def _may_be_unread(self, document_id: str) -> bool:
        whole = document_id in self._unread
        return whole or any(document_id.startswith((f"{name}/", f"{name}#")) for name in self._unread)

    def files(self) -> Iterator[Path]:
        """Of the known kinds, and folders that can't be listed. Raises: Misconfigured: as `documents`."""
        self.check_root()
        if self.root.is_file():
            yield self.root
        else:
            yield from _walk(self.root, "", self.selection, set())

    def check_root(self) -> None:
        """Raises: Misconfigured: `root` is not there."""
        if not self.root.is_file() and not self.root.is_dir():
            raise Misconfigured(f"{self.root} is neither a file nor a folder.", remedy="Check the path.")

    def _name(self, path: Path) -> str:
        relative = path.name if path == self.root else path.relative_to(self.root).as_posix()
        # A name that is no UTF-8 has lone surrogates, which no message can carry.
        return relative.encode("utf-8", errors="backslashreplace").decode()

    def _read(self, path: Path, name: str) -> Iterator[Document | Outcome]:
        if len(name) > _MAX_ID:
            raise InvalidDocument(f"{name}: longer than {_MAX_ID} characters.", remedy="Shorten the path.")
        if path.is_dir():
            raise InvalidDocument(f"{name}: the folder can't be listed.", remedy="Check its permissions.")
        source = self.address + name if self.address else ""
        try:
            if path.suffix.lower() == JSON_LINES:
                yield from read_json_lines(path, name, source)
            else:
                yield self._file(path, name, source)
        except OSError as error:
            raise InvalidDocument(
                f"{name}: {error.strerror or error}.", remedy="Check that the file is there and readable."
            ) from error

    def _file(self, path: Path, name: str, source: str) -> Document:
        media_type = MEDIA_TYPES.get(path.suffix.lower())
        if media_type is None:
            known = ", ".join([*MEDIA_TYPES, JSON_LINES])
            raise InvalidDocument(f"{name}: not a known kind of file.", remedy=f"Give one of {known}.")
        size = path.stat().st_size
        if size > self.max_bytes:
            raise InvalidDocument(
                f"{name}: {size:,} bytes are more than the {self.max_bytes:,} that are allowed.",
                remedy="Split the file.",
            )
        content = base64.b64encode(path.read_bytes())
        return Document(id=name, media_type=media_type, source=source, content=content)


def failed(name: str, error: InvalidDocument) -> Outcome:
    return Outcome(document_id=name[:_MAX_ID], status="failed", problem=error.problem())


def _walk(folder: Path, below: str, selection: Selection, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Files of known kinds, sorted, and folders that can't be listed; hidden ones are left out.

    No folder is entered twice, whatever links lead to it.
    """
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in entries:
        relative = below + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not selection.leaves_out(relative):
                yield from _walk(Path(entry.path), relative + "/", selection, seen)
        elif _is_document(entry) and selection.takes_file(relative):
            yield Path(entry.path)


def _is_document(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere counts, so that it is reported; a pipe or a device does not."""
    return _is_known(entry.name) and (entry.is_file() or entry.is_symlink())


def _is_known(path: str) -> bool:
    suffix = os.path.splitext(path)[1].lower()
    return suffix in MEDIA_TYPES or suffix == JSON_LINES


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)
