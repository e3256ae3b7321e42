"""What is said in a benchmark is what it says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repartee.errors import ConfigError
from repartee.simulator.material import RATE_HZ, SUITES, Item, Material
from repartee.simulator.systems import Ground, peer
from tests.conftest import ROOT

TRANSCRIPTS = ROOT / "benchmarks" / "transcripts.json"


@pytest.fixture(scope="module")
def material(speech: Path) -> Material:
    return Material(speech, TRANSCRIPTS, seed=1)


def check(item: Item) -> None:
    length_s = len(item.pcm) / RATE_HZ
    assert item.pcm.dtype == np.int16
    assert np.abs(item.pcm.astype(np.int32)).max() <= 32767
    edges = [edge for segment in item.segments for edge in segment]
    assert edges == sorted(edges)
    assert all(0 <= edge <= length_s + 0.01 for edge in edges)


@pytest.mark.parametrize("suite", SUITES)
def test_every_item_is_sound_with_its_speech_in_it(material: Material, suite: str) -> None:
    items = material.suite(suite)  # type: ignore[arg-type]
    assert len(items) >= 20
    for item in items:
        check(item)
        if item.prompt is not None:
            check(item.prompt)
            assert 1.0 <= item.over_at_s <= 3.0
    again = material.suite(suite)  # type: ignore[arg-type]
    assert [item.name for item in items] == [item.name for item in again], "the same seed says the same"


def test_commands_have_no_pauses_and_the_others_have(material: Material) -> None:
    assert all(item.pauses == 0 and item.text for item in material.suite("latency"))
    paused = material.suite("pauses")
    assert all(item.pauses >= 1 and item.text for item in paused)
    assert sum("phone number" in item.name for item in paused) == 12
    assert sum("lca/" in item.name for item in paused) >= 5


def test_noises_are_as_far_below_speech_as_they_say(material: Material) -> None:
    def level(item: Item) -> float:
        frames = item.pcm[: len(item.pcm) // 960 * 960].reshape(-1, 960).astype(np.float64)
        levels = np.sqrt((frames**2).mean(axis=1))
        return float(20 * np.log10(levels[levels > levels.max() * 0.1].mean()))

    for item in material.suite("noise"):
        below = int(item.name.split(" dB")[0].rsplit(" ", 1)[1])
        assert (
            level(item) == pytest.approx(20 * np.log10(2500) - below, abs=1.5)
            or np.abs(item.pcm).max() > 29_000
        )


def test_recordings_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give the recordings with --speech"):
        Material(tmp_path, TRANSCRIPTS, seed=1)


def test_peers_that_are_not_there_are_said(tmp_path: Path) -> None:
    ground = Ground("ws://x", "key", "secret", {})
    with pytest.raises(ConfigError, match="no peer 'vapi'; choose from: pipecat, pipecat-tuned"):
        peer("vapi", ground, tmp_path, tmp_path)
    with pytest.raises(ConfigError, match=r"not installed .*run `make bench-peers`"):
        peer("livekit", ground, tmp_path, tmp_path)
