import pytest

from contracts.errors import InvalidDocument
from workers.ingest.parsing import Block
from workers.ingest.parsing.html import parse_html

PAGE = """<!doctype html><html><head><title>Ports - Acme docs</title><style>p {color: red}</style></head>
<body><header>Acme <a href=/>home</a></header><nav><ul><li>Menu</li></ul></nav>
<main><header><h1>Ports<a class=headerlink href=#ports>\u00b6</a></h1></header>
<p>The <b>web</b> server\nlistens.</p>
<h2>List</h2><ul><li>web <ul><li>80</li></ul></li><li>db<pre>psql\n  -h x</pre></li></ul>
<table><caption>All ports</caption>
<tr><th>Name</th><th>Port</th></tr><tr><td>web</td><td><p>80</p></td></tr></table>
<script>alert('x')</script><p hidden>secret</p></main><footer>Imprint</footer></body></html>"""


def test_the_main_content_becomes_blocks_without_the_frame_of_the_page():
    parsed = parse_html(PAGE.encode(), "ports.html")
    assert parsed.title == "Ports"
    assert parsed.blocks == (
        Block(("Ports",), "The web server listens."),
        Block(("Ports", "List"), "- web\n  - 80\n- db", "list"),
        Block(("Ports", "List"), "psql\n  -h x", "code"),
        Block(("Ports", "List"), "All ports"),
        Block(("Ports", "List"), "Name | Port\nweb | 80", "table"),
    )


def test_a_page_without_headings_takes_its_title_element():
    parsed = parse_html(b"<title>Note</title><div>One<div>Two</div>Three</div>", "note.html")
    assert parsed.title == "Note"
    assert [block.text for block in parsed.blocks] == ["One", "Two", "Three"]


def test_an_empty_main_element_falls_back_to_the_whole_page():
    parsed = parse_html(b"<body><main><script>app()</script></main><p>Text</p></body>", "app.html")
    assert [block.text for block in parsed.blocks] == ["Text"]


TEXT = "10 \u20ac f\u00fcr K\u00e4se"
HTTP_EQUIV = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">'


@pytest.mark.parametrize(
    "content",
    [
        f'<meta charset="iso-8859-15"><p>{TEXT}</p>'.encode("iso-8859-15"),
        f"{HTTP_EQUIV}<p>{TEXT}</p>".encode("cp1252"),
        f"<p>{TEXT}</p>".encode("utf-8-sig"),
        f"<p>{TEXT}</p>".encode("utf-16"),
        f"<meta charset=no-such-charset><p>{TEXT}</p>".encode(),
    ],
)
def test_the_encoding_comes_from_the_mark_the_meta_element_or_utf_8(content: bytes):
    assert parse_html(content, "p.html").blocks[0].text == TEXT


def test_header_and_footer_of_a_page_without_a_main_element_are_left_out():
    html = b"<body><header>Acme</header><p>Text</p><aside>Ad</aside><footer>Imprint</footer></body>"
    assert parse_html(html, "p.html").blocks == (Block((), "Text"),)


def test_a_table_that_lays_out_a_page_is_read_as_its_content():
    html = b"<table><tr><td><h2>News</h2><p>We moved.</p></td></tr></table>"
    assert parse_html(html, "p.html").blocks == (Block(("News",), "We moved."),)


def test_binary_content_is_refused_by_name():
    with pytest.raises(InvalidDocument, match=r"image\.html.*binary"):
        parse_html(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image.html")
