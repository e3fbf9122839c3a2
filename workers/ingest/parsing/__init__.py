"""Bytes of a stated media type to a title and blocks of text under headings."""

from workers.ingest.parsing.blocks import Block, BlockKind, ParsedDocument
from workers.ingest.parsing.document import Limits, parse

__all__ = ["Block", "BlockKind", "Limits", "ParsedDocument", "parse"]
