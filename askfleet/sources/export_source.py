"""An export as a source: it is small enough to be read again, so a pass through it needs no marks."""

from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import islice
from pathlib import Path

from askfleet.sources.passes import Cursor, Page
from askfleet.sources.records import Record, moment
from contracts.document import Outcome

_PAGE = 200


class ExportSource:
    """Records that were updated before the pass's `since` are passed over."""

    def __init__(
        self, root: Path, read: Callable[[Path], Iterator[Record | Outcome]], *, since: str = ""
    ) -> None:
        self._root = root
        self._read = read
        self._since = moment(since) if since else None
        self.origin = root.resolve().as_uri()

    async def pages(self, cursor: Cursor) -> AsyncGenerator[Page, None]:
        items = (item for item in self._read(self._root) if self._wanted(item))
        ahead = tuple(islice(items, _PAGE))
        while True:
            page, ahead = ahead, tuple(islice(items, _PAGE))
            yield Page(page, cursor, last=not ahead)
            if not ahead:
                return

    def _wanted(self, item: Record | Outcome) -> bool:
        if self._since is None or not isinstance(item, Record):
            return True
        updated = moment(item.updated)
        return updated is None or updated >= self._since
