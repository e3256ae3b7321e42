"""Whisper itself: on the GPU where there is one that CTranslate2 can use, else on the processor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import soundfile as sf
import soxr
from faster_whisper import WhisperModel

from repartee.processors import cores
from repartee.providers.ondevice.hearing import Heard, hear
from repartee.providers.ondevice.sizes import UTTERANCE, Size, Speed, keep_speed, measure, present

RATE_HZ = 16_000
THREADS = 2
SPEED_UP = 1.5
"""So much sooner two threads are done than one, at the least: not all of the work can be shared."""
CAPTION_S = 0.3
"""A piece is transcribed while it is still spoken where that takes no longer, lately, and nothing else is slowed."""
CAPTION_CORES = 2 * THREADS
LATELY = 0.3
"""How much the newest counts."""


class Whisper:
    """A loaded model.

    Args:
        size: Which.
        workers: Transcriptions at once.
    """

    def __init__(self, size: Size, workers: int = 1) -> None:
        self.size = size
        self.device = device()
        self._took_s: float | None = None
        self._model = WhisperModel(
            str(size.folder),
            device=self.device,
            compute_type="float16" if self.device == "cuda" else "int8",
            cpu_threads=THREADS,
            num_workers=workers,
        )

    def hear(self, audio: Any, languages: tuple[str, ...]) -> Heard:
        """Return the words of 16 kHz float audio; blocks.

        Args:
            audio: Samples from -1 to 1.
            languages: The one that is spoken, or several of which one is.
        """
        began_s = time.monotonic()
        heard = hear(self._model, audio, languages)
        took_s = time.monotonic() - began_s
        before_s = self._took_s if self._took_s is not None else took_s
        self._took_s = before_s + LATELY * (took_s - before_s)
        return heard

    @property
    def languages(self) -> Sequence[str]:
        """Those that it knows."""
        return self._model.supported_languages

    @property
    def quick(self) -> bool:
        """Whether there is time to transcribe what is not over yet."""
        spare = self.device == "cuda" or cores() >= CAPTION_CORES
        return spare and self._took_s is not None and self._took_s <= CAPTION_S


def device() -> str:
    """Return where it computes."""
    return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"


def measure_here(models: Path, cache_dir: Path) -> Speed:
    """Time the sizes that are on this machine, and keep what was found."""
    sizes = present(models)
    audio, rate = sf.read(UTTERANCE, dtype="float32")
    utterance = np.asarray(soxr.resample(audio, rate, RATE_HZ), np.float32)

    def load(size: Size) -> Any:
        whisper = Whisper(size)
        return lambda: whisper.hear(utterance, ("en",))

    # Of all threads of this process, which compute at once, and of nothing that others compute meanwhile.
    quicker = SPEED_UP if cores() >= THREADS else 1.0
    alone_s = (lambda: time.process_time() / quicker) if device() == "cpu" else None
    speed = Speed(device(), measure(sizes, load, alone_s=alone_s))
    keep_speed(cache_dir, sizes, speed)
    return speed
