"""Tool calls of llama.cpp, with a chat template of our own: the model that is shipped has none."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from engine_trials import ask, opened, pieces_of, text_of

from contracts.errors import PermanentError
from workers.engines import Engine, EngineSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": description,
                "parameters": {
                    "type": "object",
                    "properties": {"language": {"enum": ["en", "de"]}},
                    "required": ["language"],
                    "additionalProperties": False,
                },
            },
        }
        for name, description in (("look_up", "Look up a word."), ("translate", "Translate a word."))
    ]
)
# The examples before the last question teach a small model to call.
TEMPLATE = r"""
{%- if tools %}
{{- '<|im_start|>system\nYou may call these functions.\n<tools>' }}
{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\n</tools>\nWrite a call as\n<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>' }}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if tools and loop.last and message.role == 'user' %}
{%- for word, language in [('tree', 'en'), ('Baum', 'de')] %}
{{- '<|im_start|>user\nLook up the word ' + word + '.<|im_end|>\n<|im_start|>assistant\n<tool_call>\n' }}
{{- '{"name": "look_up", "arguments": {"language": "' + language + '"}}\n</tool_call><|im_end|>\n' }}
{%- endfor %}
{%- endif %}
{{- '<|im_start|>' + message.role }}
{%- if message.content %}{{- '\n' + message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    template = tmp_path_factory.mktemp("tools") / "template.jinja"
    template.write_text(TEMPLATE)
    settings = EngineSettings(kind="llamacpp", slots=1, context_tokens=1_024, chat_template=template)
    async with opened(settings) as engine:
        yield engine


async def test_llamacpp_knows_from_the_template_whether_its_model_calls_tools(caller: Engine) -> None:
    assert caller.abilities.tools
    async with opened(EngineSettings(kind="llamacpp", slots=1, context_tokens=512)) as plain:
        assert not plain.abilities.tools
        with pytest.raises(PermanentError, match="tools"):
            await text_of(plain, replace(ask("Look up the word river."), tools=TOOLS))


@pytest.mark.parametrize("question", ["Look up the word river.", "Tell me a story."])
async def test_llamacpp_calls_a_tool_by_its_schema_when_it_must(caller: Engine, question: str) -> None:
    request = replace(ask(question, max_tokens=64), tools=TOOLS, must_call=True)
    (only,) = await pieces_of(caller, request)
    (call,) = only.tool_calls
    assert call.id
    assert call.name in ("look_up", "translate")
    assert json.loads(call.arguments)["language"] in ("en", "de")
    assert only.text == ""
    assert only.finish_reason == "stop"
    assert only.usage is not None
    assert only.tokens >= only.usage.completion_tokens - 1 > 10


async def test_llamacpp_calls_a_tool_that_it_may_call(caller: Engine) -> None:
    pieces = await pieces_of(caller, replace(ask("Look up the word river.", max_tokens=64), tools=TOOLS))
    (call,) = pieces[-1].tool_calls
    assert call.name == "look_up"
    assert json.loads(call.arguments)["language"] in ("en", "de")
    assert "".join(piece.text for piece in pieces).strip() == ""


async def test_llamacpp_answers_with_text_where_it_may_call_and_does_not(caller: Engine) -> None:
    pieces = await pieces_of(caller, replace(ask("Say hello.", max_tokens=24), tools=TOOLS))
    assert pieces[-1].tool_calls == ()
    assert "".join(piece.text for piece in pieces).strip()


async def test_llamacpp_gives_no_half_of_a_call(caller: Engine) -> None:
    request = replace(ask("Look up the word river.", max_tokens=6), tools=TOOLS, must_call=True)
    (only,) = await pieces_of(caller, request)
    assert (only.text, only.tool_calls, only.finish_reason) == ("", (), "length")


@pytest.mark.parametrize("tools", ["{", "[1]", '[{"type": "nothing"}]', '"text"'])
async def test_llamacpp_refuses_what_is_no_list_of_tools(caller: Engine, tools: str) -> None:
    for must in (True, False):
        with pytest.raises(PermanentError):
            await text_of(caller, replace(ask("Look up a word."), tools=tools, must_call=must))
    assert caller.in_flight() == 0
