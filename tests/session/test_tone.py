"""Prosody is measured right, what is done about it is off by default, and nothing of it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from repartee.agent import load_agent
from repartee.agent.tone import HURRIED, ToneSection
from repartee.session.prosody import RATE_HZ, measure
from repartee.session.tone import MOST_S, ToneWatch, watch_of
from repartee.session.voice_choice import VoiceChoice, sounding

Sound = npt.NDArray[np.int16]
WORDS = "I would like to know when you are open."


def voice(seconds: float = 2.0, hz: float = 120.0, dbfs: float = -25.0, noise_dbfs: float = -70.0) -> Sound:
    """A buzz of three syllables a second, with some noise around it."""
    rng = np.random.default_rng(1)
    at_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    buzz = sum(np.sin(2 * np.pi * hz * n * at_s) / n for n in range(1, 8))
    envelope = np.clip(np.sin(2 * np.pi * 1.5 * at_s) ** 2 * 1.6 - 0.3, 0, 1)
    level = 10 ** (dbfs / 20)
    edges = int(0.4 * RATE_HZ)
    sound = np.pad(buzz * envelope * level, edges)
    return (
        np.asarray((sound + rng.normal(0, 10 ** (noise_dbfs / 20), len(sound))) * 32767)
        .clip(-32768, 32767)
        .astype(np.int16)
    )


@pytest.mark.parametrize("hz", [85.0, 120.0, 180.0, 250.0])
def test_pitch_is_found(hz: float) -> None:
    said = measure(voice(hz=hz), WORDS)
    assert said is not None
    assert said.pitch_hz == pytest.approx(hz, rel=0.03)


def test_loudness_is_found_whatever_the_silence_around_it() -> None:
    quiet, loud = measure(voice(dbfs=-35), WORDS), measure(voice(dbfs=-25), WORDS)
    longer = measure(np.concatenate([np.zeros(RATE_HZ * 3, np.int16), voice(dbfs=-25)]), WORDS)
    assert quiet is not None
    assert loud is not None
    assert longer is not None
    assert loud.loudness_db - quiet.loudness_db == pytest.approx(10, abs=0.5)
    assert longer.loudness_db == pytest.approx(loud.loudness_db, abs=1.0)


def test_noise_is_no_voice_time() -> None:
    clean, noisy = measure(voice(), WORDS), measure(voice(noise_dbfs=-45), WORDS)
    assert clean is not None
    assert noisy is not None
    assert noisy.voiced_s == pytest.approx(clean.voiced_s, rel=0.25)


@pytest.mark.parametrize(
    "sound", [np.zeros(RATE_HZ, np.int16), np.zeros(10, np.int16), np.zeros(0, np.int16)]
)
def test_silence_has_no_prosody(sound: Sound) -> None:
    said = measure(sound, WORDS)
    assert said is None or said.voiced_s < 1 or said.pitch_hz is None


async def turn(watch: ToneWatch, sound: Sound) -> None:
    for at in range(0, len(sound), 320):
        watch.listen(sound[at : at + 320].tobytes(), 0.0)
    watch.remember(WORDS)
    await watch.settled()


async def test_who_gets_louder_and_higher_is_answered_otherwise() -> None:
    watch = ToneWatch(ToneSection(adapt=True, hand_off="Offer a colleague."))
    for _ in range(3):
        await turn(watch, voice())
    assert (watch.note(), watch.pace()) == ("", 1.0)
    await turn(watch, voice(hz=160, dbfs=-15))
    assert watch.note() == "", "one turn is none"
    await turn(watch, voice(hz=160, dbfs=-15))
    assert watch.mood == "upset"
    assert watch.note().startswith("The caller may be upset; this is a guess")
    assert watch.note().endswith("Offer a colleague.")
    assert watch.pace() < 1
    await turn(watch, voice())
    assert (watch.note(), watch.pace()) == ("", 1.0)
    await watch.aclose()


async def test_who_speaks_faster_is_answered_shortly() -> None:
    watch = ToneWatch(ToneSection(adapt=True, pace=False))
    for seconds in (3.0, 3.0, 3.0, 1.8, 1.8):  # the same words, in less time
        await turn(watch, voice(seconds))
    assert watch.note() == HURRIED
    assert watch.pace() == 1.0, "the file does not want the pace changed"


async def test_audio_is_bounded_and_let_go() -> None:
    watch = ToneWatch(ToneSection(adapt=True))
    for _ in range(3000):
        watch.listen(bytes(640), 0.0)
    assert watch._bytes <= MOST_S * RATE_HZ * 2
    watch.remember(WORDS)
    assert watch._bytes == 0
    assert not watch._audio
    await watch.aclose()


def test_it_is_off_unless_the_file_wants_it(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: Desk\npersona: x\ngreeting: Hello\n")
    assert watch_of(load_agent(file).tone) is None
    file.write_text("name: Desk\npersona: x\ngreeting: Hello\ntone: {adapt: true}\n")
    assert watch_of(load_agent(file).tone) is not None


def test_the_pace_is_the_voice_s_speed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: Desk\npersona: x\ngreeting: Hello\nvoice: {speed: 1.9}\n")
    agent, pace = load_agent(file), 1.0
    marks: list[str] = []
    choice = VoiceChoice(lambda: agent, lambda: "en", lambda name, **_: marks.append(name), lambda: pace)
    assert choice.begin() == "Desk"
    pace = 1.1
    assert sounding(choice.begin(), {"Desk": agent}).voice.speed == 2.0
    assert marks == [], "how somebody sounds is written nowhere"
