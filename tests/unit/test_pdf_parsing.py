import io

import pytest
from fpdf import FPDF
from fpdf.enums import AccessPermission
from PIL import Image

from contracts.errors import InvalidDocument
from workers.ingest.parsing import ParsedDocument
from workers.ingest.parsing.pdf import parse_pdf


def made(*pages: str, title: str = "", password: str = "") -> bytes:
    pdf = FPDF()
    pdf.set_font("Helvetica", size=12)
    if title:
        pdf.set_title(title)
    if password:
        pdf.set_encryption(owner_password="owner", user_password=password, permissions=AccessPermission.all())
    for text in pages:
        pdf.add_page()
        pdf.multi_cell(0, 8, text)
    return bytes(pdf.output())


def read(content: bytes, *, max_pages: int = 50, timeout_s: float = 30.0) -> ParsedDocument:
    return parse_pdf(content, "report.pdf", max_pages=max_pages, timeout_s=timeout_s)


def test_each_page_is_a_heading_over_its_text():
    parsed = read(made("Revenue grew.", "Costs fell.", title="Annual report"))
    assert parsed.title == "Annual report"
    assert [(block.heading_path, block.text) for block in parsed.blocks] == [
        (("Page 1",), "Revenue grew."),
        (("Page 2",), "Costs fell."),
    ]


def test_a_pdf_without_a_title_has_none():
    assert read(made("Text")).title == ""


def test_a_scan_without_text_asks_for_character_recognition():
    pdf = FPDF()
    pdf.add_page()
    pdf.image(Image.new("RGB", (40, 40), "white"), x=10, y=10)
    with pytest.raises(InvalidDocument, match=r"report\.pdf: no page has text") as refused:
        read(bytes(pdf.output()))
    assert "character recognition" in refused.value.remedy


def test_an_encrypted_pdf_is_refused():
    with pytest.raises(InvalidDocument, match=r"report\.pdf: the PDF is encrypted") as refused:
        read(made("Secret", password="pw"))
    assert "without a password" in refused.value.remedy


def test_something_else_than_a_pdf_is_refused_by_how_it_begins():
    with pytest.raises(InvalidDocument, match=r"report\.pdf: this is not a PDF \(it begins with b'<html>'\)"):
        read(b"<html>")


@pytest.mark.parametrize("keep", [20, 400, 900])
def test_a_cut_off_pdf_is_refused_or_read_but_never_crashes(keep: int):
    whole = made("Revenue grew.", "Costs fell.")
    with pytest.raises(InvalidDocument, match=r"report\.pdf"):
        read(whole[:keep])


def test_a_pdf_of_noise_is_refused():
    with pytest.raises(InvalidDocument, match="damaged"):
        read(b"%PDF-1.7\n" + bytes(range(256)) * 20)


def test_more_pages_than_allowed_are_refused():
    with pytest.raises(InvalidDocument, match="3 pages are more than the 2"):
        read(made("a", "b", "c"), max_pages=2)


def test_reading_stops_at_the_time_limit():
    with pytest.raises(InvalidDocument, match="longer than 0 s"):
        read(made("a"), timeout_s=0)


def test_a_pdf_after_some_leading_bytes_is_read():
    content = io.BytesIO(b"\n\n" + made("Text")).getvalue()
    assert read(content).blocks[0].text == "Text"
