"""The comparison of cost and time, with and without the savings."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.errors import ProviderError
from repartee.settings import Settings
from repartee.simulator.providers import SimulatorConfig
from repartee.simulator.savings import Plan, compare

FILE = """
name: Desk
persona: You are the desk.
greeting: Hello
models: {tts: 'openai:tts-1'}
cache: {by_meaning: false, learn: true}
routing: {small: 'openai:gpt-4.1-nano'}
answers: [{id: hours, ask: ['When are you open?'], say: From eight to six.}]
"""
SCRIPT = """
- {when: open, say: "From eight to six."}
- {when: playground, say: "Yes, there is one in the yard."}
- {when: difference, say: "The one is longer than the other."}
"""
TURNS = ["When are you open?", "Is there a playground?", "What is the difference between the two?"]


async def test_the_same_answers_cost_less_and_a_later_call_still_less(
    plain_settings: Settings, tmp_path: Path
) -> None:
    file, script = tmp_path / "a.yaml", tmp_path / "s.yaml"
    file.write_text(FILE)
    script.write_text(SCRIPT)
    config = SimulatorConfig(profile="instant", script=script)
    plan = Plan(load_agent(file), TURNS, config, tmp_path / "kept")
    first = await compare(plan, plain_settings)
    later = await compare(plan, plain_settings)
    assert first["answered_differently"] == later["answered_differently"] == []
    assert first["off"]["tiers"] == {"large": 3}
    assert first["on"]["tiers"] == {"cached": 1, "small": 1, "large": 1}
    assert later["on"]["tiers"] == {"cached": 2, "large": 1}, "the playground was learned"
    assert first["off"]["requests"]["llm"] == 3
    assert later["on"]["requests"] == {"llm": 1, "tts": 1}, "what was said before needs no voice either"
    costs = [Decimal(side["usd"]) for side in (first["off"], first["on"], later["on"])]
    assert costs[0] > costs[1] > costs[2] > 0
    assert later["off"]["usd"] == first["off"]["usd"]
    assert later["saved"] == round(float(1 - costs[2] / costs[0]), 4)
    assert set(first["on"]["first_text_ms"]) == set(first["on"]["first_audio_ms"]) == {"p50", "p95"}


async def test_a_turn_that_fails_is_no_saving(plain_settings: Settings, tmp_path: Path) -> None:
    file, script = tmp_path / "a.yaml", tmp_path / "s.yaml"
    file.write_text(FILE)
    script.write_text('- {when: ".", say: ""}')
    config = SimulatorConfig(profile="instant", script=script)
    with pytest.raises(ProviderError, match="turn 1 was not answered"):
        await compare(Plan(load_agent(file), TURNS, config, tmp_path / "kept"), plain_settings)
