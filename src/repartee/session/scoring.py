"""The end-of-turn model: one per process, shared by all its calls."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import numpy.typing as npt
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from repartee.session.ears import Scorer
from repartee.session.turn_features import log_mel

THREADS = 2
"""With one, a pause of one call waits for those of the others (12 calls on 2 cores: 270 ms at the median)."""
NICE = 10
"""What the model's threads give way by: audio that waits behind it is heard, an answer that waits is not."""


@cache
def turn_executor() -> ThreadPoolExecutor:
    """Return the threads that questions to the model are asked from, for all calls of this process."""
    return ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="turn")


@cache
def _model_threads() -> ThreadPoolExecutor:
    # The model alone: a thread that gives way while it holds Python's lock would have everybody wait.
    return ThreadPoolExecutor(THREADS, thread_name_prefix="turn-model", initializer=_give_way)


def _give_way() -> None:
    if sys.platform == "linux":  # where each thread has a priority of its own
        os.nice(NICE)


@cache
def turn_scorer() -> Scorer:
    """Load smart-turn v3 once and return a function that scores up to 8 s of 16 kHz audio.

    Pipecat builds a model per call (40 ms on the event loop and 12 to 30 MB each).
    """
    model = LocalSmartTurnAnalyzerV3(sample_rate=16_000)._session  # noqa: SLF001 - Pipecat buffers per call

    def score(pcm: npt.NDArray[np.float32]) -> float:
        shown = {"input_features": log_mel(pcm)[np.newaxis]}
        return float(_model_threads().submit(model.run, None, shown).result()[0][0].item())

    score(np.zeros(16_000, dtype=np.float32))
    return score
