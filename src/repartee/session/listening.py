"""Silero, the model that knows voice from noise: loaded once in a process, with a memory for each call.

Pipecat loads it for each call: 35 ms in which no other call of the process is served, and 5 MB.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
from pipecat.audio.vad.silero import SileroVADAnalyzer

from repartee.session.voice import SAMPLE_RATE_HZ

Probability = Callable[[bytes], float]
"""Takes 32 ms of 16 kHz audio, 16-bit; returns how likely there is voice in it. Knows what came before."""


@cache
def _loaded() -> SileroVADAnalyzer:
    analyzer = SileroVADAnalyzer(sample_rate=SAMPLE_RATE_HZ)
    analyzer.set_sample_rate(SAMPLE_RATE_HZ)
    return analyzer


def voice_model() -> Probability:
    """Return the model with a memory of its own."""
    analyzer = copy.copy(_loaded())
    analyzer._model = copy.copy(analyzer._model)  # noqa: SLF001 - the session inside is shared, and thread-safe
    analyzer._model.reset_states()  # noqa: SLF001

    def probability(window: bytes) -> float:
        return float(np.ravel(analyzer.voice_confidence(window))[0])

    return probability
