"""The end-of-turn model: one per process, shared by all its calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import numpy.typing as npt
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from repartee.session.ears import Scorer


@cache
def turn_executor() -> ThreadPoolExecutor:
    """Return the thread that the model runs on, for all calls of this process: 50 ms each time, one after another.

    A process for each core is the rule; more threads than that would only make every answer late.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="turn")


@cache
def turn_scorer() -> Scorer:
    """Load smart-turn v3 once and return a function that scores up to 8 s of 16 kHz audio.

    Pipecat builds a model per call (40 ms on the event loop and 12 to 30 MB each).
    """
    analyzer = LocalSmartTurnAnalyzerV3(sample_rate=16_000)
    analyzer.set_sample_rate(16_000)

    def score(pcm: npt.NDArray[np.float32]) -> float:
        return float(analyzer._predict_endpoint(pcm)["probability"])  # noqa: SLF001 - Pipecat buffers per call

    score(np.zeros(16_000, dtype=np.float32))
    return score
