"""Where vLLM goes on with an answer that was cut: run by `make test-vllm`."""

import pytest
from engine_trials import KINDS, Trial, ask, text_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.skipif("vllm" not in KINDS, reason="TEST_ENGINES names no vllm (make test-vllm does)"),
]

DAYS = "List the days of the week."
ACCENTS = "Repeat these words: caf\u00e9, na\u00efve, \u6771\u4eac, \U0001f600."


@pytest.mark.parametrize("question", [DAYS, ACCENTS])
async def test_a_cut_at_any_sign_leaves_no_seam(trial: Trial, question: str) -> None:
    if trial.kind != "vllm":
        pytest.skip("a server gets text, and makes tokens of it anew")
    engine = trial.engine
    whole = await text_of(engine, ask(question, max_tokens=32))
    for cut in range(1, len(whole), 7):
        rest = await text_of(engine, ask(question, prefix=whole[:cut], max_tokens=40))
        assert (whole[:cut] + rest)[: len(whole)] == whole, f"cut at {cut}: {whole[:cut]!r}"
