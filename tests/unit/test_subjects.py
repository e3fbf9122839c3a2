"""The grammar of subjects."""

import pytest

from bus import subjects
from bus.topology import STREAMS
from contracts import adapter_of, queue_of
from contracts.errors import InvalidName


@pytest.mark.parametrize("name", ["", "a b", "a.b", "*", ">", "a*", "ä", "a\n", "x" * 65, "$JS"])
def test_a_name_that_is_no_token_is_refused_and_shown(name: str) -> None:
    for build in (subjects.query, subjects.retrieve, subjects.sql, subjects.ingest):
        with pytest.raises(InvalidName) as caught:
            build(name)
        assert repr(name)[:20] in caught.value.detail
    with pytest.raises(InvalidName):
        subjects.answer("acme", name)
    with pytest.raises(InvalidName):
        subjects.generate(name, "acme")


@pytest.mark.parametrize(
    "subject",
    [
        subjects.query("acme"),
        subjects.retrieve("acme"),
        subjects.sql("acme"),
        subjects.generate("small", "acme"),
        subjects.ingest("acme"),
        subjects.answer("acme", "q"),
        subjects.live("acme", "q"),
        subjects.cancel("acme", "q"),
        subjects.outcome("acme"),
        subjects.dead("route", "acme"),
    ],
)
def test_the_tenant_is_read_back_from_every_subject(subject: str) -> None:
    assert subjects.tenant_of(subject) == "acme"


def test_an_answer_subject_gives_its_key_back() -> None:
    assert subjects.answer_key(subjects.answer("acme", "q-1")) == ("acme", "q-1")


def test_no_two_streams_share_a_subject() -> None:
    assert len({stream.subject for stream in STREAMS}) == len(STREAMS)


def test_work_for_an_adapter_waits_in_the_queue_of_its_model() -> None:
    assert subjects.generate("default--legal", "acme") == subjects.generate("default", "acme")
    assert queue_of("default--legal") == "default"
    assert (adapter_of("default--legal"), adapter_of("default")) == ("legal", "")
    with pytest.raises(InvalidName):
        subjects.generate("--legal", "acme")
