"""What a vendor keeps of prompts, and that our requests let it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from repartee.agent import load_agent
from repartee.settings import Settings
from repartee.simulator.providers import SimulatorConfig
from repartee.simulator.providers.prompt_cache import KEPT_S, PromptCache, prompt_text, prompt_tokens
from repartee.simulator.savings import Asked, Replay

LONG = "word " * 1200
"""1500 tokens."""


def test_long_beginnings_are_kept_in_steps_for_some_minutes() -> None:
    now_s = [0.0]
    cache = PromptCache(lambda: now_s[0])
    assert cache.known_tokens("mini", LONG) == 0
    cache.keep("mini", LONG)
    assert cache.known_tokens("mini", LONG + "more") == 1408, "1024 and three steps of 128"
    assert cache.known_tokens("mini", LONG[:4400] + "other " * 300) == 1024, "as far as it is the same"
    assert cache.known_tokens("mini", "An" + LONG) == 0, "another beginning"
    assert cache.known_tokens("nano", LONG) == 0, "every model keeps its own"
    assert cache.known_tokens("mini", LONG[:4000]) == 0, "short prompts are never kept"
    now_s[0] = KEPT_S + 1
    assert cache.known_tokens("mini", LONG) == 0


def test_tools_are_part_of_a_prompt_and_come_first() -> None:
    messages, tools = [{"role": "user", "content": "Hello"}], [{"name": "book"}]
    text = prompt_text(messages, tools)
    assert text.startswith('{"name": "book"}')
    assert prompt_tokens(text) > prompt_tokens(prompt_text(messages, None))


@pytest.mark.parametrize("facts", [1, 400])
async def test_a_call_s_requests_share_all_but_their_newest_words(
    plain_settings: Settings, tmp_path: Path, facts: int
) -> None:
    """What a request begins with stays as it is from turn to turn, so that a vendor knows it again."""
    file = tmp_path / "a.yaml"
    persona = " ".join(f"Fact {number} is known." for number in range(facts))
    file.write_text(f"name: Desk\npersona: {persona}\ngreeting: Hello\nmodels: {{tts: 'openai:tts-1'}}\n")
    turns = [Asked(f"What about number {number}?", f"It is {number}.") for number in range(6)]
    config = SimulatorConfig(profile="instant")
    async with Replay.start(load_agent(file), config, plain_settings, tmp_path) as replay:
        held = await asyncio.wait_for(replay.hold("off", turns), 60)
    used = held.sums.quantities
    if facts == 1:
        assert used["tokens_cached"] == 0, "too short for the vendor to keep"
        return
    per_request = used["tokens_in"] / len(turns)
    # All of a prompt but the first one's, up to a step and the newest turn.
    assert used["tokens_cached"] >= (len(turns) - 1) * (per_request - 128 - 60)
