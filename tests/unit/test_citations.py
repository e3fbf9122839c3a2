"""Citations in streamed text: resolved, dropped or added, the same for every way of cutting the text."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.generation.citations import CitedText, as_written
from workers.generation.support import Source, Support

SOURCES = [
    Source(1, "Refunds", "Refunds are paid within ten days. A refund needs the order number."),
    Source(2, "Shipping", "Orders above 50 euros ship free of charge. Parcels leave from Hamburg."),
]
SUPPORT = Support(SOURCES)
SHOWN = {1: 2, 2: 1}
"""A prompt that shows the second source first."""
SHOWN_SUPPORT = Support([replace(source, number=SHOWN[source.number]) for source in SOURCES])
PARTS = st.lists(
    st.sampled_from(
        [
            "Refunds are paid within ten days",
            "Parcels leave from Hamburg",
            "The moon is made of cheese",
            "costs 3.5 euros",
            "see e.g. the list",
            ". ",
            ".",
            "! ",
            "\n",
            "\n\n",
            " ",
            " [1]",
            "[2]",
            "[1, 2]",
            " [7]",
            "items[0]",
            "[see here]",
            "`a[1]. b`",
            '." ',
            "。",
            "[",
            "]",
            "12",
        ]
    ),
    max_size=14,
)


def whole(text: str) -> tuple[str, tuple[int, ...]]:
    cited = CitedText(SUPPORT)
    head = cited.feed(text)
    tail, numbers = cited.finish()
    return head + tail, numbers


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("Refunds are paid within ten days.", "Refunds are paid within ten days [1]."),
        ("Refunds are paid within ten days [1].", "Refunds are paid within ten days [1]."),
        ("Refunds are paid within ten days. [1] Good.", "Refunds are paid within ten days [1]. Good."),
        ("Parcels leave from Hamburg[2].", "Parcels leave from Hamburg[2]."),
        ("Parcels leave from Hamburg [9].", "Parcels leave from Hamburg [2]."),
        ("It is so [1, 7] and not else.", "It is so [1] and not else."),
        ("Both [1][2] say so.", "Both [1][2] say so."),
        ("Parcels leave from Hamburg [1].", "Parcels leave from Hamburg [2]."),
        ("Parcels leave from Hamburg [1, 2].", "Parcels leave from Hamburg [2]."),
        ("The moon is made of cheese [1].", "The moon is made of cheese."),
        ("Orders above 70 euros ship free of charge [2].", "Orders above 70 euros ship free of charge."),
        ("Use items[0] of the list.", "Use items[0] of the list."),
        ("The moon is made of cheese.", "The moon is made of cheese."),
        ("Refunds are paid within ten days", "Refunds are paid within ten days [1]"),
        (
            "- Refunds are paid within ten days\n- Parcels leave from Hamburg\n",
            "- Refunds are paid within ten days [1]\n- Parcels leave from Hamburg [2]",
        ),
        ("An open [bracket", "An open [bracket"),
    ],
)
def test_a_marker_is_kept_dropped_or_added(given_text: str, expected: str) -> None:
    assert whole(given_text)[0] == expected


def test_the_numbers_are_those_that_the_text_cites() -> None:
    assert whole("Parcels leave from Hamburg. Nothing else [9].")[1] == (2,)
    assert whole("The moon is made of cheese.")[1] == ()


def test_a_sentence_that_no_source_carries_is_flagged() -> None:
    cited = CitedText(SUPPORT)
    cited.feed("Refunds are paid within ten days. The moon is made of cheese. Good.")
    cited.finish()
    assert cited.unsupported == ["The moon is made of cheese", "Good"]
    assert cited.supported == 1


def test_only_what_is_undecided_is_held_back() -> None:
    cited = CitedText(SUPPORT)
    assert cited.feed("Refunds are paid") == "Refunds are paid"
    assert cited.feed(" within ten days.") == " within ten days"
    assert cited.feed(" The") == " [1]. The"
    assert cited.feed(" order [") == " order"
    assert cited.feed("1") == ""
    assert cited.feed("] is") == " [1] is"


@settings(deadline=None)
@given(parts=PARTS, data=st.data())
def test_any_way_of_cutting_the_stream_gives_the_same_text(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cited = CitedText(SUPPORT)
    out = ""
    rest = text
    while rest:
        size = data.draw(st.integers(min_value=1, max_value=len(rest)))
        out += cited.feed(rest[:size])
        rest = rest[size:]
    tail, numbers = cited.finish()
    assert (out + tail, numbers) == whole(text)


@settings(deadline=None)
@given(parts=PARTS, cut=st.integers(min_value=0, max_value=200))
def test_a_text_taken_over_after_any_delta_ends_the_same(parts: list[str], cut: int) -> None:
    """What the first attempt held back is not published: the engine writes it again for the second."""
    text = "".join(parts)
    first = CitedText(SUPPORT)
    published = first.feed(text[:cut])
    second = CitedText(SUPPORT, published=published)
    out = published + second.feed(first.held() + text[cut:])
    tail, numbers = second.finish()
    assert (out + tail, numbers) == whole(text)


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("Parcels leave from Hamburg [1].", "Parcels leave from Hamburg [2]."),
        ("Refunds are paid within ten days [1, 2].", "Refunds are paid within ten days [1]."),
        ("Parcels leave from Hamburg [3].", "Parcels leave from Hamburg [2]."),
        ("See `a[1]` and items[0].", "See `a[1]` and items[0]."),
    ],
)
def test_a_number_of_the_prompt_is_published_as_the_number_of_its_evidence(
    written: str, published: str
) -> None:
    cited = CitedText(SUPPORT, numbers=SHOWN)
    assert cited.feed(written) + cited.finish()[0] == published


@settings(deadline=None)
@given(parts=PARTS)
def test_a_published_text_reads_back_as_if_sources_were_numbered_as_the_prompt_shows_them(
    parts: list[str],
) -> None:
    text = "".join(parts)
    as_shown = CitedText(SHOWN_SUPPORT)
    expected = as_shown.feed(text) + as_shown.finish()[0]
    cited = CitedText(SUPPORT, numbers=SHOWN)
    published = cited.feed(text) + cited.finish()[0]
    assert as_written(published, SHOWN) == expected


@settings(deadline=None)
@given(parts=PARTS, cut=st.integers(min_value=0, max_value=200))
def test_numbers_of_the_prompt_stand_for_the_same_evidence_after_a_takeover(
    parts: list[str], cut: int
) -> None:
    text = "".join(parts)
    alone = CitedText(SUPPORT, numbers=SHOWN)
    whole = alone.feed(text) + alone.finish()[0]
    first = CitedText(SUPPORT, numbers=SHOWN)
    published = first.feed(text[:cut])
    second = CitedText(SUPPORT, published=published, numbers=SHOWN)
    assert published + second.feed(first.held() + text[cut:]) + second.finish()[0] == whole


def test_sentences_that_no_source_holds_are_listed_and_a_table_is_none() -> None:
    cited = CitedText(SUPPORT)
    cited.feed(
        "Parcels leave from Hamburg. The moon is made of cheese [1].\n| Moon | Cheese |\n| --- | --- |\n"
    )
    cited.finish()
    assert cited.unsupported == ["The moon is made of cheese"]
    assert cited.supported == 1
