"""Finds the machine's level of degradation: from what its processes tell, its processors, and its providers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from repartee.conversation.degradation import Degradation, FirstTokens, Level, Load
from repartee.processors import Usage
from repartee.providers.breakers import State
from repartee.providers.shared import BreakerKey
from repartee.telemetry.load import LoadBoard, LoopLag

log = structlog.get_logger()
JUDGE_S = 1.0
BreakerStates = Callable[[], Mapping[BreakerKey, State]]


def dead_stages(states: Mapping[BreakerKey, State]) -> frozenset[str]:
    """Return the operations of which every key that was ever asked is left alone now."""
    alive = {key.operation for key, state in states.items() if state in ("closed", "half_open")}
    return frozenset(key.operation for key in states) - alive


class LoadWatch:
    """Judges once a second and tells every process of the machine.

    Args:
        board: Where processes tell their load, and hear the level.
        breakers: Returns how the providers' breakers stand; None knows of none.
        pinned: A level that holds whatever is measured; None measures.
        calls: Returns how many calls there are here; None knows of none, and is as if there were some.
        cpu: Returns the share of the processors used since it was last asked; None measures.
        clock_s: Monotonic.
    """

    def __init__(
        self,
        board: LoadBoard,
        *,
        breakers: BreakerStates | None = None,
        pinned: int | None = None,
        calls: Callable[[], int] | None = None,
        cpu: Callable[[], float] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._breakers = breakers
        self._pinned = pinned
        self._calls = calls
        self._cpu = cpu or Usage()
        self._clock_s = clock_s
        self._lag = LoopLag()
        self._tokens = FirstTokens()
        self._seen: dict[int, float] = {}
        """The newest first token that was counted, by process."""
        self._degradation = Degradation()
        self.level = Level(pinned or 0)
        self.load = Load()
        """What was measured last."""
        self.changes = 0
        self.before_opening: Callable[[], Awaitable[None]] | None = None
        """Awaited when people are let in again, before anybody hears of it."""

    @property
    def closed(self) -> bool:
        """Whether nobody new is let in."""
        return self.level >= Level.CLOSED

    async def run(self) -> None:
        """Judge until cancelled."""
        self._lag.start()
        try:
            while True:
                # Asked here: what psutil compares with is kept for each thread.
                closed = self.closed
                await asyncio.to_thread(self.judge, self._cpu(), self._lag.p95_ms())
                if closed and not self.closed and self.before_opening is not None:
                    await self.before_opening()
                await asyncio.to_thread(self.tell)
                await asyncio.sleep(JUDGE_S)
        finally:
            self._lag.stop()
            self._board.leave(os.getpid())

    def judge(self, cpu: float, lag_ms: float) -> Level:
        """Take what was measured here, read what the others tell, and judge; blocks for the files.

        Args:
            cpu: Share of the machine's processors that is used.
            lag_ms: This process's own lag.
        """
        now_s = self._clock_s()
        self.load = self._measure(cpu, lag_ms, now_s)
        self._degradation = self._degradation.judge(self.load, now_s)
        level = self._measured() if self._pinned is None else Level(self._pinned)
        if level is not self.level:
            self.changes += 1
            log.warning(
                "load.level",
                level=level.name,
                before=self.level.name,
                why=list(self._degradation.why),
                lag_ms=round(self.load.lag_ms, 1),
                cpu=round(self.load.cpu, 2),
            )
            self.level = level
        return level

    def _measured(self) -> Level:
        """Return the level. Closing spares the calls there are: with none of them, somebody is let in."""
        level = self._degradation.level
        return Level.PLAIN if level is Level.CLOSED and self._calls and not self._calls() else level

    def tell(self) -> None:
        """Tell the others what was judged; blocks for the file."""
        self._board.tell_level(int(self.level), self._degradation.why)

    def _measure(self, cpu: float, own_lag_ms: float, now_s: float) -> Load:
        loads = self._board.loads()
        for load in loads:
            newest = self._seen.get(load.pid, 0.0)
            for at_s, took_ms in load.first_tokens:
                if at_s > newest:
                    self._tokens.add(at_s, took_ms)
            self._seen[load.pid] = max((at_s for at_s, _ in load.first_tokens), default=newest)
        self._seen = {pid: at_s for pid, at_s in self._seen.items() if any(x.pid == pid for x in loads)}
        lag_ms = max([own_lag_ms, *(load.lag_ms for load in loads)])
        down = bool(self._breakers and dead_stages(self._breakers()))
        return Load(lag_ms, cpu, self._tokens.ratio(now_s), down)
