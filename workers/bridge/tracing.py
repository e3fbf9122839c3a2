"""The span around a whole question, as its door sees it: until the last event, whoever reads it by then."""

from collections.abc import Mapping

from bus.dead_letter import trace_id_of
from bus.feed import AnswerFeed
from bus.spans import Asked

TRACE_ID, TRACE_LINK = "af-trace-id", "af-trace-link"


async def watch(asked: Asked, feed: AnswerFeed) -> None:
    """Ends with the answer, or when the feed is closed before."""
    reached = False
    async for entries in feed.follow():
        if not reached and any(entry.type == "delta" for entry in entries):
            asked.first_text()
            reached = True
    asked.close(feed.entries[-1].event if feed.ended else None)


def headers(asked: Asked | None, link: str) -> Mapping[str, str]:
    """What a client is told of its trace: nothing where there is none.

    Args:
        link: an address with `{trace_id}` in it; may be empty.
    """
    if asked is None or not asked.recording:
        return {}
    trace_id = trace_id_of(asked.trace_parent)
    found = {TRACE_ID: trace_id}
    return found | {TRACE_LINK: link.replace("{trace_id}", trace_id)} if link else found
