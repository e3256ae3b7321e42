"""What is read off a voice's audio: how loud it is, and how long one waits before it sounds.

Loudness is that of ITU-R BS.1770-4 for one channel: the K weighting, then the mean of 400 ms blocks that are neither
silence nor 10 LU below the others. The weighting is applied to the spectrum, with the response of the
recommendation's two filters at the audio's own rate, which is the same as filtering sample by sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]
BLOCK_S, STEP_S = 0.4, 0.1
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = 10.0
OFFSET_DB = -0.691
SILENT_DBFS = -50.0
"""Quieter than this is not yet the voice: breath and the noise of a room are below it, soft consonants above."""
FRAME_S = 0.005
FULL_SCALE = 32768.0
CLIPPED = 32_700
# The two filters of BS.1770-4 as analogue prototypes: centre in Hz, quality, gain in dB.
SHELF_HZ, SHELF_Q, SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
PASS_HZ, PASS_Q = 38.13547087602444, 0.5003270373238773


def loudness_lufs(pcm: Pcm, rate_hz: int) -> float | None:
    """Return the integrated loudness of 16-bit mono audio; None where no block of 400 ms is heard."""
    weighted = _weighted(pcm.astype(np.float64) / FULL_SCALE, rate_hz)
    block, step = int(BLOCK_S * rate_hz), int(STEP_S * rate_hz)
    if len(weighted) < block:  # a word: it is one block, filled up with silence
        weighted = np.pad(weighted, (0, block - len(weighted)))
    sums = np.concatenate(([0.0], np.cumsum(weighted**2)))
    starts = np.arange(0, len(weighted) - block + 1, step)
    powers = (sums[starts + block] - sums[starts]) / block
    heard = powers[_lufs(powers) > ABSOLUTE_GATE_LUFS]
    if not len(heard):
        return None
    gate = _lufs(heard.mean()) - RELATIVE_GATE_LU
    return float(_lufs(heard[_lufs(heard) > gate].mean()))


def silence_ms(pcm: Pcm, rate_hz: int) -> tuple[float, float]:
    """Return how long one waits before the first sound and after the last one; all of it where nothing sounds."""
    frame = int(FRAME_S * rate_hz)
    samples = pcm[: len(pcm) // frame * frame].reshape(-1, frame).astype(np.float64) / FULL_SCALE
    levels = np.sqrt((samples**2).mean(axis=1))
    loud = np.flatnonzero(levels > 10 ** (SILENT_DBFS / 20))
    whole_ms = len(pcm) / rate_hz * 1000
    if not len(loud):
        return whole_ms, whole_ms
    return float(loud[0]) * FRAME_S * 1000, whole_ms - float(loud[-1] + 1) * FRAME_S * 1000


def clipped(pcm: Pcm) -> float:
    """Return which share of the samples is at the limit of what 16 bits hold."""
    return float((np.abs(pcm.astype(np.int32)) >= CLIPPED).mean()) if len(pcm) else 0.0


def _lufs(power: Any) -> Any:
    return OFFSET_DB + 10 * np.log10(np.maximum(power, 1e-12))


def _weighted(samples: Floats, rate_hz: int) -> Floats:
    size = 1 << int(
        np.ceil(np.log2(max(2, len(samples) + rate_hz // 4)))
    )  # the filters ring on: no wrapping around
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    spectrum = np.fft.rfft(samples, size) * _shelf(z, rate_hz) * _high_pass(z, rate_hz)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(samples)])


def _shelf(z: Any, rate_hz: int) -> Any:
    k = np.tan(np.pi * SHELF_HZ / rate_hz)
    high = 10 ** (SHELF_DB / 20)
    band = high**0.4996667741545416
    b0, b1, b2 = high + band * k / SHELF_Q + k * k, 2 * (k * k - high), high - band * k / SHELF_Q + k * k
    return (b0 + b1 * z + b2 * z * z) / _poles(z, k, SHELF_Q)


def _high_pass(z: Any, rate_hz: int) -> Any:
    k = np.tan(np.pi * PASS_HZ / rate_hz)
    # As the recommendation's table has it: the numerator is 1, -2, 1, whatever the poles' scale.
    scale = 1 + k / PASS_Q + k * k
    return (1 - 2 * z + z * z) * scale / _poles(z, k, PASS_Q)


def _poles(z: Any, k: float, q: float) -> Any:
    return 1 + k / q + k * k + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z
