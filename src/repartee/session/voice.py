"""Voice activity: when the caller's voice begins and when it pauses, told as early as it can be known.

Two witnesses. Silero knows voice from noise, but its probability stays up for about 100 ms after the sound has
ended. The level falls at once, but says nothing about what sounds. So voice begins when Silero says so, and
pauses when either of the two says so; it goes on again only when both do.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
WINDOW = 512
"""Samples Silero takes at once: 32 ms."""
STEP = 160
"""Samples of one level: 10 ms."""
STEP_MS = STEP * 1000 / SAMPLE_RATE_HZ
NOISE_RISE = 1.02
PEAK_FALL = 0.9985
"""Per 10 ms: a loud word is forgotten in some seconds."""
IDLE_MS = 320.0
"""In a silence this long Silero is not asked: a voice cannot begin before the level rises."""
KEPT_WINDOWS = 4
"""What it then hears first, to know what the voice came out of."""
ABSOLUTE_FLOOR = 26.0
"""-62 dBFS of 16-bit audio."""

Change = Literal["started", "stopped"]


@dataclass(frozen=True, slots=True)
class VoiceParams:
    """When voice counts.

    Attributes:
        start_probability: Silero's, from which a window is voice.
        stop_probability: Silero's, below which a window is not.
        start_ms: Voice this long is a beginning.
        quiet_ms: A level this long down is a pause.
        still_ms: Windows without voice this long are a pause, whatever the level.
        below_peak_db: The level is down this far below the voice's own peak.
        above_noise_db: Or within this much of the noise.
    """

    start_probability: float = 0.7
    stop_probability: float = 0.35
    start_ms: float = 32.0
    quiet_ms: float = 60.0
    still_ms: float = 64.0
    below_peak_db: float = 32.0
    above_noise_db: float = 8.0


class VoiceActivity:
    """Finds voice in 16 kHz mono audio.

    Args:
        probability: Silero: takes 512 samples as bytes, returns 0..1.
        params: When voice counts.
    """

    def __init__(self, probability: Callable[[bytes], float], params: VoiceParams | None = None) -> None:
        self._probability = probability
        self._params = params or VoiceParams()
        self._window, self._step = bytearray(), bytearray()
        self._unasked: deque[bytes] = deque(maxlen=KEPT_WINDOWS)
        self._speaking = False
        self._voiced_ms = self._still_ms = self._quiet_ms = self._loud_ms = 0.0
        self._noise, self._peak = ABSOLUTE_FLOOR, 0.0
        self._above_noise = 10 ** (self._params.above_noise_db / 20)
        self._below_peak = 10 ** (-self._params.below_peak_db / 20)

    @property
    def speaking(self) -> bool:
        """Whether voice sounds."""
        return self._speaking

    @property
    def silent_ms(self) -> float:
        """How long ago the last sound of the voice was."""
        return self._quiet_ms

    @property
    def rests(self) -> bool:
        """Whether there has been no sound for so long that none can be a voice going on."""
        return not self._speaking and self._quiet_ms >= IDLE_MS

    @property
    def voiced_ms(self) -> float:
        """How long voice had sounded when it was told of."""
        return self._voiced_ms

    def hear(self, pcm: bytes) -> Change | None:
        """Take audio; say whether voice has begun or paused with it."""
        self._step += pcm
        if steps := len(self._step) // (STEP * 2):
            block, self._step = bytes(self._step[: steps * STEP * 2]), self._step[steps * STEP * 2 :]
            samples = np.frombuffer(block, dtype=np.int16).astype(np.float32)
            for at in range(0, steps * STEP, STEP):
                self._level(samples[at : at + STEP])
        self._window += pcm
        while len(self._window) >= WINDOW * 2:
            block, self._window = bytes(self._window[: WINDOW * 2]), self._window[WINDOW * 2 :]
            self._unasked.append(block)
        if not self.rests:
            while self._unasked:
                self._voice(self._probability(self._unasked.popleft()))
        return self._change()

    def stop(self) -> None:
        """The audio has ceased: there is no voice."""
        self._speaking = False
        self._voiced_ms = self._loud_ms = 0.0

    def _level(self, samples: npt.NDArray[np.float32]) -> None:
        level = math.sqrt(float(samples.dot(samples)) / STEP)  # a third of what numpy's mean takes
        self._noise = max(1.0, min(level, self._noise * NOISE_RISE)) if not self._speaking else self._noise
        self._peak = (
            max(level, self._peak * PEAK_FALL) if self._speaking or level > self._peak else self._peak
        )
        floor = max(
            ABSOLUTE_FLOOR,
            self._noise * self._above_noise,
            self._peak * self._below_peak if self._speaking else 0.0,
        )
        if level > floor:
            self._loud_ms += STEP_MS
            self._quiet_ms = 0.0
        else:
            self._loud_ms = 0.0
            self._quiet_ms += STEP_MS

    def _voice(self, probability: float) -> None:
        window_ms = WINDOW * 1000 / SAMPLE_RATE_HZ
        self._voiced_ms = (
            self._voiced_ms + window_ms if probability >= self._params.start_probability else 0.0
        )
        self._still_ms = self._still_ms + window_ms if probability < self._params.stop_probability else 0.0

    def _change(self) -> Change | None:
        params = self._params
        if not self._speaking:
            if self._voiced_ms >= params.start_ms and self._quiet_ms < STEP_MS * 3:
                self._speaking = True
                self._still_ms = 0.0
                return "started"
        elif self._quiet_ms >= params.quiet_ms or self._still_ms >= params.still_ms:
            self._speaking = False
            self._voiced_ms = 0.0
            self._peak *= 0.7
            return "stopped"
        return None
