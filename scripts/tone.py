"""Measure how often a change of tone is told: recordings of real speakers, sped up, made louder, made higher.

There is no recording here of anybody upset. What is measured is whether the signs are found that the rules look for,
and how often they are found in turns that were left as they are; nothing about what people feel.

    python scripts/tone.py --speech ../shared/speech --write benchmarks/results/tone.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from repartee.conversation.tone import ToneReader
from repartee.session.prosody import RATE_HZ, measure

Sound = npt.NDArray[np.int16]
SEQUENCES, USUAL, CHANGED, SEED = 200, 4, 3, 1
LEAST_S, MOST_S, LEAST_TURNS = 1.5, 14.0, 5
WINDOW, STEP, SEARCH = 640, 320, 160
VARIANTS: dict[str, dict[str, float]] = {
    "as it was": {},
    "1.15 times as fast": {"pace": 1.15},
    "1.3 times as fast": {"pace": 1.3},
    "1.5 times as fast": {"pace": 1.5},
    "6 dB louder, 2.5 semitones higher": {"louder_db": 6.0, "semitones": 2.5},
    "9 dB louder, 4 semitones higher": {"louder_db": 9.0, "semitones": 4.0},
    "9 dB louder": {"louder_db": 9.0},
    "4 semitones higher": {"semitones": 4.0},
    "6 dB quieter, as fast": {"louder_db": -6.0},
}


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--write", type=Path, required=True)
    given = parser.parse_args()
    speakers = load(given.speech)
    found: dict[str, dict[str, float]] = {}
    for name, change in VARIANTS.items():
        rng = random.Random(SEED)  # noqa: S311 - not for secrets
        moods = [mood(rng.choice(speakers), change, rng) for _ in range(SEQUENCES)]
        found[name] = {
            kind: round(moods.count(kind) / SEQUENCES, 3) for kind in ("calm", "hurried", "upset", "unknown")
        }
        sys.stdout.write(f"{name:36} {found[name]}\n")
    report = {
        "command": "python scripts/tone.py",
        "sequences": SEQUENCES,
        "usual_turns": USUAL,
        "changed_turns": CHANGED,
        "speakers": len(speakers),
        "recordings": sum(map(len, speakers)),
        "found": found,
    }
    given.write.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def load(folder: Path) -> list[list[tuple[Sound, str]]]:
    """Return the turns of each source whose words are known and which one voice speaks."""
    index: list[dict[str, Any]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    by_source: dict[str, list[tuple[Sound, str]]] = {}
    for entry in index:
        if entry["transcript"] and LEAST_S <= entry["seconds"] <= MOST_S:
            audio, rate = sf.read(folder / entry["file"], dtype="int16", always_2d=True)
            sound = soxr.resample(np.ascontiguousarray(audio[:, 0]), rate, RATE_HZ)
            by_source.setdefault(entry["file"].split("/")[0], []).append((sound, entry["transcript"]))
    return [turns for turns in by_source.values() if len(turns) >= LEAST_TURNS]


def mood(turns: list[tuple[Sound, str]], change: dict[str, float], rng: random.Random) -> str:
    """Return what a caller's last turn sounds like: some as they are, then some that are changed."""
    reader = ToneReader()
    said = [rng.choice(turns) for _ in range(USUAL + CHANGED)]
    for number, (sound, words) in enumerate(said):
        heard = changed(sound, **change) if number >= USUAL else sound
        if (prosody := measure(heard, words)) is not None:
            reader.turn(prosody)
    return reader.tone.mood


def changed(sound: Sound, pace: float = 1.0, louder_db: float = 0.0, semitones: float = 0.0) -> Sound:
    """Return a recording that is said faster, louder and higher."""
    samples = sound.astype(np.float64)
    if semitones:
        higher = 2 ** (semitones / 12)
        samples = soxr.resample(samples, RATE_HZ * higher, RATE_HZ)
        pace /= higher
    if pace != 1.0:
        samples = stretched(samples, pace)
    return np.asarray(samples * 10 ** (louder_db / 20)).clip(-32768, 32767).astype(np.int16)


def stretched(samples: npt.NDArray[np.float64], pace: float) -> npt.NDArray[np.float64]:
    """Return samples said faster at the same pitch: windows are laid over each other where they fit best (WSOLA)."""
    out = np.zeros(int(len(samples) / pace) + 2 * WINDOW)
    weight, window = np.zeros_like(out), np.hanning(WINDOW)
    at, position, before = 0, 0.0, -1
    while at + WINDOW < len(out) and int(position) + WINDOW + SEARCH < len(samples):
        begin = int(position)
        if before >= 0:
            wanted = samples[before + STEP : before + STEP + WINDOW]
            low = max(0, begin - SEARCH)
            fits = np.correlate(samples[low : begin + SEARCH + WINDOW], wanted, "valid")
            begin = min(low + int(fits.argmax()), len(samples) - WINDOW)
        out[at : at + WINDOW] += window * samples[begin : begin + WINDOW]
        weight[at : at + WINDOW] += window
        before, at, position = begin, at + STEP, position + STEP * pace
    return np.asarray((out / np.maximum(weight, 1e-3))[:at])


if __name__ == "__main__":
    sys.exit(main())
