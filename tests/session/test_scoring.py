"""The end-of-turn model's view of a sound is the one it was trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pipecat.audio.turn.smart_turn._whisper_features import compute_whisper_log_mel_features
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

from repartee.session import scoring
from repartee.session.scoring import turn_scorer
from repartee.session.turn_features import SAMPLES, Samples, log_mel
from repartee.simulator.audio import read_audio

RATE_HZ = 16_000


def sound(samples: int, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(samples) * rng.uniform(0.05, 0.5)) * rng.uniform(0.05, 0.5)
    return np.asarray(tone + rng.normal(0.01, 0.01, samples), np.float32)


@pytest.mark.parametrize(
    "samples", [0, 1, 300, 1600, 16_000, 50_123, SAMPLES - 201, SAMPLES - 200, SAMPLES - 1, SAMPLES, 200_000]
)
def test_it_is_shown_what_it_was_trained_on(samples: int) -> None:
    pcm = sound(samples, samples)
    whole = pcm[-SAMPLES:]
    expected = compute_whisper_log_mel_features(np.pad(whole, (SAMPLES - len(whole), 0)))
    assert np.abs(log_mel(pcm) - expected).max() < 2e-3


def test_it_answers_what_pipecat_s_would(speech: Path) -> None:
    analyzer = LocalSmartTurnAnalyzerV3(sample_rate=RATE_HZ)
    analyzer.set_sample_rate(RATE_HZ)
    for file in sorted((speech / "aiewf").glob("*.flac"))[:4]:
        pcm = read_audio(file, RATE_HZ).astype(np.float32) / np.float32(32768)
        for end in (len(pcm) // 2, len(pcm)):
            expected = analyzer._predict_endpoint(pcm[:end])["probability"]
            assert turn_scorer()(pcm[:end]) == pytest.approx(expected, abs=0.02)


def test_its_threads_give_way_and_those_that_ask_do_not() -> None:
    turn_scorer()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    pool = scoring._model_threads()
    assert pool.submit(os.getpriority, os.PRIO_PROCESS, 0).result() == min(19, own + scoring.NICE)
    assert scoring.turn_executor().submit(os.getpriority, os.PRIO_PROCESS, 0).result() == own
