"""`repartee costs --savings`: what the cache, the routing and the voice gate saved, by holding the same calls again.

What callers said and what the agent answered is replayed on the simulator, with and without the savings, priced by
the price table. Nobody is called, no tool runs, and no vendor is asked. What the gate saves is in the records: the
seconds of audio that were sent, against the seconds that the calls took.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from repartee.cli.asking import columns, count, near, out, usd
from repartee.cli.environment import read_settings
from repartee.errors import ConfigError

if TYPE_CHECKING:
    from repartee.agent import Agent
    from repartee.settings import Settings
    from repartee.simulator.savings import Asked, SideName, Sums
    from repartee.store import CallSummary, CostLine, EventRow, LedgerRow, Store, TurnRow

HEADS = ("", "model requests", "tokens", "characters voiced", "audio", "cost", "per minute", "saved")
RIGHT = frozenset(HEADS[1:])
OPEN_GOAL = "open goal"
USUAL_MODEL = "openai:gpt-4.1-mini"
"""What the provider ladder takes where the agent file names none."""
_PAID = {
    "llm": frozenset({"openai"}),
    "tts": frozenset({"openai", "elevenlabs", "cartesia"}),
}
"""Whose requests can be made to the simulator instead."""
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call as it is kept.

    Attributes:
        turns: Those that were said and answered.
        call_s: Its length.
        models: `llm` and `tts` as `provider:model`, where a vendor did them.
        heard_usd: What speech-to-text cost.
        sent_s: Seconds of audio that were sent to it.
    """

    turns: Sequence[Asked]
    call_s: float
    models: dict[str, str]
    heard_usd: Decimal
    sent_s: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table; quantities that do not belong to it are None."""

    name: str
    cost: Decimal
    unpriced: int = 0
    requests: int | None = None
    tokens: int | None = None
    tokens_cached: int | None = None
    characters: int | None = None
    audio_s: Decimal | None = None
    against: Decimal | None = None
    """What it would have cost without; None where that is this line."""

    @property
    def saved(self) -> Decimal | None:
        """Share of the cost that is saved."""
        return 1 - self.cost / self.against if self.against else None


@dataclass(frozen=True, slots=True)
class Savings:
    """What a comparison came to.

    Attributes:
        lines: The table.
        call_s: Seconds of the calls.
        bars: Costs by side and stage, for a drawing.
    """

    lines: Sequence[Line]
    call_s: float
    bars: Sequence[CostLine]


def show_savings(store: Store, agent: str | None, since: datetime | None, limit: int) -> Savings:
    """Hold the newest calls of an agent again and print what was saved.

    Args:
        store: The database of calls.
        agent: The agent's name; the agent file's unless given.
        since: Only calls since then.
        limit: At most so many calls.

    Raises:
        ConfigError: The agent file is another agent's, or there is nothing to replay.
    """
    from repartee.agent import load_agent  # noqa: PLC0415 - a command imports what it needs

    settings = read_settings()
    loaded = load_agent(settings.agent)
    if agent not in {None, loaded.name}:
        raise ConfigError(
            f"{settings.agent} is the file of '{loaded.name}', not of '{agent}'; set REPARTEE_AGENT to the other file"
        )
    kept = [_kept(store, summary) for summary in reversed(store.calls(limit, loaded.name, since))]
    calls = [call for call in kept if call.turns]
    if not calls:
        others = [name for name in store.agents() if name != loaded.name]
        raise ConfigError(
            f"no call of '{loaded.name}' there has words to hold it again{near(loaded.name, others)}"
        )
    loaded = _as_answered(loaded, calls)
    sides = asyncio.run(_replayed(loaded, calls, settings))
    lines = _lines(sides, calls)
    call_s = sum(call.call_s for call in calls)
    turns = sum(len(call.turns) for call in calls)
    out.print(
        f"{count(len(calls), 'call')} of {loaded.name}, {count(turns, 'turn')}, held again:", soft_wrap=True
    )
    columns(HEADS, (_cells(line, call_s) for line in lines), RIGHT)
    ahead = sides["on"][1]
    if ahead.quantities["characters"]:
        made = f"{ahead.quantities['characters']:,} characters, {usd(ahead.usd)}"
        out.print(f"once for each machine and voice, before the first call: {made}", soft_wrap=True)
    return Savings(lines, call_s, _bars(sides, lines))


# --- what is kept of calls ------------------------------------------------------------------------------------


def _kept(store: Store, summary: CallSummary) -> KeptCall:
    call_id = summary.call.call_id
    bill = store.usage_rows(call_id=call_id)
    heard = [row for row in bill if row.usage.stage == "stt" and row.cost]
    last_s = max((row.usage.ended_at_ms / 1000 for row in bill), default=0.0)
    return KeptCall(
        asked(store.turns(call_id), store.events(call_id)),
        summary.call.call_s if summary.call.call_s is not None else last_s,
        {stage: model for stage in _PAID if (model := _model(bill, stage)) is not None},
        sum((row.cost or _NOTHING for row in heard), _NOTHING),
        sum((row.usage.quantities.get("audio_s", _NOTHING) for row in heard), _NOTHING),
    )


def asked(turns: Iterable[TurnRow], events: Iterable[EventRow]) -> list[Asked]:
    """Return the turns that were said and answered, and whether something was being arranged then."""
    from repartee.session.tiers import Standing  # noqa: PLC0415 - Pipecat takes seconds to import
    from repartee.simulator.savings import Asked  # noqa: PLC0415

    spoken = [turn for turn in turns if turn.user_text]
    arranging: set[int] = set()
    for event in events:
        if event.kind == "reply.tier" and OPEN_GOAL in {event.data.get("why"), event.data.get("not_cached")}:
            before = [
                t.turn_id for t in spoken if t.started_at_ms is not None and t.started_at_ms <= event.at_ms
            ]
            arranging.update(before[-1:])
    return [
        Asked(turn.user_text, answer, Standing(open_goal=turn.turn_id in arranging))
        for turn in spoken
        if (answer := f"{turn.heard_text} {turn.unheard_text}".strip())
    ]


def _model(bill: Iterable[LedgerRow], stage: str) -> str | None:
    """Return the model that did a stage of a call, the large one of two: the one that cost most."""
    cost: Counter[str] = Counter()
    for row in bill:
        usage = row.usage
        if usage.stage == stage and usage.purpose == "turn" and usage.provider in _PAID[stage]:
            cost[f"{usage.provider}:{usage.model}"] += int((row.cost or _NOTHING) * 10**9)
    return max(cost, key=lambda name: cost[name]) if cost else None


def _as_answered(agent: Agent, calls: Sequence[KeptCall]) -> Agent:
    """Return the agent with the models that answered its calls.

    Raises:
        ConfigError: A stage ran on the operator's own machines in all of them.
    """
    found: dict[str, str] = {}
    for stage in _PAID:
        models = Counter(call.models[stage] for call in calls if stage in call.models)
        if not models:
            what = "voice" if stage == "tts" else "language model"
            raise ConfigError(
                f"the {what} of these calls was your own: nothing was paid for it that could have been saved; "
                "the other figures are in `repartee costs`"
            )
        found[stage] = models.most_common(1)[0][0]
    if found["llm"] == agent.routing.small:
        # All that was not cached was simple: the large model was never asked, and the agent file names it.
        wished = agent.models.llm or USUAL_MODEL
        found["llm"] = wished if isinstance(wished, str) else wished[0]
    return agent.model_copy(update={"models": agent.models.model_copy(update=found)})


# --- holding them again ---------------------------------------------------------------------------------------


async def _replayed(
    agent: Agent, calls: Sequence[KeptCall], settings: Settings
) -> dict[SideName, tuple[Sums, Sums]]:
    """Return what each side used: in the calls, and before the first."""
    from repartee.simulator.providers import SimulatorConfig  # noqa: PLC0415
    from repartee.simulator.savings import SIDES, Replay, Sums  # noqa: PLC0415

    keys = ("openai_api_key", "elevenlabs_api_key", "cartesia_api_key")
    # None of the real ones is needed, and none shall be sent anywhere.
    there = settings.model_copy(update={name: SecretStr("simulated") for name in keys})
    turns = sum(len(call.turns) for call in calls)
    sides: dict[SideName, tuple[Sums, Sums]] = {}
    with tempfile.TemporaryDirectory(prefix="repartee-savings-") as folder, _progress() as progress:
        config = SimulatorConfig(profile="instant")
        task = progress.add_task("holding the calls again", total=turns * len(SIDES))
        async with Replay.start(agent, config, there, Path(folder)) as replay:
            for side in SIDES:
                used, ahead = Sums(), Sums()
                for call in calls:
                    held = await replay.hold(side, call.turns, lambda: progress.advance(task))
                    used, ahead = used + held.sums, ahead + held.prepared
                sides[side] = used, ahead
    return sides


def _progress() -> Progress:
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*parts, console=out, transient=True)


# --- the table ------------------------------------------------------------------------------------------------


def _lines(sides: dict[SideName, tuple[Sums, Sums]], calls: Sequence[KeptCall]) -> list[Line]:
    names: dict[SideName, str] = {
        "off": "answered with nothing saved",
        "caching": "answered with the cache",
        "on": "answered with cache and routing",
    }
    off = sides["off"][0].usd
    lines = [
        _answered(names[side], used, None if side == "off" else off) for side, (used, _) in sides.items()
    ]
    call_s = sum((Decimal(call.call_s) for call in calls if call.sent_s), _NOTHING)
    sent_s = sum((call.sent_s for call in calls), _NOTHING)
    heard = sum((call.heard_usd for call in calls), _NOTHING)
    if not sent_s:
        return lines
    whole = heard * call_s / sent_s
    last = lines[-1]
    return [
        *lines,
        Line("heard, had all audio been sent", whole, audio_s=call_s),
        Line("heard, what the voice gate sent", heard, audio_s=sent_s, against=whole),
        Line("together, with nothing saved", off + whole, lines[0].unpriced),
        Line("together, with everything saved", last.cost + heard, last.unpriced, against=off + whole),
    ]


def _answered(name: str, used: Sums, against: Decimal | None) -> Line:
    return Line(
        name,
        used.usd,
        used.unpriced,
        used.requests["llm"],
        used.quantities["tokens_in"] + used.quantities["tokens_out"],
        used.quantities["tokens_cached"],
        used.quantities["characters"],
        against=against,
    )


def _cells(line: Line, call_s: float) -> tuple[str, ...]:
    kept = f" ({line.tokens_cached:,} cached)" if line.tokens_cached else ""
    more = f" + {line.unpriced} UNKNOWN" if line.unpriced else ""
    return (
        line.name,
        "" if line.requests is None else str(line.requests),
        "" if line.tokens is None else f"{line.tokens:,}{kept}",
        "" if line.characters is None else f"{line.characters:,}",
        "" if line.audio_s is None else f"{line.audio_s / 60:.1f} min",
        usd(line.cost) + more,
        usd(line.cost * 60 / Decimal(call_s)) if call_s else "-",
        "" if line.saved is None else f"{line.saved:.0%}",
    )


def _bars(sides: dict[SideName, tuple[Sums, Sums]], lines: Sequence[Line]) -> list[CostLine]:
    from repartee.store import CostLine  # noqa: PLC0415 - SQLAlchemy takes a while

    heard = [line.cost for line in lines if line.name.startswith("heard")] or [_NOTHING, _NOTHING]
    found = []
    named: dict[SideName, str] = {"off": "nothing saved", "caching": "cache", "on": "cache and routing"}
    for side, name in named.items():
        costs = {**sides[side][0].costs, "stt": heard[0 if side == "off" else 1]}
        found += [CostLine((name, stage), 1, cost, _NOTHING, 0, 0.0) for stage, cost in costs.items()]
    return found


def table(lines: Sequence[Line], call_s: float) -> tuple[list[str], list[list[Any]]]:
    """Return the heads and rows for a spreadsheet."""
    heads = ["what", "model_requests", "tokens", "tokens_cached", "characters", "audio_s", "cost_usd"]
    rows = [
        [
            line.name,
            *("" if value is None else value for value in (line.requests, line.tokens, line.tokens_cached)),
            "" if line.characters is None else line.characters,
            "" if line.audio_s is None else round(line.audio_s, 3),
            f"{round(line.cost, 9):f}",
            line.unpriced,
            f"{round(line.cost * 60 / Decimal(call_s), 9):f}" if call_s else "",
            "" if line.saved is None else f"{line.saved:.4f}",
        ]
        for line in lines
    ]
    return [*heads, "unknown_prices", "usd_per_minute", "saved"], rows
