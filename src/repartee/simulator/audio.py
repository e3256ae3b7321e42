"""Sound files, levels, and the sound of a quiet room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from repartee.errors import ConfigError

Pcm = npt.NDArray[np.int16]
FRAME_S = 0.02
END_DB = 30
NOISE_SIGMA = 12.0
"""-69 dBFS: what a good microphone in a quiet room sends."""


def read_audio(path: Path, rate_hz: int) -> Pcm:
    """Read any sound file as mono at a rate.

    Raises:
        ConfigError: It is missing or no audio.
    """
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise ConfigError(f"{path} is no sound file that can be read; WAV, FLAC, OGG and MP3 are") from error
    mono = soxr.resample(audio.mean(axis=1), rate, rate_hz)
    return np.asarray(mono * 32767).clip(-32768, 32767).astype(np.int16)


def end_of_speech(pcm: Pcm, rate_hz: int) -> int:
    """Return the sample after the last sound, by level: 30 dB below the loudest 20 ms."""
    size = int(rate_hz * FRAME_S)
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
    if not len(frames):
        return len(pcm)
    level = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-END_DB / 20))
    return int((loud[-1] + 1) * size) if loud.size else len(pcm)


def noise_floor(rate_hz: int, seconds: float = 2.0) -> Pcm:
    """Return the noise of a quiet room, the same every time."""
    noise = np.random.default_rng(0).normal(0.0, NOISE_SIGMA, int(rate_hz * seconds))
    return noise.astype(np.int16)
