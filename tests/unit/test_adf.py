import json

import pytest

from askfleet.sources.adf import adf_markdown
from contracts.errors import InvalidDocument
from tests.components import DEV_DATA, missing


def text(value: str, *marks: str) -> dict[str, object]:
    return {"type": "text", "text": value, "marks": [{"type": mark} for mark in marks]}


def paragraph(*nodes: object) -> dict[str, object]:
    return {"type": "paragraph", "content": list(nodes)}


def node(kind: str, *content: object, **attributes: object) -> dict[str, object]:
    return {"type": kind, "attrs": attributes, "content": list(content)}


@pytest.mark.needs_data
def test_every_collected_node_becomes_the_markdown_that_is_expected():
    cases = DEV_DATA / "tickets" / "adf_cases.jsonl"
    if not cases.exists():
        missing(f"no development data at {DEV_DATA}")
    wrong = []
    lines = cases.read_text().splitlines()
    for line in lines:
        case = json.loads(line)
        if adf_markdown(case["adf"]) != case["expected_markdown"]:
            wrong.append(case["name"])
    assert len(lines) == 53
    assert wrong == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (paragraph(text("a "), text("b", "strong", "em"), text("c", "strong")), "a ***b*c**"),
        (paragraph(text("bold ", "strong"), text("next")), "**bold** next"),
        (paragraph(text("a`b", "code")), "`` a`b ``"),
        (paragraph(text("one"), {"type": "hardBreak"}, text("two")), "one  \ntwo"),
        (paragraph(text("# no heading, 2 * 3, *no* _emphasis_ a_b")),
         "\\# no heading, 2 * 3, \\*no\\* \\_emphasis\\_ a_b"),
        (paragraph(text("[x](y) <b> &amp; `z`")), "[x\\](y) \\<b> \\&amp; \\`z\\`"),
        (paragraph(text("1. no list")), "1\\. no list"),
        (node("heading", text("Title"), level=9), "###### Title"),
        (node("rule"), "---"),
        (node("unknownThing", paragraph(text("kept")), node("more", text("also"))), "kept\n\nalso"),
        (node("extension", text="shown"), "shown"),
        (node("expand", paragraph(text("inside")), title="More"), "**More**\n\ninside"),
        (node("layoutSection", node("layoutColumn", paragraph(text("a"))), node("layoutColumn", paragraph(text("b")))),  # noqa: E501
         "a\n\nb"),
        (node("decisionList", node("decisionItem", text("Ship it"), state="DECIDED")), "- Ship it"),
        (node("mediaSingle", node("media", type="file", id="7f", alt="shot.png")), "![shot.png](attachment:7f)"),  # noqa: E501
        (node("mediaGroup", node("media", type="file", id="7f")), "![7f](attachment:7f)"),
        (node("emoji", shortName=":tada:"), ":tada:"),
        (node("mention", id="42"), "@42"),
        (node("date", timestamp="soon"), "soon"),
        (node("inlineCard", data={"url": "https://e.org/a", "name": "A"}), "[A](https://e.org/a)"),
        (node("codeBlock", text("a\n```\nb"), language="sql"), "````sql\na\n```\nb\n````"),
        (node("bulletList", node("listItem", paragraph(text("a")), node("codeBlock", text("x")), paragraph(text("b")))),  # noqa: E501
         "- a\n\n    ```\n    x\n    ```\n\n    b"),
        (node("taskList", node("taskItem", text("later"), state="TODO")), "- [ ] later"),
    ],
)  # fmt: skip
def test_a_node_reads_as(document: dict[str, object], expected: str):
    assert adf_markdown(document) == expected


def test_a_table_without_header_cells_gets_an_empty_header_and_spans_leave_empty_cells():
    wide = node("tableCell", paragraph(text("a")), colspan=2)
    tall = node("tableCell", paragraph(text("b")), rowspan=2)
    rows = [node("tableRow", wide), node("tableRow", tall, cell("c")), node("tableRow", cell("d"))]
    assert adf_markdown(node("table", *rows)) == (
        "|  |  |\n| --- | --- |\n| a<br> |  |\n| b<br> | c<br> |\n|  | d<br> |"
    )


def cell(value: str) -> dict[str, object]:
    return node("tableCell", paragraph(text(value)))


def test_a_link_that_would_run_a_script_keeps_its_text_alone():
    mark = {"type": "link", "attrs": {"href": "javascript:alert(1)"}}
    assert adf_markdown({"type": "text", "text": "here", "marks": [mark]}) == "here"
    mark["attrs"] = {"href": "https://e.org/a (b)"}
    assert adf_markdown({"type": "text", "text": "here", "marks": [mark]}) == "[here](<https://e.org/a (b)>)"


def test_what_lies_too_deep_keeps_its_text():
    document: object = paragraph(text("bottom"))
    for _ in range(400):
        document = node("blockquote", document)
    assert adf_markdown(document).endswith("bottom")


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (5, "document is 5, not a node"),
        ({"type": "doc", "content": "text"}, "document.content is 'text', not a list"),
        (
            {"type": "doc", "content": [{"type": "paragraph", "content": [None]}]},
            r"content\[0\].content\[0\] is None",
        ),
    ],
)
def test_what_is_no_document_is_an_error_that_says_where(document: object, names: str):
    with pytest.raises(InvalidDocument, match=names):
        adf_markdown(document)
