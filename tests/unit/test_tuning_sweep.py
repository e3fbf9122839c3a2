from pathlib import Path

import pytest

from askfleet.tuning.questions import SAMPLE, read_questions
from askfleet.tuning.sweep import descriptions, points_of
from contracts.errors import Misconfigured
from workers.engines import EngineSettings
from workers.engines.vllm.settings import VllmSettings


def test_what_varies_is_combined_and_what_is_fixed_is_at_every_point():
    points = points_of(["slots=1,2", "prompt-tokens=256,512"], ["kind=simulated", "passages=7"])
    assert [point.label for point in points] == [
        "slots=1 prompt_tokens=256",
        "slots=1 prompt_tokens=512",
        "slots=2 prompt_tokens=256",
        "slots=2 prompt_tokens=512",
    ]
    last = points[-1]
    assert (last.settings().engine.kind, last.settings().engine.slots) == ("simulated", 2)
    assert last.settings().prompt_tokens == 512
    assert (last.load().passages, last.load().clients) == (7, 4)


def test_one_by_one_leaves_the_others_at_their_first_value():
    points = points_of(["slots=1,2", "passages=3,5,9"], [], one_by_one=True)
    assert [point.label for point in points] == [
        "slots=1 passages=3",
        "slots=2 passages=3",
        "slots=1 passages=5",
        "slots=1 passages=9",
    ]


def test_each_setting_of_the_engine_can_be_swept_but_its_secret():
    names = {name for name, _ in descriptions()}
    groups = {"vllm"}
    assert set(EngineSettings.model_fields) - names == {"api_key", "journal", *groups}
    assert {f"vllm_{name}" for name in VllmSettings.model_fields} <= names
    assert all(meaning for _, meaning in descriptions())


def test_the_settings_of_vllm_are_swept_by_the_names_of_their_variables():
    given = ["kind=vllm", "vllm_memory_share=0.5", "AF_ENGINE_VLLM_SPECULATION=ngram"]
    points = points_of(["vllm-tensor-parallel=1,2"], given)
    engine = points[1].settings().engine
    assert (engine.vllm.tensor_parallel, engine.vllm.memory_share, engine.vllm.speculation) == (
        2,
        0.5,
        "ngram",
    )
    assert points[0].effective()["vllm_memory_share"] == 0.5
    assert "vllm_tensor_parallel" not in points[0].effective()
    assert points[1].effective()["vllm_tensor_parallel"] == 2
    assert "AF_ENGINE_VLLM_TENSOR_PARALLEL=2" in points[1].environment()
    with pytest.raises(Misconfigured, match=r"vllm_memory_share='2': .*less than or equal to 1"):
        points_of(["vllm_memory_share=0.5,2"], [])


def test_a_setting_may_be_written_as_in_the_environment_and_is_given_back_so():
    point = points_of(["AF_ENGINE_SLOTS=3"], ["AF_PROMPT_TOKENS=300", "clients=2", "threads=default"])[0]
    assert point.settings().engine.slots == 3
    assert point.environment() == ["AF_PROMPT_TOKENS=300", "AF_ENGINE_SLOTS=3"]


def test_a_point_is_what_the_worker_would_run_with_whoever_said_it(monkeypatch: pytest.MonkeyPatch):
    said = points_of(["slots=3"], [])[0].effective()
    assert points_of(["slots=default"], [])[0].effective() != said
    monkeypatch.setenv("AF_ENGINE_SLOTS", "3")
    assert points_of(["slots=default"], [])[0].effective() == said


def test_commas_within_json_do_not_part_values():
    points = points_of(['model={"a": 1, "b": [2, 3]},plain'], ["kind=openai", "adapters=a=b,c=d"])
    assert [point.value("model") for point in points] == ['{"a": 1, "b": [2, 3]}', "plain"]


@pytest.mark.parametrize(
    ("vary", "fixed", "said"),
    [
        (["slot=1"], [], "There is no setting 'slot'. Did you mean 'slots'?"),
        (["slots=0"], [], "slots='0': Input should be greater than or equal to 1"),
        (["slots=few"], [], "slots='few': Input should be a valid integer"),
        (["passages=51"], [], "passages='51'"),
        (["kind=abacus"], [], "kind='abacus'"),
        (["slots"], [], "'slots' is not name=value"),
        (["slots="], [], "'slots=' is not name=value"),
        (["slots=1"], ["slots=2"], "'slots' is given twice"),
        (["slots=1", "slots=2"], [], "'slots' is given twice"),
        (["api_key=x"], [], "'api_key' can't be swept"),
        (["bulk_share=0.5"], [], "'bulk_share' can't be swept"),
        (["slots={a"], [], "is not JSON"),
        (["slots=,"], [], "slots=, names no value"),
        (["vllm_slots=1"], [], "There is no setting 'vllm_slots'"),
        (["vllm_tensor_parallel=1,2"], [], "is a setting of the engine vllm; the points open llamacpp"),
        (["kind=vllm,llamacpp"], ["simulated_tokens=9"], "the points open llamacpp, vllm"),
    ],
)
def test_what_can_not_be_swept_is_refused_before_anything_runs(vary: list[str], fixed: list[str], said: str):
    with pytest.raises(Misconfigured) as refused:
        points_of(vary, fixed)
    assert said in str(refused.value)


def test_a_question_set_says_which_line_is_wrong(tmp_path: Path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "Who?", "answers": ["I"]}\n\n{"answers": []}\n')
    with pytest.raises(Misconfigured, match=r"questions\.jsonl, line 3: question"):
        read_questions(path)
    path.write_text("\n")
    with pytest.raises(Misconfigured, match="holds no question"):
        read_questions(path)
    with pytest.raises(Misconfigured, match="can't be read"):
        read_questions(tmp_path / "none.jsonl")


def test_a_limit_takes_questions_evenly_spread():
    questions = read_questions(SAMPLE)
    chosen = read_questions(SAMPLE, limit=6)
    assert len(chosen) <= 6
    assert chosen[0] == questions[0]
    assert questions.index(chosen[-1]) > len(questions) / 2


def test_each_answer_of_the_sample_questions_stands_in_the_documentation():
    docs = Path(__file__).parent.parent.parent / "docs"
    said = " ".join(" ".join(path.read_text().split()) for path in docs.glob("*.md")).lower()
    for question in read_questions(SAMPLE):
        assert not question.answers or any(answer.lower() in said for answer in question.answers), question.id
