import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from askfleet.folder import Folder, Selection
from contracts.document import Document, Outcome
from contracts.errors import Misconfigured


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def ids(items: list[Document | Outcome]) -> list[str]:
    return [item.id for item in items if isinstance(item, Document)]


def failures(items: list[Document | Outcome]) -> dict[str, str]:
    return {
        item.document_id: item.problem.detail for item in items if isinstance(item, Outcome) and item.problem
    }


def test_known_files_come_sorted_with_their_media_type_and_hidden_ones_do_not(tmp_path: Path):
    write(
        tmp_path, {"b.md": "B", "a/z.HTML": "Z", "a.txt": "A", ".git/x.md": "X", ".y.md": "Y", "p.png": "P"}
    )
    items = list(Folder(tmp_path, address="https://docs/").documents())
    assert [
        (item.id, item.media_type, item.source, item.content) for item in items if isinstance(item, Document)
    ] == [
        ("a/z.HTML", "text/html", "https://docs/a/z.HTML", b"Z"),
        ("a.txt", "text/plain", "https://docs/a.txt", b"A"),
        ("b.md", "text/markdown", "https://docs/b.md", b"B"),
    ]


def test_patterns_choose_files_and_leave_out_folders(tmp_path: Path):
    write(tmp_path, {"a.md": "", "drafts/b.md": "", "c.txt": "", "d/drafts/e.md": "", "d/f.md": ""})
    chosen = Folder(tmp_path, Selection(include=("*.md",), exclude=("drafts",)))
    assert ids(list(chosen.documents())) == ["a.md", "d/f.md"]


def test_a_single_file_is_a_folder_of_one(tmp_path: Path):
    write(tmp_path, {"a.md": "A", "b.md": "B"})
    assert ids(list(Folder(tmp_path / "b.md").documents())) == ["b.md"]


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(Misconfigured, match="nowhere is neither"):
        list(Folder(tmp_path / "nowhere").documents())


def test_a_file_of_unknown_kind_that_was_asked_for_is_a_failure(tmp_path: Path):
    write(tmp_path, {"a.docx": "A"})
    assert "not a known kind" in failures(list(Folder(tmp_path / "a.docx").documents()))["a.docx"]


def test_links_in_a_circle_end_and_no_folder_comes_twice(tmp_path: Path):
    write(tmp_path, {"a/b.md": "B"})
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "z").symlink_to(tmp_path / "a")
    assert ids(list(Folder(tmp_path).documents())) == ["a/b.md"]


def test_unreadable_files_are_failures_in_their_place_and_the_rest_goes_on(tmp_path: Path):
    write(tmp_path, {"a.md": "A", "big.md": "x" * 50, "z.md": "Z"})
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    items = list(Folder(tmp_path, max_bytes=40).documents())
    assert ids(items) == ["a.md", "z.md"]
    assert list(failures(items)) == ["big.md", "gone.md"]
    assert "50 bytes" in failures(items)["big.md"]


def test_a_name_that_is_no_utf_8_still_makes_an_id(tmp_path: Path):
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("C")
    (document,) = Folder(tmp_path).documents()
    assert isinstance(document, Document)
    document.model_dump_json()


def test_each_json_line_is_a_document_and_a_broken_line_is_a_failure_with_its_number(tmp_path: Path):
    lines = [
        json.dumps({"id": 7, "title": "Seven", "text": "Text", "domain": "x", "url": "https://seven"}),
        "",
        "{broken",
        json.dumps({"content": "# Four", "media_type": "text/markdown"}),
        json.dumps({"id": "five"}),
    ]
    write(tmp_path, {"all.jsonl": "\n".join(lines)})
    items = list(Folder(tmp_path).documents())
    first, second = [item for item in items if isinstance(item, Document)]
    assert (first.id, first.title, first.source, first.content) == (
        "all.jsonl#7", "Seven", "https://seven", b"Text",
    )  # fmt: skip
    assert (second.id, second.media_type) == ("all.jsonl#4", "text/markdown")
    assert list(failures(items)) == ["all.jsonl#3", "all.jsonl#5"]
    assert "all.jsonl, line 3" in failures(items)["all.jsonl#3"]


@dataclass(frozen=True)
class Indexed:
    document_id: str
    source: str


def test_files_that_are_gone_are_deleted_and_unreadable_ones_are_kept(tmp_path: Path):
    write(tmp_path, {"a.md": "A", "big.md": "x" * 50, "q.jsonl": '{"id": "1", "text": "T"}\n{broken'})
    folder = Folder(tmp_path, max_bytes=40)
    list(folder.documents())
    names = ("a.md", "big.md", "old.md", "q.jsonl#1", "q.jsonl#2", "sub/b.md")
    deletions = folder.removed([Indexed(name, name) for name in names])
    assert [(item.id, item.action) for item in deletions] == [("old.md", "delete"), ("sub/b.md", "delete")]


def test_only_what_this_folder_would_bring_counts_as_gone(tmp_path: Path):
    write(tmp_path, {"a.md": "A", "q.jsonl": '{"id": "1", "text": "T"}'})
    folder = Folder(tmp_path, Selection(exclude=("drafts", "*.pdf")), address="https://docs/")
    list(folder.documents())
    indexed = [
        Indexed("old.md", "https://docs/old.md"),
        Indexed("other.md", "https://handbook/other.md"),
        Indexed("plain.md", "plain.md"),
        Indexed("jira:HELP-1", "https://docs/jira:HELP-1"),
        Indexed("drafts/x.md", "https://docs/drafts/x.md"),
        Indexed("gone.pdf", "https://docs/gone.pdf"),
        Indexed("q.jsonl#1", "https://one"),
        Indexed("q.jsonl#2", "https://two"),
        Indexed("r.jsonl#2", "https://two"),
    ]
    assert [item.id for item in folder.removed(indexed)] == ["old.md", "q.jsonl#2"]
