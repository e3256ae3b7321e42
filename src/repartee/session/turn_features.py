"""What the end-of-turn model is shown of a sound: Whisper's log-mel spectrogram of 8 s, silence before the speech.

Pipecat's makes all of it in double precision, of which the silence that fills up most turns is more than half.
The result is the same to three digits after the point: `tests/session/test_scoring.py`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from pipecat.audio.turn.smart_turn._whisper_features import _HANN_WINDOW, _MEL_FILTERS

Samples = npt.NDArray[np.float32]
SAMPLES = 8 * 16_000
FRAMES = 800
SIZE, HOP = 400, 160
HALF = SIZE // 2
LEAST_POWER = 1e-10
LEAST_VARIANCE = 1e-7
_WINDOW = _HANN_WINDOW.astype(np.float32)
_FILTERS = _MEL_FILTERS.astype(np.float32)


def log_mel(pcm: Samples) -> Samples:
    """Return the spectrogram.

    Args:
        pcm: 16 kHz, -1 to 1; of more than 8 s the last 8.

    Returns:
        80 bands by 800 frames of 10 ms.
    """
    pcm = pcm[-SAMPLES:] if len(pcm) >= SIZE else np.pad(pcm, (SIZE - len(pcm), 0))
    before = SAMPLES - len(pcm)
    mean = float(pcm.sum(dtype=np.float64)) / SAMPLES
    variance = float(np.dot(pcm, pcm)) / SAMPLES - mean * mean
    scale = 1.0 / float(np.sqrt(max(0.0, variance) + LEAST_VARIANCE))
    silent = np.float32(-mean * scale)
    # The frames that are within the silence before are all the same.
    same = max(0, (before - HALF) // HOP + 1) if before >= HALF else 0
    begin = max(0, same * HOP - HALF)
    sound = np.empty(SAMPLES - begin, np.float32)
    sound[: before - begin] = silent
    np.multiply(pcm - np.float32(mean), np.float32(scale), out=sound[before - begin :])
    left = HALF - same * HOP + begin
    sound = np.pad(sound, (left, HALF), mode="reflect")
    bands = np.empty((len(_FILTERS[0]), FRAMES), np.float32)
    bands[:, same:] = _bands(sliding_window_view(sound, SIZE)[::HOP][: FRAMES - same]).T
    if same:
        bands[:, :same] = _bands(np.full((1, SIZE), silent, np.float32)).T
    np.maximum(bands, bands.max() - 8.0, out=bands)
    return (bands + np.float32(4.0)) * np.float32(0.25)


def _bands(frames: Samples) -> Samples:
    spectrum = np.fft.rfft(frames * _WINDOW, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log10(np.maximum(power @ _FILTERS, np.float32(LEAST_POWER)))
