"""Holds the conversations of scenarios with an agent, each in a call of its own, and tells what came of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipecat.evals.results import (
    EvalProgress,
    EvalScriptResult,
    EvalScriptTurnProgress,
    EvalSimulationProgress,
    EvalSimulationResult,
)
from pipecat.evals.script import EvalExpectation, EvalScriptScenario
from pipecat.evals.script_session import EvalScriptSession
from pipecat.evals.session import EvalSession, EvalSessionParams
from pipecat.evals.simulation import EvalSimulationMetric, EvalSimulationScenario
from pipecat.evals.simulation_session import EvalSimulationSession

from repartee.errors import MediaError
from repartee.evals.bot import CallLine, EvalBot, TakeCall, Tell, Way
from repartee.evals.files import Loaded
from repartee.evals.models import Models
from repartee.evals.results import Criterion, Line, Outcome, Status
from repartee.session.spec import SessionSpec
from repartee.session.typed import TypedLine, run_typed
from repartee.settings import Settings

DEFAULT_TIMEOUT_MS = 15_000
_SOUND = frozenset({"vad_user_started_speaking", "vad_user_stopped_speaking", "user_backchannel"})
_NEVER = frozenset({"image", "llm_marker", "bot_backchannel"})
_TIMED = frozenset({"bot_interrupted"})
MS_PER_LETTER, SAYING_MS = 75.0, 1500
"""How long spoken words are on their way: made, said, and known to be over."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TypedWay:
    """Calls by typing, in this process.

    Attributes:
        agent_path: The agent file.
        settings: Keys; its database and its folder are the evaluation's own, nothing of the installation's.
        speech_url: The host of the sentence model, where the agent needs one.
    """

    agent_path: Path
    settings: Settings
    speech_url: str | None
    spoken: bool = False

    async def ready(self, progress: Progress) -> None:
        """Wait for nothing: a call of this process can always be begun."""

    def begin(self, tell: Tell, *, paced: bool) -> tuple[CallLine, TakeCall]:
        """Begin a call."""
        call_id = f"eval-{uuid.uuid4().hex[:12]}"
        folder = self.settings.state_dir / call_id
        folder.mkdir(parents=True)
        spec = SessionSpec(
            call_id, "eval", "", "", "agent", self.agent_path, "caller", folder, self.speech_url
        )
        line = TypedLine(tell, paced=paced)
        return line, lambda stop: run_typed(spec, self.settings, stop, line)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs scenarios.

    Attributes:
        way: How their calls are held.
        models: What plays callers and judges.
        timeout_ms: For an expectation without a time of its own.
        on_connected: Called when a harness has begun: it has taken this process's signals by then.
    """

    way: Way
    models: Models
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    on_connected: Callable[[], None] = lambda: None

    async def run(self, loaded: Loaded, progress: Progress = lambda _: None) -> Outcome:
        """Run a scenario as often as it asks for; the first run that does not pass is its outcome.

        Args:
            loaded: The scenario.
            progress: Called with what is going on, in a few words.
        """
        scenario = loaded.scenario
        if (why := cannot(loaded) or self.models.lacks(loaded)) is not None:
            return _outcome(loaded, "skipped", why)
        runs = scenario.runs if isinstance(scenario, EvalSimulationScenario) else 1
        seconds = 0.0
        for number in range(1, runs + 1):
            outcome = await self._once(loaded, _numbered(progress, number, runs))
            seconds += outcome.seconds
            if outcome.status != "passed":
                break
        return replace(outcome, seconds=round(seconds, 3))

    async def _once(self, loaded: Loaded, progress: Progress) -> Outcome:
        try:
            await self.way.ready(progress)
        except MediaError as error:
            return _outcome(loaded, "error", str(error))
        scenario = _readable(loaded.scenario, spoken=self.way.spoken)
        bot = EvalBot(
            self.way,
            greets_first=isinstance(scenario, EvalScriptScenario),
            paced=isinstance(scenario, EvalScriptScenario) and _paced(scenario),
            on_connected=self.on_connected,
        )
        began_s = time.monotonic()
        async with bot.serve() as url:
            session = self._session(loaded, scenario, url)

            @session.event_handler("on_progress")
            async def on_progress(_: object, told: EvalProgress) -> None:
                progress(_told(scenario, told))

            result = await session.run()
        seconds = round(time.monotonic() - began_s, 3)
        if bot.failure is not None:
            return _outcome(loaded, "error", str(bot.failure), seconds=seconds, lines=tuple(bot.lines))
        if isinstance(result, EvalSimulationResult):
            told = _simulated(loaded, result)
        else:
            assert isinstance(scenario, EvalScriptScenario)  # noqa: S101 - its session gave this result
            told = _scripted(loaded, scenario, result)
            said = next((line.text for line in reversed(bot.lines) if line.who == "agent"), None)
            if told.status == "failed" and said is not None:
                told = replace(told, reason=f"{told.reason}; the agent said last: {said}")
        return replace(told, seconds=seconds, lines=tuple(bot.lines))

    def _session(
        self, loaded: Loaded, scenario: EvalScriptScenario | EvalSimulationScenario, url: str
    ) -> EvalSession[EvalScriptResult] | EvalSession[EvalSimulationResult]:
        params = EvalSessionParams(default_timeout_ms=self.timeout_ms)
        judge = self.models.judge(loaded)
        if isinstance(scenario, EvalSimulationScenario):
            caller = self.models.caller(loaded)
            return EvalSimulationSession.from_scenario(
                scenario, url, params=params, judge=judge, persona_llm=caller
            )
        return EvalScriptSession.from_scenario(scenario, url, params=params, judge=judge)


# --- what can be typed ------------------------------------------------------------------------------------------


def cannot(loaded: Loaded) -> str | None:
    """Return why a scenario cannot be held by typing; None where it can."""
    scenario = loaded.scenario
    if isinstance(scenario, EvalSimulationScenario):
        return None
    if scenario.context:
        return "it begins in the middle of a conversation ('context:'), and a call begins at its beginning"
    for number, turn in enumerate(scenario.turns, 1):
        if turn.dtmf is not None:
            return f"turn {number} presses keys ('dtmf:'), which an agent here does not hear"
        if turn.image is not None:
            return f"turn {number} shows an image, which an agent here does not see"
        for expected in turn.expect:
            if expected.event in _SOUND:
                return f"turn {number} expects '{expected.event}', which takes sound; here the caller types"
            if expected.event in _NEVER:
                return f"turn {number} expects '{expected.event}', which an agent here does not do"
    return None


def _readable(
    scenario: EvalScriptScenario | EvalSimulationScenario, *, spoken: bool
) -> EvalScriptScenario | EvalSimulationScenario:
    """Return a scenario of which words go in and words come out, whatever it says of sound."""
    scenario = deepcopy(scenario)
    scenario.user_audio, scenario.user_speech = False, None
    scenario.bot_audio, scenario.transcriber = False, None
    if isinstance(scenario, EvalScriptScenario):
        for turn in scenario.turns:
            turn.audio, turn.parts = None, None
            saying_ms = SAYING_MS + round(len(turn.user or "") * MS_PER_LETTER) if spoken else 0
            for expected in turn.expect:
                if expected.event in ("response", "tts_response"):
                    expected.event = "llm_response"
                if expected.within_ms is not None:
                    expected.within_ms += saying_ms  # the harness counts from when it has sent them
    return scenario


def _paced(scenario: EvalScriptScenario) -> bool:
    """Say whether somebody speaks before the other has finished."""
    return any(
        turn.send_after is not None or any(expected.event in _TIMED for expected in turn.expect)
        for turn in scenario.turns
    )


def _numbered(progress: Progress, number: int, runs: int) -> Progress:
    return progress if runs == 1 else lambda said: progress(f"run {number} of {runs}: {said}")


# --- what came of it --------------------------------------------------------------------------------------------


def _told(scenario: EvalScriptScenario | EvalSimulationScenario, told: EvalProgress) -> str:
    if isinstance(told, EvalSimulationProgress):
        return f"turn {told.turn}: {told.text}" if told.status != "ended" else "judging"
    assert isinstance(told, EvalScriptTurnProgress)  # noqa: S101 - the other kind of the two
    assert isinstance(scenario, EvalScriptScenario)  # noqa: S101
    said = scenario.turns[told.turn_index].user or "(listens)"
    return f"turn {told.turn_index + 1} of {len(scenario.turns)}: {said}"


def _scripted(loaded: Loaded, scenario: EvalScriptScenario, result: EvalScriptResult) -> Outcome:
    criteria: list[Criterion] = []
    for index, turn in enumerate(scenario.turns):
        record = result.turns[index]
        resolved = {found.expectation_index: found for found in record.expectations}
        reasons = {failure.expectation_index: failure.reason for failure in record.failures}
        if -1 in reasons:
            criteria.append(Criterion(f"turn {index + 1}: is said in time", passed=False, detail=reasons[-1]))
        for number, expected in enumerate(turn.expect):
            found = resolved.get(number)
            detail = reasons.get(number) or (found.matched.strip() if found is not None else "not come to")
            passed = found.passed if found is not None else None
            criteria.append(Criterion(f"turn {index + 1}: {_expectation(expected)}", passed, detail))
    if result.passed:
        return _outcome(loaded, "passed", "", criteria=tuple(criteria))
    first = result.failures[0]
    status: Status = (
        "error" if first.kind in ("error", "connect_failed", "handshake_timeout", "no_judge") else "failed"
    )
    where = f"turn {first.turn_index + 1}: " if first.turn_index >= 0 else ""
    return _outcome(loaded, status, where + first.reason, criteria=tuple(criteria))


def _expectation(expected: EvalExpectation) -> str:
    event = "response" if expected.event == "llm_response" else expected.event
    if expected.absent:
        return f"no {event}"
    said = [event]
    if expected.calls:
        said.append(", ".join(call.signature for call in expected.calls if call.name))
    if expected.text_contains is not None:
        said.append(f"with '{expected.text_contains}'")
    if expected.text_excludes is not None:
        said.append(f"without '{expected.text_excludes}'")
    if expected.eval is not None:
        said.append(f"that {expected.eval}")
    return " ".join(part for part in said if part)


def _simulated(loaded: Loaded, result: EvalSimulationResult) -> Outcome:
    scenario = loaded.scenario
    assert isinstance(scenario, EvalSimulationScenario)  # noqa: S101 - its session gave this result
    wanted = {metric.name: metric for metric in scenario.metrics}
    criteria = [Criterion("success", result.succeeded, result.reason)]
    criteria += [
        Criterion(
            score.name,
            score.passed if _gates(wanted[score.name]) else None,
            score.reason,
            score.score,
        )
        for score in result.metrics
    ]
    if result.error is not None:
        return _outcome(loaded, "error", result.error, criteria=tuple(criteria))
    status: Status = "passed" if result.passed else "failed"
    if result.succeeded and all(
        score.passed or score.failure_kind == "judge_no_verdict" for score in result.metrics
    ):
        status = "passed" if result.passed else "error"
    return _outcome(loaded, status, result.failure or "", criteria=tuple(criteria))


def _gates(metric: EvalSimulationMetric) -> bool:
    return metric.measure is not None or metric.min_score is not None


def _outcome(
    loaded: Loaded,
    status: Status,
    reason: str,
    *,
    criteria: tuple[Criterion, ...] = (),
    seconds: float = 0.0,
    lines: tuple[Line, ...] = (),
) -> Outcome:
    kind: Literal["script", "simulation"] = "simulation" if loaded.simulated else "script"
    return Outcome(
        loaded.name,
        str(loaded.path),
        kind,
        status,
        reason,
        seconds,
        criteria,
        lines,
        loaded.tags,
    )
