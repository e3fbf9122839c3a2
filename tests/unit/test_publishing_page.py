"""docs/publishing.md and docs/clients.md show what the examples do, word for word."""

import re
from pathlib import Path

import pytest

from contracts import SCHEMAS, Document, decode
from contracts.errors import AskfleetError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "publishing.md").read_text()
PAGES = PAGE + (ROOT / "docs" / "clients.md").read_text()
SNIPPETS = re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", PAGES, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("example", "snippet"), SNIPPETS)
def test_each_snippet_stands_in_its_example(example: str, snippet: str) -> None:
    assert snippet in (ROOT / example).read_text()


def test_every_example_is_shown() -> None:
    shown = {example for example, _ in SNIPPETS}
    files = (ROOT / "examples").rglob("*.*")
    runnable = {f.relative_to(ROOT) for f in files if f.suffix in (".py", ".sh", ".js")}
    assert {str(f) for f in runnable if "node_modules" not in f.parts} == shown


def test_the_document_shown_is_a_valid_one() -> None:
    (body,) = re.findall(r"^```json document/1\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert decode(Document, body.encode(), schema=SCHEMAS[Document]).content.startswith(b"# Returns")


def test_the_error_codes_are_those_of_the_contracts() -> None:
    table = PAGE.partition("| code | when |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert listed <= {error.code for error in _descendants(AskfleetError)}
    assert len(listed) == 7


def _descendants(kind: type[AskfleetError]) -> list[type[AskfleetError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _descendants(child))]
