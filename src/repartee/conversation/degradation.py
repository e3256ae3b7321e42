"""What is given up under load or without help, in which order, and when it is taken back. Pure.

Levels are ordered: each has all that those below it have. A level is entered when one of its limits has been passed
for some time, and left when all have been kept with room to spare for longer, so that it does not go to and fro. What
a level changes in a call is taken when nobody speaks, never in the middle of an utterance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from statistics import median

from repartee.conversation.policies import Policies


class Level(IntEnum):
    """How much is given up."""

    NORMAL = 0
    LEAN = 1
    """No audio is made for replies that may be thrown away, fewer such replies; ends of turns are asked for less."""
    SMALL = 2
    """The small model, one-sentence answers, fillers only where their audio is kept."""
    PLAIN = 3
    """Ends of turns by silence alone, no replies ahead of time, nothing beside the calls."""
    CLOSED = 4
    """Nobody new is let in."""
    DOWN = 5
    """A stage has nobody left to ask: calls are ended with a recorded word."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is judged.

    Attributes:
        lag_ms: How late event loops are, 95th percentile of the last seconds, the latest process.
        cpu: Share of the machine's processors that is used, 0 to 1.
        first_token: First tokens' 95th percentile now, in multiples of what it was before; None while unknown.
        down: A stage has no provider left.
    """

    lag_ms: float = 0.0
    cpu: float = 0.0
    first_token: float | None = None
    down: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One level's limits; None limits nothing. Any of them passed enters it."""

    level: Level
    lag_ms: float | None = None
    cpu: float | None = None
    first_token: float | None = None
    down: bool = False
    enter_s: float = 10.0
    leave_s: float = 60.0

    def over(self, load: Load, share: float = 1.0) -> tuple[str, ...]:
        """Return which limits are passed; with a share, which are not kept with that much room."""
        measured = (
            ("lag", self.lag_ms, load.lag_ms),
            ("cpu", self.cpu, load.cpu),
            ("first_token", self.first_token, load.first_token),
        )
        passed = [
            name
            for name, limit, value in measured
            if limit is not None
            and value is not None
            and (value > limit if share == 1.0 else value >= limit * share)
        ]
        return (*passed, *(("down",) if self.down and load.down else ()))


STEPS = (
    Step(Level.LEAN, lag_ms=30.0, cpu=0.85),
    Step(Level.SMALL, lag_ms=40.0, first_token=1.5),
    Step(Level.PLAIN, lag_ms=80.0, cpu=0.92),
    Step(Level.CLOSED, lag_ms=160.0, cpu=0.95),
    # A breaker that opens for the first time does so for five seconds: that alone ends no call.
    Step(Level.DOWN, down=True, enter_s=8.0, leave_s=0.0),
)
LEAVE_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class _Standing:
    """Whether a step is entered, and since when the opposite holds."""

    entered: bool = False
    since_s: float | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Degradation:
    """Where a machine stands on the ladder; `judge` returns where it stands next."""

    steps: tuple[Step, ...] = STEPS
    leave_share: float = LEAVE_SHARE
    standings: tuple[_Standing, ...] = (_Standing(),) * len(STEPS)

    @property
    def level(self) -> Level:
        """The highest level that is entered."""
        entered = (step.level for step, standing in self._pairs() if standing.entered)
        return max(entered, default=Level.NORMAL)

    @property
    def why(self) -> tuple[str, ...]:
        """The limits that the present level was entered for."""
        return next((s.why for step, s in reversed(self._pairs()) if s.entered), ())

    def judge(self, load: Load, at_s: float) -> Degradation:
        """Take what was measured at a time on a clock that only goes forward."""
        return replace(
            self, standings=tuple(self._next(step, standing, load, at_s) for step, standing in self._pairs())
        )

    def _pairs(self) -> list[tuple[Step, _Standing]]:
        return list(zip(self.steps, self.standings, strict=True))

    def _next(self, step: Step, standing: _Standing, load: Load, at_s: float) -> _Standing:
        passed = step.over(load)
        turns = not step.over(load, self.leave_share) if standing.entered else bool(passed)
        if not turns:
            return replace(standing, since_s=None)
        since_s = at_s if standing.since_s is None else standing.since_s
        if at_s - since_s < (step.leave_s if standing.entered else step.enter_s):
            return replace(standing, since_s=since_s)
        return _Standing(entered=not standing.entered, why=() if standing.entered else passed)


# --- what a level means for a call ----------------------------------------------------------------------------

SURER = 0.6
"""The evidence that a reply ahead of time needs on a lean machine."""
UNSCORED_MS = 900.0
"""The silence that ends a turn where nothing but silence is listened to."""


def policies_at(level: Level, full: Policies) -> Policies:
    """Return what a call's core may ask at a level.

    Args:
        level: The level.
        full: The policies of a call that lacks nothing.
    """
    speculation, endpointing = full.speculation, full.endpointing
    if level >= Level.LEAN:
        surer = max(SURER, speculation.min_probability)
        speculation = replace(speculation, voiced=False, min_probability=surer)
    if level >= Level.PLAIN:
        speculation = replace(speculation, enabled=False)
        within_ms = min(endpointing.max_silence_ms, max(endpointing.min_silence_ms, UNSCORED_MS))
        endpointing = replace(endpointing, unscored_ms=within_ms)
    return replace(full, speculation=speculation, endpointing=endpointing)


# --- first tokens against what is usual -----------------------------------------------------------------------


@dataclass
class FirstTokens:
    """Times to the first token, of all calls of a machine: the newest against those before.

    Attributes:
        recent_s: What counts as now.
        usual_s: What is compared with reaches back so far; a provider that is slow for half of that is the usual one.
        least: So many are needed on either side.
        stretch: The usual is the median over stretches of so many, so that a slow minute does not pass for usual.
    """

    recent_s: float = 60.0
    usual_s: float = 900.0
    least: int = 8
    stretch: int = 20
    _times: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, at_s: float, took_ms: float) -> None:
        """Take one."""
        self._times.append((at_s, took_ms))

    def ratio(self, now_s: float) -> float | None:
        """Return the newest ones' 95th percentile in multiples of the usual; None while too little is known."""
        while self._times and self._times[0][0] < now_s - self.usual_s:
            self._times.popleft()
        recent = [took_ms for at_s, took_ms in self._times if at_s >= now_s - self.recent_s]
        usual = [took_ms for at_s, took_ms in self._times if at_s < now_s - self.recent_s]
        if len(recent) < self.least or len(usual) < self.least:
            return None
        stretches = [p95(usual[at : at + self.stretch]) for at in range(0, len(usual), self.stretch)]
        return p95(recent) / max(1.0, median(stretches))


def p95(values: Iterable[float]) -> float:
    """Return the 95th percentile (nearest rank); 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0
