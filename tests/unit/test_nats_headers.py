"""Our way to read headers gives what nats-py's own gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from bus.client import LeanClient


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"Nats-Stream: ANSWERS\r\nNats-Subject: af.answer.acme.q1\r\nNats-Sequence: 17\r\n\r\n",
        b"Name:Value\r\nOther:\tTabbed \r\n\r\n",
        b"Empty:\r\nTwice: 1\r\nTwice: 2\r\n\r\n",
        b"With: a: colon\r\nNo colon here\r\n\r\n",
        "Wörd: x\r\nValue: Grüße\r\n\r\n".encode(),
        b"Two words: x\r\nBroken: \xff\xfe\r\n\r\n",
    ],
)
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert LeanClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


NAME = st.text(alphabet="abcXYZ-019 ", min_size=1, max_size=12)
VALUE = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


@given(st.lists(st.tuples(NAME, VALUE), max_size=6))
def test_any_headers_are_read_as_nats_py_reads_them(headers: list[tuple[str, str]]) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n"
    assert LeanClient._parse_header_lines(raw) == Client._parse_header_lines(raw)
