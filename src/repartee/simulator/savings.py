"""What the cache and the routing save: the same turns with and without them, against simulated vendors.

Each side has its own simulator with the same seed, so that the same request waits as long on both. The requests are
the simulator's own count, their prices the price table's.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from repartee.agent import Agent, Cache, Routing
from repartee.conversation.questions import normalised, read
from repartee.conversation.routing import HARD_EXAMPLES, SIMPLE_EXAMPLES
from repartee.errors import ProviderError
from repartee.providers import Ladder, choose_ladder
from repartee.providers.answer_cache import own_words
from repartee.providers.kit import ProviderKit
from repartee.providers.ondevice import SpeechHost
from repartee.providers.prepared_voice import prepare_voice
from repartee.providers.prices import PriceTable, load_prices
from repartee.session.fixed_texts import fixed_texts, kept_voice
from repartee.session.text_turns import Answered, TextTurns
from repartee.session.tiers import Standing
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.bill import Entry
from repartee.simulator.providers.replies import Message, Replies, Reply
from repartee.telemetry.usage import Unit, Usage
from repartee.urls import socket_url

SideName = Literal["off", "caching", "on"]
SIDES: tuple[SideName, ...] = ("off", "caching", "on")
WITHOUT: Mapping[str, Any] = {
    "cache": Cache(answers=False, by_meaning=False, learn=False, voice=False, prepare_voice=False),
    "routing": Routing(),
}
"""What an agent file says when nothing is saved."""
_LESS: Mapping[SideName, Mapping[str, Any]] = {"off": WITHOUT, "caching": {"routing": Routing()}, "on": {}}
NOTHING = Decimal(0)
AT_ONCE = 8
"""Texts in one request for vectors."""
_UNITS: tuple[Unit, ...] = ("tokens_in", "tokens_cached", "tokens_out", "characters")


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn.

    Attributes:
        text: What the caller says.
        answer: What the model says; None leaves it to the simulator's script.
        standing: How things stand then.
    """

    text: str
    answer: str | None = None
    standing: Standing = field(default_factory=Standing)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a side used.

    Attributes:
        costs: USD by stage, of the requests whose price is known.
        unpriced: Requests whose price is not.
        requests: By stage.
        quantities: By unit.
    """

    costs: Mapping[str, Decimal] = field(default_factory=dict)
    unpriced: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    quantities: Counter[Unit] = field(default_factory=Counter)

    @property
    def usd(self) -> Decimal:
        """USD of all stages."""
        return sum(self.costs.values(), NOTHING)

    def __add__(self, other: Sums) -> Sums:
        stages = {**self.costs, **other.costs}
        return Sums(
            {stage: self.costs.get(stage, NOTHING) + other.costs.get(stage, NOTHING) for stage in stages},
            self.unpriced + other.unpriced,
            self.requests + other.requests,
            self.quantities + other.quantities,
        )


@dataclass(frozen=True, slots=True)
class Held:
    """One call of one side.

    Attributes:
        answered: Turn by turn.
        sums: What it used.
        prepared: What was used before the first call, for audio made ahead; nothing in later ones.
    """

    answered: Sequence[Answered]
    sums: Sums
    prepared: Sums


class Replay:
    """Holds calls on every side, one after another; what is learned and kept stays from call to call.

    Open it with `Replay.start`.

    Args:
        agent: The agent with its savings on.
        config: The simulated vendors.
        settings: Name the voice by which keys they have; all of them lead to the simulator.
        folder: Where each side keeps what it keeps; an empty one for a machine that never had a call.
        speech_url: The sentence model; None without.
    """

    def __init__(
        self, agent: Agent, config: SimulatorConfig, settings: Settings, folder: Path, speech_url: str | None
    ) -> None:
        self._agent, self._config, self._settings = agent, config, settings
        self._folder, self._speech_url = folder, speech_url
        self._prices = load_prices(settings.prices)

    @staticmethod
    @asynccontextmanager
    async def start(
        agent: Agent, config: SimulatorConfig, settings: Settings, folder: Path
    ) -> AsyncIterator[Replay]:
        """Start the sentence model, where the agent's cache wants it, and end it afterwards."""
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(Simulator.start(SimulatorConfig(profile="instant")))
            ladder = await choose_ladder(simulated(settings, simulator), agent)
            url = None
            if ladder.meaning:
                url = (await stack.enter_async_context(SpeechHost.start(speech=False))).url
            yield Replay(agent, config, settings, folder, url)

    async def hold(
        self, side: SideName, turns: Sequence[Asked], note: Callable[[], None] = lambda: None
    ) -> Held:
        """Hold a call.

        Args:
            side: `off` saves nothing, `caching` has the file's cache, `on` its routing as well.
            turns: What is said.
            note: Called after each turn.

        Raises:
            ProviderError: A turn was not answered: it must not pass for one that cost nothing.
        """
        agent, folder = self._agent.model_copy(update=dict(_LESS[side])), self._folder / side
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(Simulator.start(self._config))
            model = simulator.desk.replies = _Said(simulator.desk.replies)
            there = simulated(self._settings, simulator).model_copy(update={"state_dir": folder})
            ladder = await choose_ladder(there, agent)
            prepared = await self._prepare(agent, ladder, there, simulator)
            voices = kept_voice(folder, agent, ladder)
            kit = ProviderKit(there, agent, ladder, self._speech_url, voice_cache=voices)
            stack.push_async_callback(kit.aclose)
            await _embed_ahead(kit, agent, turns)
            now = [Standing()]
            call = await stack.enter_async_context(TextTurns.start(kit, folder, lambda: now[0]))
            answered = []
            for turn in turns:
                now[0], model.answer_now = turn.standing, turn.answer
                answered.append(await call.ask(turn.text))
                note()
            return Held(answered, sums_of(simulator.desk.bill.entries, self._prices), prepared)

    async def _prepare(self, agent: Agent, ladder: Ladder, there: Settings, simulator: Simulator) -> Sums:
        """Make the audio that a server makes at its start; what is there already is not made again."""
        await prepare_voice(there, agent, ladder, fixed_texts(agent))
        prepared = sums_of(simulator.desk.bill.entries, self._prices)
        simulator.desk.bill.reset()
        return prepared


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare.

    Attributes:
        agent: The agent with the savings on.
        turns: What the caller says, turn by turn.
        config: The simulated vendors.
        folder: Where the savings keep what they keep; new for a first call, the same for a later one.
    """

    agent: Agent
    turns: Sequence[str]
    config: SimulatorConfig
    folder: Path


async def compare(plan: Plan, settings: Settings) -> dict[str, Any]:
    """Run all turns on every side; return cost, times and tiers of each, ready for JSON.

    Args:
        plan: What to compare.
        settings: As for `Replay`.
    """
    async with Replay.start(plan.agent, plan.config, settings, plan.folder) as replay:
        held = {side: await replay.hold(side, [Asked(text) for text in plan.turns]) for side in SIDES}
    said = {side: [one.text for one in call.answered] for side, call in held.items()}
    spent = {side: call.sums.usd for side, call in held.items()}
    return {
        "turns": len(plan.turns),
        **{side: _figures(call) for side, call in held.items()},
        "saved": share_saved(spent["off"], spent["on"]),
        "answered_differently": [
            text for text, one, other in zip(plan.turns, said["off"], said["on"], strict=True) if one != other
        ],
    }


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


def share_saved(before: Decimal, after: Decimal) -> float:
    """Return which share of a cost is saved; below 0 when it has grown."""
    return round(float(1 - after / before), 4) if before else 0.0


def sums_of(entries: Iterable[Entry], prices: PriceTable) -> Sums:
    """Return what the vendors' requests came to by a price table."""
    total = Sums()
    for entry in entries:
        quantities = {unit: Decimal(number) for unit in _UNITS if (number := getattr(entry, unit))}
        usage = Usage(entry.request_id, _stage(entry), entry.vendor, entry.model, quantities)
        cost = NOTHING if entry.outcome == "failed" else prices.cost(usage)
        used = Counter({unit: int(number) for unit, number in quantities.items()})
        total += Sums({entry.stage: cost or NOTHING}, int(cost is None), Counter({entry.stage: 1}), used)
    return total


def _stage(entry: Entry) -> Literal["stt", "llm", "tts"]:
    return "stt" if entry.stage == "stt" else "llm" if entry.stage == "llm" else "tts"


class _Said(Replies):
    """The model that says what is put into its mouth, and what the script says where nothing is."""

    def __init__(self, script: Replies) -> None:
        super().__init__(None, script.style)
        self._script = script
        self.answer_now: str | None = None

    def answer(self, messages: list[Message]) -> Reply:
        return self._script.answer(messages) if self.answer_now is None else Reply(self.answer_now)


async def _embed_ahead(kit: ProviderKit, agent: Agent, turns: Sequence[Asked]) -> None:
    """Have all vectors made: a call waits for none longer than a moment, and a busy machine would find less."""
    if (embed := kit.embedder()) is None:
        return
    own = own_words(agent)
    texts = [*(turn.text for turn in turns), *(ask for answer in agent.answers for ask in answer.ask)]
    keys = [key for text in texts for key in (normalised(text), read(text, own).key) if key]
    wanted = [*dict.fromkeys([*keys, *SIMPLE_EXAMPLES, *HARD_EXAMPLES])]
    try:
        for at in range(0, len(wanted), AT_ONCE):
            await embed(wanted[at : at + AT_ONCE])
    except httpx.HTTPError as error:
        raise ProviderError(
            "the sentence model on this machine did not answer", kind="timeout", provider="on-device"
        ) from error


def _figures(call: Held) -> dict[str, Any]:
    sums, prepared = call.sums, call.prepared
    return {
        "usd": f"{sums.usd:f}",
        "prepared_usd": f"{prepared.usd:f}",
        "requests": dict(sums.requests),
        **{unit: sums.quantities[unit] for unit in _UNITS},
        "prepared_characters": prepared.quantities["characters"],
        "first_text_ms": _spread([one.first_text_ms for one in call.answered]),
        "first_audio_ms": _spread([one.first_audio_ms for one in call.answered]),
        "tiers": dict(Counter(one.tier for one in call.answered)),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(value for value in values if value == value)  # noqa: PLR0124 - no number where nothing came
    if not ordered:
        return {}
    at_95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": round(statistics.median(ordered), 1), "p95": round(at_95, 1)}
