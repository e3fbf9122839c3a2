"""The frame of a page: one file, no script, nothing loaded, one style sheet that its policy names by hash."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from loadgen.pages import drawing
from loadgen.pages.amounts import amount, clock
from loadgen.pages.chart import Chart, Line
from loadgen.pages.markup import Node, document, element, table
from loadgen.pages.palette import DARK, FAULTS, LIGHT, custom_properties
from loadgen.pages.svg import StyleSheet, inline


def page(title: str, header: Sequence[Node], body: Sequence[Node], sheet: StyleSheet) -> str:
    """`sheet` holds the classes of the plots in `body`."""
    css = _style_sheet(sheet)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(css)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", css),
    )
    content = element("body", element("header", *header), element("main", *body))
    return document(element("html", head, content, lang="en"))


def section(key: str, title: str, *content: Node) -> Element:
    heading = element("h2", title, id=f"{key}-title")
    return element("section", heading, *content, id=key, aria_labelledby=f"{key}-title")


def contents(sections: Sequence[Element]) -> Element:
    """Links to the sections, by the titles that they have."""
    links = [element("a", found[0].text or "", href=f"#{found.get('id')}") for found in sections]
    return element("nav", element("ul", *(element("li", link) for link in links)), aria_label="Contents")


def plots(charts: Sequence[Chart], sheet: StyleSheet) -> Element:
    return element("div", *(figure(chart, sheet) for chart in charts if not chart.empty), class_="plots")


def figure(chart: Chart, sheet: StyleSheet) -> Element:
    about = summary(chart)
    drawn = inline(drawing.svg_of(chart), chart.key, f"{chart.title}. {about}", sheet)
    caption = [element("h3", chart.title)]
    if chart.note:
        caption.append(element("p", chart.note, class_="quiet"))
    return element(
        "figure",
        element("figcaption", *caption),
        element(
            "div", drawn, class_="scroll", tabindex="0", role="region", aria_label=f"Plot: {chart.title}"
        ),
        element("details", element("summary", "Figures of this plot"), _figures(chart)),
        id=chart.key,
    )


def summary(chart: Chart) -> str:
    return " ".join(_sentence(chart, line) for line in chart.lines if line.values)


def _sentence(chart: Chart, line: Line) -> str:
    x, highest = _highest(line)
    where = f" at {clock(x)}" if chart.over_time else ""
    middle = sorted(line.values)[len(line.values) // 2]
    return f"{line.name}: median {amount(middle, chart.unit)}, highest {amount(highest, chart.unit)}{where}."


def _figures(chart: Chart) -> Element:
    rows = []
    for line in chart.lines:
        ordered = sorted(line.values)
        if ordered:
            figures = (ordered[0], ordered[len(ordered) // 2], ordered[-1], line.values[-1])
            rows.append([line.name, *(amount(value, chart.unit) for value in figures), _place(chart, line)])
    place = "highest at" if chart.over_time else ""
    return table(("line", "lowest", "median", "highest", "last", place), rows, chart.title)


def _place(chart: Chart, line: Line) -> str:
    return clock(_highest(line)[0]) if chart.over_time else ""


def _highest(line: Line) -> tuple[float, float]:
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y == y]
    return max(points, key=lambda point: point[1])


def _style_sheet(sheet: StyleSheet) -> str:
    own = files("loadgen.pages").joinpath("style.css").read_text()
    own = own.replace("LIGHT_COLOURS", custom_properties(LIGHT)).replace(
        "DARK_COLOURS", custom_properties(DARK)
    )
    swatches = "".join(f".{name}{{background:var(--{name})}}" for name in FAULTS)
    return f"{own}{swatches}\n{sheet.css()}"


def _policy(css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
