"""Voice activity on real recordings: when a beginning and a pause are told, against what was labelled by ear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pipecat.audio.vad.silero import SileroVADAnalyzer

from repartee.session.voice import SAMPLE_RATE_HZ, VoiceActivity
from repartee.simulator.audio import read_audio

QUIET_S = 1.0
STEP = 320


def silero() -> SileroVADAnalyzer:
    analyzer = SileroVADAnalyzer(sample_rate=SAMPLE_RATE_HZ)
    analyzer.set_sample_rate(SAMPLE_RATE_HZ)
    return analyzer


def changes(pcm: np.ndarray) -> list[tuple[str, float]]:
    """What is told of a sound, and after how many seconds of it."""
    analyzer = silero()
    voice = VoiceActivity(lambda window: float(np.ravel(analyzer.voice_confidence(window))[0]))
    return [
        (change, (at + STEP) / SAMPLE_RATE_HZ)
        for at in range(0, len(pcm) - STEP, STEP)
        if (change := voice.hear(pcm[at : at + STEP].tobytes()))
    ]


def test_a_silence_costs_nothing() -> None:
    asked = 0

    def probability(_: bytes) -> float:
        nonlocal asked
        asked += 1
        return 0.0

    voice = VoiceActivity(probability)
    quiet = np.random.default_rng(0).normal(0, 12, STEP * 500).astype(np.int16)
    for at in range(0, len(quiet), STEP):
        voice.hear(quiet[at : at + STEP].tobytes())
    assert asked <= 12, "Silero is asked at the beginning only"
    voice.hear(np.full(1024, 5000, np.int16).tobytes())
    assert asked >= 4, "and again, from a little before the sound, when there is one"


def in_a_quiet_room(pcm: np.ndarray) -> np.ndarray:
    quiet = np.zeros(int(QUIET_S * SAMPLE_RATE_HZ), np.int16)
    noise = np.random.default_rng(0).normal(0, 12, len(pcm) + 2 * len(quiet))
    return (np.concatenate([quiet, pcm, quiet]) + noise).clip(-32768, 32767).astype(np.int16)


def test_pauses_are_told_a_tenth_of_a_second_after_the_last_sound(speech: Path) -> None:
    index = json.loads((speech / "index.json").read_text(encoding="utf-8"))
    commands = [e for e in index if e["file"].startswith(("picovoice", "aiewf"))]
    late, begun = [], []
    for entry in commands:
        start, end = entry["speech"][0]["speech_start"], entry["speech"][0]["speech_end"]
        told = changes(in_a_quiet_room(read_audio(speech / entry["file"], SAMPLE_RATE_HZ)))
        begun.append(next(at for change, at in told if change == "started") - QUIET_S - start)
        late.append([at for change, at in told if change == "stopped"][-1] - QUIET_S - end)
    assert np.median(late) < 0.12
    assert np.quantile(late, 0.95) < 0.32
    assert np.median(begun) < 0.15


def test_noise_without_a_voice_is_mostly_not_taken_for_one(speech: Path) -> None:
    index = json.loads((speech / "index.json").read_text(encoding="utf-8"))
    told = {
        e["file"]: changes(read_audio(speech / e["file"], SAMPLE_RATE_HZ)[: 10 * SAMPLE_RATE_HZ])
        for e in index
        if e["file"].startswith("noise") and "crowd" not in e["file"] and "ami" not in e["file"].lower()
    }
    silent = [name for name, found in told.items() if not found]
    assert len(silent) >= len(told) / 2, told


def test_digital_silence_and_hiss_are_no_voice() -> None:
    assert changes(np.zeros(SAMPLE_RATE_HZ * 2, np.int16)) == []
    hiss = np.random.default_rng(1).normal(0, 900, SAMPLE_RATE_HZ * 2).astype(np.int16)
    assert changes(hiss) == []


@pytest.mark.parametrize("level", [0.05, 1.0])
def test_loudness_does_not_matter(speech: Path, level: float) -> None:
    pcm = (read_audio(speech / "aiewf" / "turn_001.flac", SAMPLE_RATE_HZ) * level).astype(np.int16)
    told = changes(in_a_quiet_room(pcm))
    assert told[0][0] == "started"
    assert told[-1][0] == "stopped"


def test_audio_that_ceases_is_no_voice() -> None:
    voice = VoiceActivity(lambda _: 0.99)
    loud = np.full(STEP, 5000, np.int16).tobytes()
    assert "started" in [voice.hear(loud) for _ in range(20)]
    voice.stop()
    assert not voice.speaking
