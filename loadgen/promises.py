"""The names of what is promised: one line of the oracle each. docs/reliability.md says them in full."""

import enum


class Line(enum.StrEnum):
    ONE_TERMINAL = "one_terminal"
    """An accepted query ends in exactly one terminal event, by its deadline and a grace."""
    IDS_RISE = "ids_rise"
    """Ids count 1, 2, 3, ... on the log and for each reader."""
    TEXT_IS_DELTAS = "text_is_deltas"
    NOTHING_AFTER_TERMINAL = "nothing_after_terminal"
    RESUME_IS_SAME = "resume_is_same"
    """What a reader saw over all its connections is what the log holds."""
    EVIDENCE_FIRST = "evidence_first"
    """All evidence that the route asks for stands on the log before the first words."""
    EFFECTS_ONCE = "effects_once"
    """A second delivery of a job leaves no second event of its kind."""
    WORK_IS_ONCE = "work_is_once"
    """Two attempts work on one answer at the same time only after a fault."""
    EXPIRED_SPENT_NOTHING = "expired_spent_nothing"
    """An expired query reaches no engine; no engine request outlives its deadline by more than a second."""
    CANCEL_STOPS = "cancel_stops"
    """A second after the `cancelled` event neither the engine nor PostgreSQL works on the query."""
    REFUSED_LEFT_NOTHING = "refused_left_nothing"
    """A refused query has no event and no message in any stream."""
