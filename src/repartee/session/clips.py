"""Recordings of sentences that must be heard when nobody can be asked to say them. They come with the program.

`scripts/clips.py` makes them. They are in a voice of their own; the agent's is tried first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile as sf

from repartee.providers.voice_cache import VOICE_RATE_HZ

FOLDER = Path(__file__).with_name("recordings")
TEXTS_FILE = "texts.json"
BUSY = {
    "en": "All lines are busy at the moment. Please try again in a minute.",
    "de": "Im Moment sind alle Leitungen belegt. Bitte versuchen Sie es in einer Minute noch einmal.",
    "es": "En este momento todas las líneas están ocupadas. Inténtelo de nuevo en un minuto, por favor.",
}
RECORDED_LINES = ("trouble", "trouble_again", "hang_up", "not_heard", "budget")


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording.

    Attributes:
        text: What it says.
        file: Where it is.
    """

    text: str
    file: Path

    def pcm(self) -> bytes:
        """Return its audio: 16-bit mono at the voice's rate."""
        return _pcm(self.file)


def clips_for(language: str) -> Mapping[str, Clip]:
    """Return a language's recordings by name (`de-AT` counts as `de`), English where there are none."""
    wanted = language.split("-", maxsplit=1)[0].lower()
    folder = FOLDER / (wanted if (FOLDER / wanted / TEXTS_FILE).is_file() else "en")
    texts: dict[str, str] = json.loads((folder / TEXTS_FILE).read_text(encoding="utf-8"))
    return {name: Clip(text, folder / f"{name}.ogg") for name, text in texts.items()}


@lru_cache(maxsize=32)
def _pcm(file: Path) -> bytes:
    samples, rate_hz = sf.read(file, dtype="int16")
    if rate_hz != VOICE_RATE_HZ:
        raise RuntimeError(f"{file.name} is at {rate_hz} Hz; scripts/clips.py makes {VOICE_RATE_HZ}")
    return np.asarray(samples, dtype=np.int16).tobytes()
