"""What the cache and the routing save: the same turns with and without them, against simulated vendors.

The bill is the simulator's own. Each side has its own simulator with the same seed, so that the same request waits as
long on both.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from repartee.agent import Agent, Cache, Routing
from repartee.providers import choose_ladder
from repartee.providers.kit import ProviderKit
from repartee.providers.ondevice import SpeechHost
from repartee.session.fixed_texts import kept_voice
from repartee.session.text_turns import Answered, TextTurns
from repartee.session.tiers import Standing
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.urls import socket_url

WITHOUT = {
    "cache": Cache(answers=False, by_meaning=False, learn=False, prepare_voice=False),
    "routing": Routing(),
}
"""What an agent file says when nothing is saved."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare.

    Attributes:
        agent: The agent with the savings on.
        turns: What the caller says, turn by turn.
        config: The simulated vendors.
        folder: Where the savings keep what they keep; new for a first call, the same for a later one.
        standing: As in a call, asked at each turn of the side with savings.
    """

    agent: Agent
    turns: Sequence[str]
    config: SimulatorConfig
    folder: Path
    standing: Callable[[], Standing] = Standing


async def compare(plan: Plan, settings: Settings) -> dict[str, Any]:
    """Run all turns without and with the savings; return cost, times and tiers of both.

    Args:
        plan: What to compare.
        settings: Names the voice by which keys it has; all of them lead to the simulator.
    """
    bare = plan.agent.model_copy(update=WITHOUT)
    off = await _side(plan, bare, settings, kept=None)
    on = await _side(plan, plan.agent, settings, kept=plan.folder)
    said = zip(off.pop("answers"), on.pop("answers"), strict=True)
    differ = [text for text, (one, other) in zip(plan.turns, said, strict=True) if one != other]
    return {
        "turns": len(plan.turns),
        "off": off,
        "on": on,
        "saved": _saved(off, on),
        "answered_differently": differ,
    }


async def _side(plan: Plan, agent: Agent, settings: Settings, kept: Path | None) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator.start(plan.config))
        there = simulated(settings, simulator)
        ladder = await choose_ladder(there, agent)
        host = None
        if ladder.meaning:
            host = await stack.enter_async_context(SpeechHost.start(speech=False))
        voices = kept_voice(kept, agent, ladder) if kept is not None else None
        url = host.url if host is not None else None
        kit = ProviderKit(there, agent, ladder, url, voice_cache=voices)
        stack.push_async_callback(kit.aclose)
        turns = await stack.enter_async_context(TextTurns.start(kit, plan.folder, plan.standing))
        answered = [await turns.ask(text) for text in plan.turns]
        bill = simulator.desk.bill.summary()
    return _figures(answered, bill)


def simulated(settings: Settings, simulator: Simulator) -> Settings:
    """Return settings whose every vendor is the simulator; an OpenAI key is added for the model."""
    return settings.model_copy(
        update={
            "openai_api_key": settings.openai_api_key or SecretStr("simulated"),
            "openai_base_url": f"{simulator.url}/v1",
            "elevenlabs_base_url": socket_url(simulator.url),
            "cartesia_base_url": socket_url(simulator.url),
        }
    )


def _figures(answered: Sequence[Answered], bill: dict[str, Any]) -> dict[str, Any]:
    stages = bill["stages"]
    return {
        "usd": str(Decimal(str(bill["usd"]))),
        "requests": {stage: sums["requests"] for stage, sums in stages.items()},
        "characters": stages.get("tts", {}).get("characters", 0),
        "tokens_in": stages.get("llm", {}).get("tokens_in", 0),
        "tokens_out": stages.get("llm", {}).get("tokens_out", 0),
        "first_text_ms": _spread([one.first_text_ms for one in answered]),
        "first_audio_ms": _spread([one.first_audio_ms for one in answered]),
        "tiers": dict(Counter(one.tier for one in answered)),
        "answers": [one.text for one in answered],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(value for value in values if value == value)  # noqa: PLR0124 - no number where nothing came
    if not ordered:
        return {}
    at_95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": round(statistics.median(ordered), 1), "p95": round(at_95, 1)}


def _saved(off: dict[str, Any], on: dict[str, Any]) -> float:
    before = Decimal(off["usd"])
    return round(float(1 - Decimal(on["usd"]) / before), 4) if before else 0.0
