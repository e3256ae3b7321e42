"""What every endpoint shares: waiting as the profile says, failing on demand, booking the bill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from repartee.simulator.providers.bill import Bill, Entry
from repartee.simulator.providers.library import Heard
from repartee.simulator.providers.profiles import Draws, Profile, Stage
from repartee.simulator.providers.recogniser import NOTHING, Recogniser
from repartee.simulator.providers.replies import Replies

STALL_S = 10.0
FAULTS = ("error", "rate_limit", "stall", "cut")


class FaultError(Exception):
    """The request fails by order."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass
class Fault:
    """A fault for the next requests of a stage: "error" 500, "rate_limit" 429, "stall", "cut" half way."""

    stage: Stage
    kind: str
    count: int


class Desk:
    """The simulator's state.

    Args:
        profile: Latency.
        draws: Random numbers.
        bill: Where requests are booked.
        replies: What the model says.
        recogniser: Knows what can be recognised; None recognises nothing.
    """

    def __init__(
        self, profile: Profile, draws: Draws, bill: Bill, replies: Replies, recogniser: Recogniser | None
    ) -> None:
        self.profile = profile
        self.bill = bill
        self.replies = replies
        self.faults: list[Fault] = []
        self.waiting = 0
        """Requests that are being waited upon."""
        self._draws = draws
        self._recogniser = recogniser

    async def aclose(self) -> None:
        """End the work."""
        if self._recogniser is not None:
            await self._recogniser.aclose()
        self.bill.close()

    @asynccontextmanager
    async def booked(self, entry: Entry) -> AsyncIterator[Entry]:
        """Book a request however it ends; "cancelled" unless it was told otherwise."""
        try:
            yield entry
        except FaultError:
            entry.outcome = "failed"
            raise
        finally:
            self.bill.book(entry)

    async def wait(self, stage: Stage, key: str, since_s: float, extra_ms: float = 0.0) -> bool:
        """Wait until a stage would have answered; return whether the answer shall be cut half way.

        Args:
            stage: Which.
            key: What the request is about: the same key waits as long in every run.
            since_s: When the request was complete, on the monotonic clock.
            extra_ms: Added to the latency.

        Raises:
            FaultError: It fails.
        """
        cut = False
        fault = next((f for f in self.faults if f.stage == stage and f.count > 0), None)
        stall = self._draws.quantile(stage, key, "stall") < self.profile.stall_rate
        if fault is not None:
            fault.count -= 1
            stall, cut = fault.kind == "stall", fault.kind == "cut"
            if fault.kind == "rate_limit":
                raise FaultError(429, "too many requests", retry_after_s=1)
        if (fault is not None and fault.kind == "error") or (
            fault is None and self._draws.quantile(stage, key, "error") < self.profile.error_rate
        ):
            raise FaultError(500, "the server had an error")
        spread = {"stt": self.profile.stt, "llm": self.profile.llm, "tts": self.profile.tts}[stage]
        latency_s = (spread.at(self._draws.quantile(stage, key)) + extra_ms) / 1000
        latency_s += STALL_S if stall else 0.0
        self.waiting += 1
        try:
            await asyncio.sleep(max(0.0, since_s + latency_s - time.monotonic()))
        finally:
            self.waiting -= 1
        return cut

    async def recognise(self, pcm: npt.NDArray[np.float32], rate_hz: int) -> Heard:
        """Recognise mono sound of -1..1."""
        if self._recogniser is None or not len(pcm):
            return NOTHING
        return await self._recogniser.recognise(pcm, rate_hz)
