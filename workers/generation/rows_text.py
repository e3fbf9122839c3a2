"""What rows say, in words that always agree with them: no model is asked."""

import re
from collections.abc import Sequence

from contracts import Rows, Scalar

_MAX_LISTED = 10
_NOTHING_UNSURE = "A database query that may not fit the question found no rows"
_UNSURE = "I am not certain that the statement answers the question; please check it."


def rows_text(rows: Rows, *, max_rows: int = 10, citation: str = "") -> str:
    """The result as a sentence, a list or a table of at most `max_rows` rows; `citation` such as " [1]"."""
    if rows.problem is not None:
        return f"The database could not be asked: {rows.problem.title}."
    if rows.statement is None:
        return "I could not turn this question into a database query" + _because(rows.reason)
    if not has_result(rows):
        return f"{_NOTHING_UNSURE}{citation}."
    said = _result(rows, max_rows, citation)
    return f"{said}\n\n{_UNSURE}" if rows.confidence != "high" else said


def has_result(rows: Rows | None) -> bool:
    """Whether the database gave anything to report. No rows is a result where the statement is certain."""
    if rows is None or rows.problem is not None or rows.statement is None:
        return False
    return bool(rows.rows) or rows.confidence == "high"


def rows_table(rows: Rows, *, max_rows: int) -> str:
    """Columns and rows as a Markdown table."""
    lines = [_line(rows.columns), _line(["---"] * len(rows.columns))]
    lines += [_line([show(value) for value in row]) for row in rows.rows[:max_rows]]
    return "\n".join(lines)


def show(value: Scalar) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, ".15g") if isinstance(value, float) else str(value)


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}." if reason else "."


def _result(rows: Rows, max_rows: int, citation: str) -> str:
    if not rows.rows:
        return f"No rows match: the database holds nothing for this question{citation}."
    if len(rows.rows) == 1 and not rows.truncated:
        return f"{_one(rows.columns, rows.rows[0])}{citation}."
    if len(rows.columns) == 1 and len(rows.rows) <= _MAX_LISTED and not rows.truncated:
        values = ", ".join(show(row[0]) for row in rows.rows)
        return f"{_upper(_words(rows.columns[0]))} ({len(rows.rows)}): {values}{citation}."
    return f"{_lead(rows, max_rows)}{citation}:\n\n{rows_table(rows, max_rows=max_rows)}"


def _one(columns: Sequence[str], row: Sequence[Scalar]) -> str:
    if all(value is None for value in row):
        return f"The database holds no value for {_joined([_words(column) for column in columns])}"
    if len(row) == 1:
        return f"The {_words(columns[0])} is {show(row[0])}"
    pairs = [f"{_words(column)}: {show(value)}" for column, value in zip(columns, row, strict=True)]
    return _upper(", ".join(pairs))


def _lead(rows: Rows, max_rows: int) -> str:
    found = len(rows.rows)
    total = f"More than {found}" if rows.truncated else str(found)
    shown = min(found, max_rows)
    lead = f"{total} rows match"
    return f"{lead}; these are the first {shown}" if shown < found or rows.truncated else lead


def _words(column: str) -> str:
    """`open_tickets` -> open tickets; `tickets_count` -> number of tickets; `avg_price` -> average price."""
    plain = re.sub(r"\(\s*\*\s*\)", "", column)
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain)
    words = re.sub(r"[^\w]+|_", " ", plain).lower().split()
    if len(words) > 1 and words[-1] == "count":
        return f"number of {' '.join(words[:-1])}"
    return " ".join("average" if word == "avg" else word for word in words) or "value"


def _joined(words: Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"
