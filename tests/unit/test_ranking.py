"""From two lists of candidates to one order with a score."""

import pytest

from workers.vectors.ranking import RELEVANT, Candidate, Weights, ranked

QUESTION = "Which valve protects the boiler from overpressure?"


def found(key: str, text: str, *, meaning: float | None = None, words: float | None = None) -> Candidate:
    return Candidate(key, text, meaning, words)


def keys(question: str, candidates: list[Candidate]) -> list[str]:
    return [candidate.key for candidate, _ in ranked(question, candidates)]


def test_a_passage_that_both_searches_bring_is_before_those_that_one_brings() -> None:
    candidates = [
        found("meaning", "Steam under pressure.", meaning=0.6),
        found("words", "The boiler room.", words=9.0),
        found("both", "Safety of the boiler.", meaning=0.59, words=8.9),
        *(found(f"rest{i}", "Something else.", meaning=0.1, words=1.0) for i in range(3)),
    ]
    assert keys(QUESTION, candidates)[0] == "both"


def test_one_sentence_with_the_words_of_the_question_is_before_the_same_words_scattered() -> None:
    scattered = "The boiler is red. A valve is closed. Paint protects the wall. Overpressure is rare."
    together = "It rains. The safety valve protects the boiler from overpressure."
    candidates = [
        found("scattered", scattered, meaning=0.5, words=10.0),
        found("together", together, meaning=0.5, words=10.0),
    ]
    assert keys(QUESTION, candidates) == ["together", "scattered"]


def test_an_identifier_that_only_the_search_by_words_finds_wins() -> None:
    candidates = [found(f"near{i}", "Errors of the pump and what to do.", meaning=0.5) for i in range(3)]
    candidates.append(found("exact", "E4411: the pump is blocked.", words=12.0))
    assert keys("What does E4411 mean?", candidates)[0] == "exact"


def test_other_forms_of_a_word_count_as_the_word() -> None:
    candidates = [
        found("other", "Pumps stand in the hall.", meaning=0.4),
        found("form", "Pumps are installed by two people.", meaning=0.4),
    ]
    assert keys("Who installs a pump?", candidates)[0] == "form"


def test_words_are_found_in_a_language_without_spaces() -> None:
    candidates = [
        found("other", "今日は雨です。", meaning=0.4),
        found("right", "水泵的压力是三巴。", meaning=0.4),
    ]
    assert keys("水泵压力", candidates)[0] == "right"


def test_scores_fall_with_the_order_and_lie_between_0_and_1() -> None:
    candidates = [found(str(i), "a b c", meaning=i / 10, words=float(i)) for i in range(-5, 11)]
    scores = [score for _, score in ranked("a b c", candidates)]
    assert scores == sorted(scores, reverse=True)
    assert 0.0 <= scores[-1] < scores[0] <= 1.0


def test_the_score_tells_an_answer_from_a_passage_on_something_else() -> None:
    answer = found("1", "A safety valve protects the boiler from overpressure.", meaning=0.7, words=18.0)
    stranger = found("1", "The premier league has twenty clubs.", meaning=0.12)
    ((_, high),) = ranked(QUESTION, [answer])
    ((_, low),) = ranked(QUESTION, [stranger])
    assert low < RELEVANT / 5
    assert high > 1 - RELEVANT / 5


@pytest.mark.parametrize("question", ["", "what is it?", "???"])
def test_a_question_without_content_words_is_ranked_by_meaning(question: str) -> None:
    candidates = [found("far", "One.", meaning=0.1), found("near", "Two.", meaning=0.3)]
    assert keys(question, candidates) == ["near", "far"]


def test_nothing_found_is_nothing_ranked() -> None:
    assert ranked(QUESTION, []) == []


def test_other_weights_give_another_order() -> None:
    candidates = [found("meaning", "x", meaning=0.9, words=1.0), found("words", "y", meaning=0.5, words=20.0)]
    by_words = ranked("z", candidates, Weights(words=2.0))
    assert [candidate.key for candidate, _ in by_words] == ["words", "meaning"]
    assert keys("z", candidates)[0] == "meaning"
