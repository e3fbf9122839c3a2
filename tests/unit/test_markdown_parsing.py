from workers.ingest.parsing import Block
from workers.ingest.parsing.markdown import parse_markdown


def texts(markdown: str) -> list[str]:
    return [block.text for block in parse_markdown(markdown).blocks]


def test_the_first_heading_is_the_title_and_headings_nest_by_level():
    parsed = parse_markdown("# Guide\nHello.\n\n## Install\n### Linux\nUse apt.\n## Run\nStart it.\n")
    assert parsed.title == "Guide"
    assert parsed.blocks == (
        Block(("Guide",), "Hello."),
        Block(("Guide", "Install", "Linux"), "Use apt."),
        Block(("Guide", "Run"), "Start it."),
    )


def test_setext_headings_count_as_headings():
    parsed = parse_markdown("Guide\n=====\n\nInstall\n-------\nUse apt.\n")
    assert parsed.blocks == (Block(("Guide", "Install"), "Use apt."),)


def test_front_matter_gives_title_and_description_and_is_no_text():
    parsed = parse_markdown("---\ntitle: Invoices\ndescription: How to bill\ntags: [a]\n---\n# Bills\nText\n")
    assert parsed.title == "Invoices"
    assert [block.text for block in parsed.blocks] == ["How to bill", "Text"]


def test_a_thematic_break_at_the_top_is_no_front_matter():
    assert texts("---\nnot: [valid\n---\nAfter") == ["After"]
    assert texts("---\njust words\n---\nAfter")[-1] == "After"
    assert "just words" in str(parse_markdown("---\njust words\n---\nAfter"))


def test_links_and_images_leave_their_text():
    assert texts("See [the *guide*](http://x/y) and ![a chart](c.png).") == ["See the guide and a chart."]


def test_a_table_has_a_row_a_line_with_its_header_first():
    parsed = parse_markdown("| Name | Port |\n|---|:-:|\n| web | 80 |\n| `db` | 5432 |\n")
    assert parsed.blocks == (Block((), "Name | Port\nweb | 80\ndb | 5432", "table"),)


def test_code_keeps_its_indentation_and_what_looks_like_a_heading():
    parsed = parse_markdown("```sh\n# not a heading\n  run --now <id>\n```\n")
    assert parsed.blocks == (Block((), "# not a heading\n  run --now <id>", "code"),)


def test_nested_lists_keep_markers_and_depth():
    parsed = parse_markdown("3. one\n   - inner\n\n     more\n4. two\n")
    assert parsed.blocks == (Block((), "3. one\n  - inner\n    more\n4. two", "list"),)


def test_code_inside_a_list_is_a_block_of_its_own_in_its_place():
    parsed = parse_markdown("1. first\n\n   ```\n   make\n   ```\n2. second\n")
    assert [(block.kind, block.text) for block in parsed.blocks] == [
        ("list", "1. first"),
        ("code", "make"),
        ("list", "2. second"),
    ]


def test_tags_of_site_generators_go_and_tab_titles_stay():
    source = (
        '{% hint style="info" %}\nMind the gap.\n{% endhint %}\n'
        '{% tabs %}\n{% tab title="Go" %}\n```go\nx := 1\n```\n{% endtab %}\n{% endtabs %}\n'
        "- item\n{% endtab %}\n:::tip\nA tip.\n:::\n"
    )
    assert texts(source) == ["Mind the gap.", "Go:", "x := 1", "- item", "A tip."]


def test_template_tags_in_code_stay():
    assert texts("```\n{% raw %}\n```\n") == ["{% raw %}"]


def test_embedded_html_is_read_as_html():
    source = (
        "<table><tr><th>A</th></tr><tr><td>1</td></tr></table>\n\n"
        "<details>\n<summary>More</summary>\n\nInside **it**\n\n</details>\n"
    )
    assert texts(source) == ["A\n1", "More", "Inside it"]


def test_placeholders_in_angle_brackets_are_text_and_tags_are_not():
    assert texts("Set <account-id> to <b>yours</b>.<br>Then go.") == ["Set <account-id> to yours.\nThen go."]


def test_a_very_long_heading_is_kept_whole_as_text():
    heading = "word " * 100
    parsed = parse_markdown(f"# {heading}\nBody\n")
    assert len(parsed.title) <= 200
    assert parsed.blocks[0].text == heading.strip()


def test_a_page_that_is_only_a_heading_has_its_heading_as_text():
    assert texts("# Coming soon\n") == ["Coming soon"]
