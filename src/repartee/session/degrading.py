"""One call on the ladder of degradation: takes the machine's level when nobody speaks, and tells what it takes.

All calls of a process share one `LoadReporter`, which tells the machine how the process does and reads what level the
worker has found (`telemetry.load`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from repartee.conversation import Conversation, Idle, Policies
from repartee.conversation.degradation import Level, policies_at
from repartee.events import Event, HelpLost
from repartee.telemetry.load import MAX_FIRST_TOKENS, LoadBoard, LoopLag, ProcessLoad

REPORT_S = 1.0


class LoadReporter:
    """Tells how this process does while it has a call, and reads the level.

    Args:
        board: Where it is told.
        pinned: A level that holds whatever is told, to try it out; None takes what is told.
    """

    def __init__(self, board: LoadBoard, pinned: int | None = None) -> None:
        self._board = board
        self._pinned = pinned
        self._lag = LoopLag()
        self._first_tokens: deque[tuple[float, float]] = deque(maxlen=MAX_FIRST_TOKENS)
        self._listeners: list[Callable[[Level], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.level = Level(pinned or 0)

    def first_token(self, took_ms: float) -> None:
        """The large model's first token took so long."""
        self._first_tokens.append((time.monotonic(), took_ms))

    def late_ms(self) -> float:
        """Return how late this process's loop was at the most in the last seconds."""
        return self._lag.longest_ms()

    def join(self, listener: Callable[[Level], None]) -> Callable[[], None]:
        """Begin a call: tell it the level whenever that changes; return what ends that."""
        self._listeners.append(listener)
        if self._task is None:
            self._lag.start()
            self._task = asyncio.create_task(self._run(), name="load")

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None
                self._lag.stop()
                # The process may stand by for long: what was true now says nothing of its next call.
                self.level = Level(self._pinned or 0)
                self._first_tokens.clear()
                self._board.leave(os.getpid())

        return leave

    async def _run(self) -> None:
        while True:
            load = ProcessLoad(
                os.getpid(), time.monotonic(), round(self._lag.p95_ms(), 2), tuple(self._first_tokens)
            )
            level = Level(await asyncio.to_thread(self._exchange, load))
            if level is not self.level:
                self.level = level
                for listener in list(self._listeners):
                    listener(level)
            await asyncio.sleep(REPORT_S)

    def _exchange(self, load: ProcessLoad) -> int:
        self._board.tell(load)
        return self._board.level().level if self._pinned is None else self._pinned


@lru_cache(maxsize=1)
def load_reporter(state_dir: Path, pinned: int | None) -> LoadReporter:
    """Return this process's reporter."""
    return LoadReporter(LoadBoard(state_dir), pinned)


class Adaptable(Protocol):
    """Whose policies may change between two utterances."""

    policies: Policies

    def submit(self, event: Event) -> None:
        """Take a fact."""


class Degrading:
    """The level of one call.

    Args:
        reporter: Of this process.
        mark: Marks the timeline.
        clock_ms: The call's clock.
    """

    def __init__(
        self, reporter: LoadReporter, mark: Callable[..., None], clock_ms: Callable[[], float]
    ) -> None:
        self._reporter = reporter
        self._mark = mark
        self._clock_ms = clock_ms
        self._core: Adaptable | None = None
        self._full = Policies()
        self._told_down = False
        self._started: dict[int, float] = {}
        self._leave: Callable[[], None] | None = None
        self.level = Level.NORMAL
        """What holds in this call."""

    def start(self, core: Adaptable) -> None:
        """Begin, with the policies that the call has where nothing is lacking."""
        self._core, self._full = core, core.policies
        self._leave = self._reporter.join(self._changed)
        self._changed(self._reporter.level)

    def observe(self, conversation: Conversation) -> None:
        """Take the machine's level if nobody speaks; called before each step of the conversation."""
        wanted = self._reporter.level
        if wanted is self.level or self._core is None or not isinstance(conversation.state, Idle):
            return
        before, self.level = self.level, wanted
        at = policies_at(wanted, self._full)
        by_sound = self._core.policies.speculation.by_sound
        speculation = replace(at.speculation, by_sound=by_sound)  # who hears is no matter of load
        self._core.policies = replace(
            self._core.policies, speculation=speculation, endpointing=at.endpointing
        )
        self._mark("level", level=int(wanted), before=int(before))

    def late_ms(self) -> float:
        """Return how late this process's loop was at the most in the last seconds."""
        return self._reporter.late_ms()

    def small(self) -> bool:
        """Say whether the small model is to answer, shortly."""
        return self.level >= Level.SMALL

    def plain(self) -> bool:
        """Say whether ends of turns are found by silence alone, and nothing is done beside the call."""
        return self.level >= Level.PLAIN

    def marked(self, name: str, at_ms: float, values: Mapping[str, Any]) -> None:
        """Read the large model's times to the first token off the timeline."""
        reply_id = values.get("reply_id")
        if not isinstance(reply_id, int):
            return
        match name:
            case "reply.started":
                self._started = {reply_id: at_ms}
            case "reply.tier" if values.get("tier") != "large":
                self._started.pop(reply_id, None)
            case "tool.started":
                self._started.pop(reply_id, None)
            case "reply.first_text" if (began_ms := self._started.pop(reply_id, None)) is not None:
                self._reporter.first_token(at_ms - began_ms)
            case _:
                pass

    def close(self) -> None:
        """The call is over."""
        if self._leave is not None:
            self._leave()

    def _changed(self, level: Level) -> None:
        if level is Level.DOWN and not self._told_down and self._core is not None:
            self._told_down = True
            self._core.submit(HelpLost(self._clock_ms()))
