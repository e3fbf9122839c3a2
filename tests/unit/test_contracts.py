"""Messages keep their shape: one golden file a type, and errors that name the value."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from bus.export import FOLDER, contract_files
from contracts import (
    Accepted,
    Cancel,
    Cancelled,
    Citation,
    Delta,
    Document,
    Done,
    Evidence,
    EvidenceJob,
    Failed,
    Feedback,
    GenerateJob,
    LogPosition,
    Outcome,
    Passage,
    Query,
    Route,
    Routed,
    Rows,
    Turn,
    Usage,
    decode,
    decode_event,
    encode,
)
from contracts.errors import DecodeError, StatementRefused, UnsupportedSchema

GOLDEN = Path(__file__).parent / "golden"
QUERY = Query(
    id="q-1", question="Why?", history=(Turn(role="user", content="Hi"),), route=Route.BOTH, model="small"
)
POSITION = LogPosition(first_sequence=3, last_sequence=9, last_index=2)
PASSAGE = Passage(
    chunk_id="c", document_id="d", title="T", heading_path=("A", "B"), source="s", text="x", score=0.5
)
STAMP = {"index": 4, "id": "a:1", "at": 1700000000000}
EVENTS: list[BaseModel] = [
    Accepted(**STAMP, tenant="acme", query=QUERY, deadline=1700000120000),
    Routed(**STAMP, route=Route.SQL, confidence=0.9, probabilities={"sql": 0.9}, reason="r"),
    Evidence(**STAMP, passages=(PASSAGE,), took_ms=1.5),
    Rows(**STAMP, statement="SELECT 1", columns=("n",), rows=((1,), (None,)), confidence="low"),
    Delta(**STAMP, text="wörd", tokens=2),
    Done(
        **STAMP,
        text="wörd",
        citations=(Citation(number=1, kind="passage", title="T"),),
        usage=Usage(prompt_tokens=1),
    ),
    Failed(**STAMP, problem=StatementRefused("DROP TABLE is not a SELECT.").problem()),
    Cancelled(**STAMP, reason="by the client"),
]
MESSAGES: list[BaseModel] = [
    QUERY,
    EvidenceJob(query_id="q-1", question="Why?", joined=True, position=POSITION),
    GenerateJob(query_id="q-1", first_sequence=3),
    Document(id="docs/a.md", content="IyBB"),
    Outcome(document_id="docs/a.md", status="indexed", chunks=3),
    Cancel(query_id="q-1"),
    Feedback(query_id="q-1", rating="up", text="wörd", route=Route.SQL, question="Why?", at=1700000000000),
]


def _name(message: BaseModel) -> str:
    return type(message).__name__.lower()


@pytest.mark.parametrize("message", EVENTS + MESSAGES, ids=_name)
def test_a_message_has_the_json_of_its_golden_file(message: BaseModel) -> None:
    golden = GOLDEN / f"{_name(message)}.json"

    assert json.loads(encode(message)) == json.loads(golden.read_text())


@pytest.mark.parametrize("message", MESSAGES, ids=_name)
def test_a_message_comes_back_equal(message: BaseModel) -> None:
    assert decode(type(message), encode(message)) == message


@pytest.mark.parametrize("event", EVENTS, ids=_name)
def test_an_event_comes_back_as_its_own_type(event: BaseModel) -> None:
    assert decode_event(encode(event)) == event


def test_fields_of_a_later_release_are_ignored_in_events_and_jobs() -> None:
    event = json.loads(encode(Delta(text="x"))) | {"colour": "blue"}
    job = json.loads(encode(GenerateJob(query_id="q", first_sequence=1))) | {"colour": "blue"}

    assert decode_event(json.dumps(event).encode()) == Delta(text="x")
    assert decode(GenerateJob, json.dumps(job).encode()).query_id == "q"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"[]", "[]"),
        (b'{"id": "a.b", "question": "x"}', "'a.b'"),
        (b'{"id": "a", "question": ""}', "question"),
        (b'{"id": "a", "question": "x", "questoin": "y"}', "questoin"),
        (json.dumps({"id": "a", "question": "x" * 9000}).encode(), "8000"),
    ],
)
def test_a_bad_query_is_an_error_that_names_the_place_and_keeps_the_body(body: bytes, shown: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Query, body)

    assert shown in caught.value.detail
    assert caught.value.raw == body
    assert len(caught.value.detail) < 300


def test_an_unknown_schema_version_is_named_beside_the_known_one() -> None:
    with pytest.raises(UnsupportedSchema, match=r"'query/9'.*'query/1'"):
        decode(Query, encode(QUERY), schema="query/9")


@pytest.mark.parametrize("name", sorted(contract_files()))
def test_the_published_contracts_are_current(name: str) -> None:
    """Refresh with `python -m bus.export`."""
    assert (FOLDER / name).read_text() == contract_files()[name]
