"""Measures the prosody of a turn: loudness, pitch, pace, pauses. Signal processing; no model, and nothing is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from repartee.conversation.tone import Prosody

RATE_HZ = 16_000
FRAME, HOP = 640, 160
"""40 ms every 10 ms."""
HOP_S = HOP / RATE_HZ
FULL_SCALE = 32768.0
BELOW_PEAK_DB = 25.0
"""A frame this far below the loudest is silence,"""
ABOVE_NOISE_DB = 6.0
"""and so is one this little above the noise,"""
LEAST_RANGE_DB = 10.0
"""which is never taken to be nearer to the voice than this: who speaks without a pause leaves no noise alone."""
QUIETEST_DB = -60.0
PITCH_HZ = (70.0, 400.0)
VOICED = 0.5
"""Correlation with itself, one period later, from which a frame has a pitch."""
NEARLY = 0.85
LEAST_VOICED = 10


def measure(pcm: npt.NDArray[np.int16], text: str) -> Prosody | None:
    """Return the prosody of 16 kHz mono audio and the words in it; None where there is no voice in it."""
    if len(pcm) < FRAME * 2:
        return None
    samples = pcm.astype(np.float64) / FULL_SCALE
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    levels = 10 * np.log10((frames**2).mean(axis=1) + 1e-10)
    peak_db, noise_db = (float(np.quantile(levels, share)) for share in (0.98, 0.1))
    floor_db = max(
        peak_db - BELOW_PEAK_DB, min(noise_db + ABOVE_NOISE_DB, peak_db - LEAST_RANGE_DB), QUIETEST_DB
    )
    loud = levels > floor_db
    if loud.sum() < LEAST_VOICED:
        return None
    first, last = np.flatnonzero(loud)[[0, -1]]
    said = slice(int(first), int(last) + 1)
    voiced_s = float(loud.sum()) * HOP_S
    return Prosody(
        voiced_s=round(voiced_s, 3),
        loudness_db=round(float(np.median(levels[loud])), 2),
        pitch_hz=_pitch_hz(frames[loud]),
        letters_per_s=round(sum(map(str.isalnum, text)) / max(0.1, voiced_s), 2),
        pauses=round(1 - float(loud[said].mean()), 3),
    )


def _pitch_hz(frames: Any) -> float | None:
    """Return the median pitch of the frames that have one, by autocorrelation."""
    windowed = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(FRAME)
    size = 2 * FRAME
    power = np.abs(np.fft.rfft(windowed, size, axis=1)) ** 2
    correlation = np.fft.irfft(power, size, axis=1)[:, :FRAME]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(FRAME), size)) ** 2, size)[:FRAME]
    shortest, longest = int(RATE_HZ / PITCH_HZ[1]), int(RATE_HZ / PITCH_HZ[0])
    lags = slice(shortest - 1, longest + 1)
    alike = correlation[:, lags] / (correlation[:, :1] + 1e-12) / (window[lags] / window[0])
    inner = alike[:, 1:-1]
    # Only hills: near the lag of zero everything is alike.
    hills = np.where((inner > alike[:, :-2]) & (inner >= alike[:, 2:]), inner, 0.0)
    top = hills.max(axis=1)
    # The first hill nearly as high as the highest: twice a period is as alike as one.
    first = (hills >= NEARLY * top[:, None]).argmax(axis=1)
    voiced = top > VOICED
    if voiced.sum() < LEAST_VOICED:
        return None
    return round(float(np.median(RATE_HZ / (first[voiced] + shortest))), 1)
