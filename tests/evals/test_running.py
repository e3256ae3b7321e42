"""Scenarios held with a whole agent, its model simulated: what passes, what fails, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from repartee.agent import load_agent
from repartee.errors import MediaError
from repartee.evals.files import load_files
from repartee.evals.models import Models, models_of
from repartee.evals.results import Outcome
from repartee.evals.running import Progress, Runner, TypedWay
from repartee.providers import choose_ladder
from repartee.server.call_view import call_view, read_call
from repartee.server.exports import scenario
from repartee.session.keeping import keeping
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig

AGENT = """
name: Bakery
persona: You sell bread.
greeting: Hello, this is the bakery.
models: {llm: "openai:gpt-4.1-mini", tts: "elevenlabs:eleven_flash_v2_5"}
tools: tools.py
answers:
  - {id: parking, ask: ["Is there parking?"], say: There is parking behind the house.}
"""
TOOLS = '''
from repartee import ToolContext, tool


@tool
def price(ctx: ToolContext, what: str) -> str:
    """Look up a price.

    Args:
        what: Of what.
    """
    return f"{what} is four euros"
'''
SCRIPT = r"""
- when: Reply with one JSON object
  say: '{{"answer": {{"probability": 0.95}}, "verdict": {{"choice": "yes", "probabilities": {{"yes": 1.0}}}},
    "kind": {{"choice": "meets", "probabilities": {{"meets": 1.0}}}}}}'
- {when: this is the bakery, say: "What is the price of the rye bread?"}
- {when: four euros, call: end_call, with: {success: true, reason: I know the price}}
- {when: 'price of the (?P<what>\w+)', call: price, with: {what: "{what}"}}
- {when: tell me all, say: "There is rye, there is wheat, there is spelt, and there is much more to be told of it."}
- {when: stop, say: All right.}
"""


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Runner]:
    agent, script = tmp_path / "agent.yaml", tmp_path / "script.yaml"
    agent.write_text(AGENT, encoding="utf-8")
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    async with Simulator.start(SimulatorConfig(profile="instant", script=script)) as simulator:
        settings = Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
            update={
                "openai_api_key": SecretStr("k"),
                "openai_base_url": f"{simulator.url}/v1",
                "state_dir": tmp_path / "state",
                "database_url": None,
                "elevenlabs_api_key": None,
            }
        )
        wish = load_agent(agent)
        typed = wish.model_copy(update={"models": wish.models.model_copy(update={"tts": None})})
        models = models_of(settings, await choose_ladder(settings, typed))
        yield Runner(TypedWay(agent, settings, None), models, timeout_ms=10_000)


async def play(runner: Runner, tmp_path: Path, turns: str) -> Outcome:
    """Play a scenario; `turns` is the YAML below its name."""
    file = tmp_path / "scenario.yaml"
    indented = "\n".join(f"    {line}" for line in turns.strip().splitlines())
    file.write_text(f"name: t\nscenarios:\n  - name: s\n{indented}\n", encoding="utf-8")
    (loaded,) = load_files([file])
    return await runner.run(loaded)


async def test_greeting_known_answer_and_tool_without_the_voice_s_key(runner: Runner, tmp_path: Path) -> None:
    outcome = await play(
        runner,
        tmp_path,
        """
turns:
  - expect: [{event: response, text_contains: this is the bakery}]
  - user: Is there parking?
    expect: [{event: response, text_contains: behind the house}]
  - user: What is the price of the rye bread?
    expect:
      - {event: function_call, name: price, args: {what: rye}}
      - {event: function_call_stopped, args: {cancelled: false}}
      - {event: response, text_contains: four euros, text_excludes: parking}
""",
    )
    assert (outcome.status, outcome.reason) == ("passed", "")
    assert [criterion.passed for criterion in outcome.criteria] == [True] * 5
    assert [line.who for line in outcome.lines] == ["agent", "caller", "agent", "caller", "tool", "agent"]


async def test_what_is_not_said_fails_with_what_was_said(runner: Runner, tmp_path: Path) -> None:
    outcome = await play(
        runner,
        tmp_path,
        """
turns:
  - user: Is there parking?
    expect: [{event: response, text_contains: a tunnel, within_ms: 600}]
  - user: Stop
    expect: [{event: response}]
""",
    )
    assert outcome.status == "failed"
    assert "does not contain 'a tunnel'" in outcome.reason
    assert outcome.reason.endswith("the agent said last: There is parking behind the house.")
    assert [(c.name, c.passed) for c in outcome.criteria] == [
        ("turn 1: response with 'a tunnel'", False),
        ("turn 2: response", None),
    ]


async def test_who_speaks_into_an_answer_interrupts_it(runner: Runner, tmp_path: Path) -> None:
    outcome = await play(
        runner,
        tmp_path,
        """
turns:
  - user: Please tell me all
    expect: [{event: bot_started_speaking}]
  - user: Stop now
    send_after: {event: bot_started_speaking, delay_ms: 300}
    expect:
      - {event: bot_interrupted}
      - {event: response, text_contains: All right}
""",
    )
    assert outcome.status == "passed", outcome.reason
    (cut,) = [line.text for line in outcome.lines if line.cut]
    assert (
        "There is rye, there is wheat, there is spelt, and there is much more to be told of it.".startswith(
            cut
        )
    )


async def test_a_simulated_caller_and_a_judge(runner: Runner, tmp_path: Path) -> None:
    outcome = await play(
        runner,
        tmp_path,
        """
persona: A customer.
goal: Learn the price of rye bread.
success: the price was told
metrics:
  - {name: kind, criterion: the agent is kind, min_score: 0.8}
  - {name: reported, measure: turns, max_value: 1}
  - {name: called, measure: function_calls, calls: [{name: price, args: {what: rye}}]}
runs: 2
""",
    )
    assert outcome.status == "passed", outcome.reason
    assert [(c.name, c.passed, c.score) for c in outcome.criteria] == [
        ("success", True, None),
        ("kind", True, 1.0),
        ("reported", True, 1.0),
        ("called", True, 1.0),
    ]
    assert [line.who for line in outcome.lines] == ["agent", "caller", "tool", "agent"]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ("turns: [{dtmf: 12}]", "presses keys"),
        ("turns: [{user: hi, expect: [{event: vad_user_started_speaking}]}]", "takes sound"),
        ("context: [{role: user, content: hi}]\nturns: [{user: hi}]", "a call begins at its beginning"),
    ],
)
async def test_what_cannot_be_typed_is_skipped_and_says_why(
    runner: Runner, tmp_path: Path, turns: str, why: str
) -> None:
    outcome = await play(runner, tmp_path, turns)
    assert outcome.status == "skipped"
    assert why in outcome.reason


async def test_without_a_model_nobody_judges(runner: Runner, tmp_path: Path) -> None:
    lacking = Runner(runner.way, Models(None))
    outcome = await play(
        lacking, tmp_path, "turns: [{user: hi, expect: [{event: response, eval: it greets}]}]"
    )
    assert (outcome.status, "set OPENAI_API_KEY or LLM_BASE_URL" in outcome.reason) == ("skipped", True)


async def test_an_agent_that_cannot_talk_is_an_error(runner: Runner, tmp_path: Path) -> None:
    assert isinstance(runner.way, TypedWay)
    keyless = runner.way.settings.model_copy(update={"openai_api_key": None})
    broken = replace(runner, way=replace(runner.way, settings=keyless))
    outcome = await play(broken, tmp_path, "turns: [{user: hi, expect: [{event: response}]}]")
    assert outcome.status == "error"
    assert "OPENAI_API_KEY" in outcome.reason


class Busy(TypedWay):
    """A way on which no call can be begun."""

    async def ready(self, progress: Progress) -> None:
        progress("all lines are busy")
        raise MediaError("All lines are busy.")


async def test_a_call_that_cannot_be_begun_is_an_error(runner: Runner, tmp_path: Path) -> None:
    assert isinstance(runner.way, TypedWay)
    busy = replace(runner, way=Busy(runner.way.agent_path, runner.way.settings, None))
    outcome = await play(busy, tmp_path, "turns: [{user: hi, expect: [{event: response}]}]")
    assert (outcome.status, outcome.reason) == ("error", "All lines are busy.")


async def test_the_test_that_is_made_of_a_call_passes(runner: Runner, tmp_path: Path) -> None:
    held = await play(
        runner,
        tmp_path,
        """
turns:
  - user: Is there parking?
    expect: [{event: response}]
  - user: What is the price of the rye bread?
    expect: [{event: response}]
""",
    )
    assert held.status == "passed"
    assert isinstance(runner.way, TypedWay)
    store = keeping(runner.way.settings).store
    data = read_call(store, store.calls()[0].call.call_id)
    assert data is not None
    text = scenario(call_view(data))
    assert "text_contains: There is parking behind the house." in text
    assert "means the same as: Here is what I found." in text
    file = tmp_path / "made.yaml"
    file.write_text(text, encoding="utf-8")
    (made,) = load_files([file])
    outcome = await runner.run(made)
    assert outcome.status == "passed", outcome.reason
    assert len(outcome.criteria) == 4, "the greeting, two answers and a tool"
