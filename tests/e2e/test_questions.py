"""Questions through the whole system: every process real, the small model that ships with it at work."""

import pytest
from fleet import DOCS, Fleet

from contracts import Done, Event, Evidence, Route, Routed, Rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "How long does the warranty on a home battery last?"
FILE = "handbook/warranty.md"


def the(kind: type[Event], events: list[Event]):  # type: ignore[no-untyped-def]
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


async def test_a_question_for_the_documents_is_answered_with_a_citation_of_the_right_file(
    fleet: Fleet,
) -> None:
    events = await fleet.ask(QUESTION)

    done = the(Done, events)
    assert the(Routed, events).route is Route.DOCUMENTS
    assert done.answered
    assert FILE in {citation.source for citation in done.citations}


async def test_a_question_for_the_database_gives_what_a_direct_query_gives(fleet: Fleet) -> None:
    events = await fleet.ask("How many tickets are open?")

    expected = await fleet.value("select count(*) from support.tickets where status = 'open'")
    assert the(Rows, events).rows == ((expected,),)
    assert str(expected) in the(Done, events).text


async def test_a_question_sent_both_ways_has_passages_and_rows_on_its_log(fleet: Fleet) -> None:
    events = await fleet.ask(
        "How many agents work in the Dublin office, and what does a red lamp after a reset mean?",
        route="both",
    )

    assert the(Routed, events).route is Route.BOTH
    assert "gateway-reset.md" in {passage.document_id for passage in the(Evidence, events).passages}
    assert the(Rows, events).rows == (
        (await fleet.value("select count(*) from support.agents where office = 'Dublin'"),),
    )
    assert the(Done, events).answered


async def test_a_question_that_nothing_here_can_answer_gets_an_honest_reply(fleet: Fleet) -> None:
    events = await fleet.ask("Who painted the ceiling of the Sistine Chapel?")

    done = the(Done, events)
    assert not done.answered
    assert done.citations == ()
    assert done.text


async def test_a_tenant_is_never_answered_from_anothers_documents(fleet: Fleet) -> None:
    events = await fleet.ask(QUESTION, tenant=DOCS, route="documents")

    assert FILE not in {passage.source for passage in the(Evidence, events).passages}
    assert FILE not in {citation.source for citation in the(Done, events).citations}
