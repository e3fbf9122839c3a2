"""Tables of an Atlassian document: cells that span columns or rows leave empty ones behind."""

from collections.abc import Callable, Sequence

from askfleet.sources.adf_node import Node, attribute, children, node_type

_WIDEST = 200


def rows_of(table: Node) -> list[list[Node | None]]:
    """Cells by row and column; None where one from the left or from above reaches in."""
    reaching: dict[int, int] = {}
    return [_row(row, reaching) for row in children(table) if node_type(row) == "tableRow"]


def table_markdown(rows: Sequence[Sequence[Node | None]], render: Callable[[Node], str]) -> str:
    """Without a row of header cells the header is empty, for Markdown knows no table without one."""
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = [_line([render(cell) if cell else "" for cell in row], width) for row in rows]
    if not _is_header(rows[0]):
        lines.insert(0, _line([], width))
    lines.insert(1, _line(["---"] * width, width))
    return "\n".join(lines)


def _row(row: Node, reaching: dict[int, int]) -> list[Node | None]:
    cells: list[Node | None] = []
    for cell in children(row):
        _fill(cells, reaching)
        below = _span(cell, "rowspan") - 1
        for part in range(min(_span(cell, "colspan"), _WIDEST)):
            if below:
                reaching[len(cells)] = below
            cells.append(None if part else cell)
    _fill(cells, reaching)
    return cells


def _fill(cells: list[Node | None], reaching: dict[int, int]) -> None:
    while reaching.get(len(cells), 0) > 0:
        reaching[len(cells)] -= 1
        cells.append(None)


def _span(cell: Node, name: str) -> int:
    stated = attribute(cell, name)
    return min(max(int(stated), 1), 10_000) if stated.isdecimal() and len(stated) < 6 else 1


def _is_header(row: Sequence[Node | None]) -> bool:
    return all(cell is None or node_type(cell) == "tableHeader" for cell in row)


def _line(cells: Sequence[str], width: int) -> str:
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"
