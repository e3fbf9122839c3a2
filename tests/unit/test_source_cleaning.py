import pytest

from askfleet.sources.hypertext import html_markdown
from askfleet.sources.records import Attachment, Body, Entry, Record, fact
from askfleet.sources.rendering import Cleaning, rendered
from askfleet.sources.replies import without_quotes, without_signature
from askfleet.sources.wiki import wiki_markdown
from contracts.errors import InvalidDocument
from workers.shell.masking import RULES, Rule, masked


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("email", "write to jo.do+x@mail.example.co.uk.", "write to [email]."),
        ("phone", "call +49 (0)30 1234567 or (555) 123-4567, 030/123456", "call [phone] or [phone], [phone]"),
        ("card", "4111 1111 1111 1111, not 4111 1111 1111 1112", "[card], not 4111 1111 1111 1112"),
        ("iban", "DE89 3704 0044 0532 0130 00 please, not DE88 3704 0044 0532 0130 00",
         "[iban] please, not DE88 3704 0044 0532 0130 00"),
        ("secrets", "password: hunter22", "password: [secret]"),
        ("secrets", "DB_PASSWORD=hunter22 and 'api_key': 'k3yk3y'", "DB_PASSWORD=[secret] and 'api_key': '[secret]'"),  # noqa: E501
        ("secrets", "postgres://app:pw@db/x AKIAIOSFODNN7EXAMPLE", "postgres://[secret]@db/x [secret]"),
        ("secrets", "Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [secret]"),
        ("secrets", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nend", "[secret]\nend"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_rule_masks_what_it_is_for_and_alone(rule: Rule, text: str, expected: str):
    assert masked(text, [rule])[0] == expected
    others = [other for other in RULES if other != rule]
    assert rule not in masked(text, others)[1]
    assert masked(text, [])[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "released 2024-01-10 10:00:00 as 1.2.3, build 1704067200000, from 10.0.0.1:8080",
        "article 360000100000, issue KP-10, order 20014182, 1,234,567 rows, 3.14159265",
        "the token is invalid and the password is required",
        "reset the password: see https://example.org/help/123-456",
        "user@localhost, @mention, a@b",
        "commit 5fc9e78d2730d800760becc4, id 70121:5e8e6032-7f3d-4cfa-a4f7-c1bce3f8f06a",
    ],
)
def test_dates_numbers_and_talk_of_passwords_stay(text: str):
    assert masked(text, RULES)[0] == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thanks!\n\nOn Mon, Jan 1, 2024 at 10:00, Bob <b@x> wrote:\n> old\n> older\n\nMore below.",
         "Thanks!\n\n\nMore below."),
        ("Danke\n\nAm 1. Januar 2024 um 10:00 schrieb Bob <b@x>:\n\n> alt", "Danke"),
        ("Yes.\n\n-----Original Message-----\nFrom: Bob\nSent: Monday\nold text", "Yes."),
        ("Yes.\n\nFrom: Bob\nSent: Monday\nTo: Eve\nSubject: Re\n\nold", "Yes."),
        ("From: Berlin\nTo: Paris\nTrains run daily.", "From: Berlin\nTo: Paris\nTrains run daily."),
        ("> a quotation that nobody leads stays", "> a quotation that nobody leads stays"),
        ("```\nOn Mon, Jan 1, Bob wrote:\n> x\n```", "```\nOn Mon, Jan 1, Bob wrote:\n> x\n```"),
        ("##- Please type your reply above this line -##\nHello", "Hello"),
    ],
)  # fmt: skip
def test_quoted_mails_go_and_answers_below_them_stay(text: str, expected: str):
    assert without_quotes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It fails.\n\nBest regards,\nBob\nACME Inc.", "It fails."),
        ("It fails.\n\n-- \nBob\n+1 555", "It fails."),
        ("Es geht nicht.\n\nMit freundlichen Gr\u00fc\u00dfen\nBob", "Es geht nicht."),
        ("It fails.\nSent from my iPhone", "It fails."),
        (
            "Best regards,\nBob, and now: does it work for you?",
            "Best regards,\nBob, and now: does it work for you?",
        ),
        ("```\nselect 1\n--\nfrom t\n```", "```\nselect 1\n--\nfrom t\n```"),
        ("Nothing to take away", "Nothing to take away"),
    ],
)
def test_signatures_go(text: str, expected: str):
    assert without_signature(text) == expected


def test_html_becomes_markdown_with_headings_nested_lists_tables_and_code():
    html = (
        "<h1>A</h1><h2>B</h2><h2>C</h2><p>x <b>*y*</b><br>z</p><ul><li>a<ol><li>b</li></ol></li><li>c</li></ul>"  # noqa: E501
        "<table><tr><th>k|l</th></tr><tr><td>1</td></tr></table><pre>a\n  b</pre><script>no()</script>"
    )
    assert html_markdown(html, name="x") == (
        "# A\n\n## B\n\n## C\n\nx \\*y\\*  \nz\n\n- a\n    1. b\n- c\n\n| k\\|l |\n| --- |\n| 1 |\n\n```\na\n  b\n```"  # noqa: E501
    )


def test_what_mail_programs_quote_and_sign_with_is_taken_out_of_html():
    html = '<p>New</p><div class="gmail_signature">Bob</div><blockquote type="cite"><p>Old</p></blockquote>'
    assert html_markdown(html, name="x", quotes=False, signatures=False) == "New"
    assert html_markdown(html, name="x") == "New\n\nBob\n\nOld"


def test_wiki_markup_becomes_markdown():
    wiki = (
        "h2. Steps\n*bold* _it_ -no- well-known {{x_y}} [~accountid:5b] [site|https://e.org] [^a.log] !s.png|thumb!\n"  # noqa: E501
        "* a\n** b\n# one\n# two\n||k||v||\n|1|[x|https://e.org]|\n{code:java}\nint *x;\n{code}\n{quote}said{quote}\n"  # noqa: E501
        "{color:red}red{color} array[0] \\*kept\\*\n----"
    )
    assert wiki_markdown(wiki) == (
        "## Steps\n\n**bold** *it* ~~no~~ well-known `x_y` @5b [site](https://e.org) [a.log](attachment:a.log) "  # noqa: E501
        "![s.png](s.png)\n\n- a\n    - b\n1. one\n2. two\n\n| k | v |\n| --- | --- |\n| 1 | [x](https://e.org) |\n\n"  # noqa: E501
        "```java\nint *x;\n```\n\n> said\n\nred array[0] \\*kept\\*\n\n---"
    )


@pytest.mark.parametrize(
    "text", ["{code}" * 3, "[" * 5000, "*" * 5000, "|" * 5000, "!a" * 2000, "-a " * 2000]
)
def test_broken_wiki_markup_is_read_in_time(text: str):
    assert isinstance(wiki_markdown(text), str)


RECORD = Record(
    id="jira:e.org/1",
    title="HELP-1: Login of jo@example.org fails",
    url="https://e.org/browse/HELP-1",
    facts=(*fact("Status", "Open"), *fact("Labels", "login", "sso")),
    body=Body("wiki", "Password is hunter22\n\nRegards,\nJo"),
    entries=(
        Entry(
            "7", "Ann", "2026-01-02T10:00:00+0100", Body("text", "Seen."), attachments=(Attachment("a.log"),)
        ),
        Entry("8", "Ann", "", Body("text", "For us only"), kind="Internal note", internal=True),
    ),
    attachments=(Attachment("shot.png", "image/png", 2048),),
    created="2026-01-01",
)


def test_a_record_becomes_a_page_with_its_fields_comments_and_attachments():
    made = rendered(RECORD, Cleaning())
    page = made.document.content.decode()
    assert made.document.title == "HELP-1: Login of [email] fails"
    assert made.document.source == RECORD.url
    for line in (
        "- Labels: login, sso",
        "- Created: 2026-01-01 00:00 UTC",
        "### Comment by Ann, 2026-01-02 09:00 UTC",
        "- a.log",
        "- shot.png (image/png, 2,048 bytes)",
        "### Internal note by Ann",
        "Password is [secret]",
    ):
        assert line in page.split("\n"), line  # fmt: skip
    assert "Regards" not in page
    assert made.removed > 0
    assert dict(made.masked) == {"email": 2, "secrets": 1}


def test_each_kind_of_cleaning_can_be_switched_off():
    page = rendered(RECORD, Cleaning(masks=(), signatures=False)).document.content.decode()
    assert "hunter22" in page
    assert "Regards" in page
    assert "For us only" not in rendered(RECORD, Cleaning(internal=True)).document.content.decode()


def test_a_deleted_record_is_a_deletion():
    assert rendered(Record("x", deleted=True), Cleaning()).document.action == "delete"


def test_html_that_is_nested_without_end_is_refused():
    deep = Record("x", body=Body("html", "<div>" * 3000 + "x", "article 1: body"))
    with pytest.raises(InvalidDocument, match="article 1: body"):
        rendered(deep, Cleaning())
