"""`repartee eval`: scenarios held with the agent, a table while they go on, files for people and for CI."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from loguru import logger
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from repartee.agent import Agent, load_agent
from repartee.agent.definition import nearest
from repartee.cli.asking import count
from repartee.cli.stopping import Stop
from repartee.errors import ConfigError
from repartee.evals.bot import Way
from repartee.evals.comparing import Change, compare
from repartee.evals.files import Loaded, load_files
from repartee.evals.junit import junit
from repartee.evals.models import models_of
from repartee.evals.page import STATUSES, page
from repartee.evals.results import Outcome, Results, from_json
from repartee.evals.running import Runner, TypedWay
from repartee.providers import Ladder, choose_ladder
from repartee.providers.ondevice import SpeechHost
from repartee.session.typed import speechless
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.spoken import SpokenWay

VOICE_S = 60.0
TESTS = "tests"
"""The folder beside an agent file where its scenarios are looked for."""
_COLOURS = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}
_SIGNS = {"passed": "✓", "failed": "✗", "error": "!", "skipped": "-"}


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """What is evaluated.

    Attributes:
        files: Scenario files and folders of them; the folder `tests` beside the agent file when there are none.
        only: Words that a scenario's name must have one of; all are played when there are none.
        script: What a simulated model answers; None asks the agent's own.
        timeout_s: For an expectation without a time of its own.
        call: A server that is called, with spoken words; None types, in this process.
    """

    files: tuple[Path, ...]
    only: tuple[str, ...] = ()
    script: Path | None = None
    timeout_s: float = 15.0
    call: str | None = None


@dataclass(frozen=True, slots=True)
class EvalFiles:
    """What is written, and what is compared with."""

    junit: Path | None = None
    html: Path | None = None
    write: Path | None = None
    baseline: Path | None = None


def show_trouble() -> None:
    """Have Pipecat's judge say what is wrong with its model, and the rest of it be quiet."""
    told: set[str] = set()

    def tell(said: str) -> None:
        if said not in told:
            told.add(said)
            sys.stderr.write(said)

    logger.remove()
    logger.add(tell, level="ERROR", format="repartee: {message}", filter="pipecat.evals")


async def run_eval(
    settings: Settings, options: EvalOptions, files: EvalFiles, stop: Stop, out: Console
) -> bool:
    """Play the scenarios, show and write what came of them.

    Returns:
        Whether all is well: nothing failed or, with a baseline, nothing is worse than it.

    Raises:
        ConfigError: The agent file, a scenario file, the script or the baseline cannot be used.
    """
    agent = load_agent(settings.agent)
    before = from_json(files.baseline) if files.baseline is not None else None
    scenarios = _chosen(load_files(_paths(settings, options)), options.only)
    async with _runner(settings, options, agent, stop) as (runner, model):
        playing = asyncio.create_task(_play(runner, scenarios, out), name="eval")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            raise ConfigError("stopped before the end; nothing was written")
        outcomes = playing.result()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    results = Results(agent.name, agent.version, model, now, tuple(outcomes))
    changes = compare(before, results) if before is not None else ()
    if options.only:  # what was not asked for is not gone
        changes = tuple(change for change in changes if change.kind != "gone")
    _show(results, changes, out, compared=before is not None)
    _write(files, results, changes, out)
    return not any(change.kind == "worse" for change in changes) if before is not None else results.good


def _paths(settings: Settings, options: EvalOptions) -> tuple[Path, ...]:
    if options.files:
        return options.files
    folder = settings.agent.parent / TESTS
    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder {folder}; name the scenario files, as in `repartee eval conversations.yaml`"
        )
    return (folder,)


def _chosen(scenarios: tuple[Loaded, ...], only: Sequence[str]) -> list[Loaded]:
    names = [scenario.name for scenario in scenarios]
    for word in only:
        if not any(word in name for name in names):
            raise ConfigError(f"no scenario is called '{word}'{nearest(word, names)}")
    return [s for s in scenarios if not only or any(word in s.name for word in only)]


@contextlib.asynccontextmanager
async def _runner(
    settings: Settings, options: EvalOptions, agent: Agent, stop: Stop
) -> AsyncIterator[tuple[Runner, str]]:
    """Set up what calls need: a folder and a database of their own, a simulated model, the sentence model."""
    with tempfile.TemporaryDirectory(prefix="repartee-eval-", ignore_cleanup_errors=True) as folder:
        async with contextlib.AsyncExitStack() as stack:
            own = {"state_dir": Path(folder), "database_url": None, "redis_url": None, "otel_endpoint": None}
            settings = settings.model_copy(update=own)
            if options.script is not None:
                config = SimulatorConfig(profile="instant", script=options.script)
                simulator = await stack.enter_async_context(Simulator.start(config))
                vendor = {
                    "openai_api_key": SecretStr("simulated"),
                    "openai_base_url": f"{simulator.url}/v1",
                }
                settings = settings.model_copy(update=vendor)
            ladder = await choose_ladder(settings, speechless(agent))
            host: SpeechHost | None = None
            if options.call is not None or _by_meaning(ladder, agent):
                speech = options.call is not None
                host = await stack.enter_async_context(SpeechHost.start(speech=speech))
            way: Way = TypedWay(settings.agent, settings, host.url if host is not None else None)
            if options.call is not None and host is not None:
                client = await stack.enter_async_context(httpx.AsyncClient(timeout=VOICE_S))
                way = SpokenWay(options.call.rstrip("/"), host.url, client)
            timeout_ms = round(options.timeout_s * 1000)
            label = ladder.llm.label if options.script is None else f"the script {options.script.name}"
            yield Runner(way, models_of(settings, ladder), timeout_ms, stop.listen), label


def _by_meaning(ladder: Ladder, agent: Agent) -> bool:
    return ladder.llm.provider == "answers" or ladder.meaning or bool(agent.intents)


async def _play(runner: Runner, scenarios: Sequence[Loaded], out: Console) -> list[Outcome]:
    table = _Board(scenarios)
    if not out.is_terminal:
        outcomes = []
        for scenario in scenarios:
            outcomes.append(outcome := await runner.run(scenario))
            out.print(_line(outcome), soft_wrap=True)
        return outcomes
    with Live(table, console=out, refresh_per_second=8):
        for number, scenario in enumerate(scenarios):
            table.now = number

            def progress(said: str) -> None:
                table.said = said

            table.outcomes.append(await runner.run(scenario, progress))
            table.said = ""
    return table.outcomes


class _Board:
    """The table as it fills."""

    def __init__(self, scenarios: Sequence[Loaded]) -> None:
        self._scenarios = scenarios
        self.outcomes: list[Outcome] = []
        self.now = 0
        self.said = ""

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for outcome in self.outcomes:
            table.add_row(*_cells(outcome))
        left = len(self._scenarios) - len(self.outcomes)
        if left:
            name = self._scenarios[self.now].name
            table.add_row(
                Text("…", style="cyan"), name, "", Text(self.said, style="dim", overflow="ellipsis")
            )
        if left > 1:
            table.add_row("", Text(f"{left - 1} more", style="dim"))
        return table


def _cells(outcome: Outcome) -> tuple[Text, Text, Text, Text]:
    colour = _COLOURS[outcome.status]
    met = sum(criterion.passed is True for criterion in outcome.criteria)
    said = outcome.reason or f"{met} of {len(outcome.criteria)} met"
    return (
        Text(_SIGNS[outcome.status], style=colour),
        Text(outcome.scenario),
        Text(f"{outcome.seconds:.1f} s", style="dim"),
        Text(said, style="dim" if outcome.status == "passed" else colour, overflow="fold"),
    )


def _line(outcome: Outcome) -> Text:
    sign, name, took, said = _cells(outcome)
    return Text("  ").join((sign, name, took, said))


def _show(results: Results, changes: Sequence[Change], out: Console, *, compared: bool) -> None:
    for outcome in results.outcomes:
        if outcome.status == "failed":
            out.print(Text(f"\n{outcome.scenario}", style="bold"), soft_wrap=True)
            for criterion in outcome.criteria:
                if criterion.passed is False:
                    out.print(Text(f"  ✗ {criterion.name}", style="red"), soft_wrap=True)
                    out.print(Text(f"    {criterion.detail}", style="dim"), soft_wrap=True)
    for change in changes:
        colour = {"worse": "red", "better": "green", "gone": "yellow", "new": "dim"}[change.kind]
        named = " ".join(filter(None, (change.kind, change.scenario, change.criterion)))
        out.print(Text(f"{named}: {change.said}", style=colour), soft_wrap=True)
    numbers = ((results.number(status), status) for status in STATUSES)
    told = ", ".join(f"{number} {status}" for number, status in numbers if number)
    out.print(f"\n{count(len(results.outcomes), 'scenario')}: {told}", soft_wrap=True)
    if compared:
        worse = sum(change.kind == "worse" for change in changes)
        out.print(
            f"against the baseline: {worse} worse" if worse else "against the baseline: nothing is worse"
        )


def _write(files: EvalFiles, results: Results, changes: Sequence[Change], out: Console) -> None:
    texts: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (files.junit, lambda: junit(results)),
        (files.html, lambda: page(results, changes)),
        (files.write, results.to_json),
    )
    for path, text in texts:
        if path is None:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
        out.print(f"wrote {path}", markup=False, soft_wrap=True)
