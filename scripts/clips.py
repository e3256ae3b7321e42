"""Make the recordings that come with the program (`session/clips.py`), from the texts of the program.

English by the on-device voice; the other languages by espeak-ng (`apt-get install espeak-ng`). Run it after a text
has changed; a test holds texts and recordings together.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from repartee.cli.say import say
from repartee.providers.voice_cache import VOICE_RATE_HZ
from repartee.session.clips import BUSY, FOLDER, RECORDED_LINES, TEXTS_FILE
from repartee.session.lines import lines_for

PEAK = 0.7
SILENT = 0.01
AFTER_S = 0.15


def main() -> int:
    """Make all of them."""
    for language, busy in BUSY.items():
        lines = lines_for(language)
        texts = {**{name: lines[name] for name in RECORDED_LINES}, "busy": busy}  # type: ignore[index]
        folder = FOLDER / language
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            waves = {name: Path(temporary) / f"{name}.wav" for name in texts}
            if language == "en":
                asyncio.run(say([(text, waves[name]) for name, text in texts.items()]))
            else:
                for name, text in texts.items():
                    espeak(language, text, waves[name])
            for name, wave in waves.items():
                samples, rate_hz = sf.read(wave, dtype="float32")
                sf.write(
                    folder / f"{name}.ogg",
                    even(samples, rate_hz),
                    VOICE_RATE_HZ,
                    format="OGG",
                    subtype="OPUS",
                )
        (folder / TEXTS_FILE).write_text(
            json.dumps(texts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        sys.stdout.write(f"{language}: {', '.join(texts)}\n")
    return 0


def espeak(language: str, text: str, wave: Path) -> None:
    """Have a text spoken by espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SystemExit("espeak-ng is not installed; run `apt-get install espeak-ng`")
    subprocess.run([program, "-v", language, "-s", "150", "-w", str(wave), text], check=True)


def even(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Bring a recording to the voice's rate, one loudness, and no silence at its beginning."""
    resampled = np.asarray(soxr.resample(samples, rate_hz, VOICE_RATE_HZ))
    loud = np.flatnonzero(np.abs(resampled) > SILENT)
    resampled = resampled[max(0, int(loud[0]) - VOICE_RATE_HZ // 200) : int(loud[-1]) + 1]
    quiet = np.zeros(int(AFTER_S * VOICE_RATE_HZ), np.float32)
    return np.concatenate([resampled * PEAK / float(np.max(np.abs(resampled))), quiet])


if __name__ == "__main__":
    sys.exit(main())
