"""What must hold of every answer that a reader has seen to its end."""

from collections.abc import Sequence

from contracts import Delta, Done, Event, is_terminal


def violations(events: Sequence[Event], *, ids: Sequence[int] | None = None) -> list[str]:
    """What is wrong with one whole answer; empty when nothing is.

    Args:
        ids: the SSE ids that the events came with; by default their own indexes.
    """
    if not events:
        return ["no event at all"]
    found = _numbering(list(ids) if ids is not None else [event.index for event in events])
    found += _ending(events)
    last = events[-1]
    if isinstance(last, Done):
        streamed = "".join(event.text for event in events if isinstance(event, Delta))
        if streamed != last.text:
            found.append(f"the deltas hold {len(streamed)} characters, `done` {len(last.text)} or others")
    if ids is not None and list(ids) != [event.index for event in events]:
        found.append("the ids of the stream differ from the indexes of its events")
    return found


def _numbering(ids: list[int]) -> list[str]:
    for expected, found in enumerate(ids, start=1):
        if found != expected:
            what = "is repeated or out of order" if found < expected else "comes after a gap"
            return [f"id {found} {what} (expected {expected})"]
    return []


def _ending(events: Sequence[Event]) -> list[str]:
    terminals = [number for number, event in enumerate(events) if is_terminal(event)]
    if not terminals:
        return ["no terminal event"]
    if len(terminals) > 1:
        return [f"{len(terminals)} terminal events"]
    return [] if terminals[0] == len(events) - 1 else ["events after the terminal one"]
