"""What every endpoint shares: waiting as the profile says, failing on demand, booking the bill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from repartee.simulator.providers.bill import Bill, Entry
from repartee.simulator.providers.library import RATE_HZ, Heard, SpeechLibrary
from repartee.simulator.providers.profiles import Draws, Profile, Stage
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
        library: What can be recognised; None recognises nothing.
    """

    def __init__(
        self, profile: Profile, draws: Draws, bill: Bill, replies: Replies, library: SpeechLibrary | None
    ) -> None:
        self.profile = profile
        self.bill = bill
        self.replies = replies
        self.faults: list[Fault] = []
        self.waiting = 0
        """Requests that are being waited upon."""
        self._draws = draws
        self._library = library
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recognise")

    def close(self) -> None:
        """End the work."""
        self._executor.shutdown(wait=False, cancel_futures=True)
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
        if self._library is None or not len(pcm):
            return Heard("", (), complete=False)
        library = self._library

        def work() -> Heard:
            sound = pcm if rate_hz == RATE_HZ else soxr.resample(pcm, rate_hz, RATE_HZ)
            return library.recognise(np.asarray(sound, dtype=np.float32))

        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
