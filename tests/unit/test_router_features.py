import random

import pytest

from workers.catalogue.vocabulary import Vocabulary
from workers.catalogue.words import root
from workers.router import patterns, synth
from workers.router.features import FORM_NAMES, MAX_WORDS, form, hashed, words
from workers.router.patterns import Note

STYLES = [
    "What's the total amount, by region, of last year's orders?",
    "whats the total amount by region of last years orders",
    "WHAT\u2019S  THE TOTAL-AMOUNT; BY REGION OF LAST YEAR\u2019S ORDERS!!!",
    "Wh\u00e0t's the total amount (by region) of last year's orders ...",
]


@pytest.mark.parametrize("styled", STYLES[1:])
def test_case_punctuation_accents_and_spaces_change_no_feature(styled: str) -> None:
    plain, other = words(STYLES[0]), words(styled)
    assert other == plain
    assert form(other) == form(plain)
    assert hashed(other)[1].tolist() == hashed(plain)[1].tolist()


def test_the_form_of_a_sentence_is_seen_in_its_words() -> None:
    seen = dict(zip(FORM_NAMES, form(words("How many orders per month, sorted by date?")), strict=True))
    assert seen["opens_how"] == seen["count"] == seen["per_group"] == seen["ordering"] == 1.0
    assert seen["first_person"] == seen["small_talk"] == 0.0


@pytest.mark.parametrize("text", ["", "?!...", "\u4f60\u597d", "x" * 100_000, "a " * 50_000])
def test_any_text_has_features(text: str) -> None:
    found = words(text)
    assert len(found) <= MAX_WORDS
    assert len(form(found)) == len(FORM_NAMES)
    assert len(hashed(found)[0]) == len(hashed(found)[1])


def test_the_same_seed_gives_the_same_questions_and_another_seed_others() -> None:
    known = patterns.read()
    first, again, other = (
        synth.general_examples(known, scale=0.05, rng=random.Random(seed)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other
    assert {example.label for example in first} == {"documents", "sql", "direct"}


def test_every_pattern_of_a_schema_question_can_be_filled() -> None:
    known = patterns.read()
    rng = random.Random(5)
    made = synth.sql_questions(known.worlds[0].model, known, 80, rng=rng)
    assert len(set(made)) == len(made) == 80
    assert not any(mark in question for question in made for mark in "{}[]|")


def test_a_typing_error_changes_one_word() -> None:
    text = "average delivery time"
    slipped = synth.with_typo(text, random.Random(1))
    assert sum(a != b for a, b in zip(text.split(), slipped.split(), strict=True)) == 1


def test_a_vocabulary_weighs_rare_words_and_finds_the_best_passage() -> None:
    known = Vocabulary(
        [
            Note("Redelivery", "A message is sent again after the ack wait."),
            Note("Storage", "A message is stored in a file."),
            Note("Clients", "A message goes to a client."),
        ]
    )
    hit = known.cover(words("How long is the ack wait before redelivery?"))
    miss = known.cover(words("Which salesman sold the most bicycles?"))
    assert known.weight(root("ack")) > known.weight(root("message"))
    assert hit.best_passage > 0.6 > miss.best_passage == 0.0
    assert (hit.phrase, hit.phrase_passages) == ("ack wait", 1)
    assert hit.headings > 0


def test_an_empty_vocabulary_and_an_empty_question_match_nothing() -> None:
    assert Vocabulary([]).cover(words("ack wait")).known == 0.0
    assert Vocabulary([Note("a", "ack wait")]).cover(()).known == 0.0
