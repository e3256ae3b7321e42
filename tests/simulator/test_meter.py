"""The meter against audio whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from repartee.simulator import meter
from repartee.simulator.meter import RATE_HZ, Sound
from repartee.simulator.providers.replies import code
from repartee.simulator.providers.voices import DIGIT_S, speak, words_with_times


def silence(seconds: float) -> Sound:
    return np.random.default_rng(0).normal(0, 12, int(RATE_HZ * seconds)).astype(np.int16)


def tape(*parts: Sound) -> Sound:
    return np.concatenate(parts)


def test_a_sound_begins_and_ends_where_it_does() -> None:
    voice = speak("Certainly. That is case 346.", RATE_HZ)
    (span,) = meter.sounds(tape(silence(1.0), voice, silence(1.0)))
    assert span.start_s == pytest.approx(1.0, abs=0.011)
    assert span.end_s == pytest.approx(1.0 + len(voice) / RATE_HZ, abs=0.05)


def test_a_click_is_no_sound() -> None:
    click = np.full(RATE_HZ // 50, 9000, np.int16)
    assert meter.sounds(tape(silence(0.5), click, silence(0.5))) == []


@pytest.mark.parametrize("number", [100, 346, 555, 707, 999])
def test_a_number_is_read_off_the_voice(number: int) -> None:
    text = f"Certainly. That is case {number}."
    (found,) = meter.codes(tape(silence(0.7), speak(text, RATE_HZ), silence(0.3)))
    assert found.number == number
    place = next(start for word, start, _ in words_with_times(text) if str(number) in word)
    assert found.at_s == pytest.approx(0.7 + place, abs=0.03)


def test_a_number_survives_resampling_noise_and_a_quieter_voice() -> None:
    voice = soxr.resample(speak("That is case number 846. Is there anything else?", 24_000), 24_000, RATE_HZ)
    noise = np.random.default_rng(1).normal(0, 200, len(voice))
    found = meter.codes((voice * 0.6 + noise).astype(np.int16))
    assert [c.number for c in found] == [846]


def test_words_without_a_number_have_none() -> None:
    assert meter.codes(speak("Hello, this is the bench.", RATE_HZ)) == []


def test_a_hole_in_the_voice_is_a_gap_and_a_pause_between_words_is_not() -> None:
    voice = speak("There is no hole in what is said here at all.", RATE_HZ)
    assert meter.gaps(voice) == []
    at = len(voice) // 2
    (gap,) = meter.gaps(tape(voice[:at], silence(0.1), voice[at:]))
    assert gap.end_s - gap.start_s == pytest.approx(0.1, abs=0.021)


def test_a_fall_is_timed_from_the_onset() -> None:
    voice = speak("The agent goes on and on about its opening hours and much else besides.", RATE_HZ)
    at = int(2.0 * RATE_HZ)
    stopped = tape(voice[:at], silence(2.0))
    assert meter.falls(stopped, 1.8, 2.0, meter.SILENT_DB) == pytest.approx(0.2, abs=0.03)
    lowered = tape(voice[:at], (voice[at:] * 0.05).astype(np.int16))
    assert meter.falls(lowered, 1.8, 2.0, meter.LOWER_DB) == pytest.approx(0.2, abs=0.03)
    assert meter.falls(lowered, 1.8, 2.0, meter.SILENT_DB) is None, "26 dB down is not silence"
    assert meter.falls(voice, 1.8, 1.5, meter.LOWER_DB) is None


def test_a_short_dip_is_no_fall() -> None:
    voice = speak("The agent goes on and on about its opening hours and much else besides.", RATE_HZ)
    at = int(2.0 * RATE_HZ)
    dipped = tape(voice[:at], silence(0.04), voice[at + int(0.04 * RATE_HZ) :])
    assert meter.falls(dipped, 1.8, 1.0, meter.LOWER_DB) is None


def test_the_first_sound_in_a_time() -> None:
    voice = speak("Of course.", RATE_HZ)
    heard = meter.sounds(tape(silence(1.0), voice, silence(2.0), voice, silence(0.5)))
    assert meter.first_sound(heard, 0.5, 3.0) == pytest.approx(1.0, abs=0.011)
    assert meter.first_sound(heard, 1.5, 3.0) is None
    assert meter.is_heard(heard, 1.2)
    assert not meter.is_heard(heard, 2.5)


def test_the_same_words_have_the_same_number_whatever_their_signs() -> None:
    assert code("What's the weather like?") == code("what's the weather LIKE")
    assert code("what is the weather") != code("what is the weather like")
    assert 100 <= code("anything") <= 999


def room(number: int) -> meter.Sound:
    return speak(f"Yes, room {number} at noon.", meter.RATE_HZ)


def digits_at(sound: meter.Sound) -> int:
    """Where the number's tones begin."""
    (code,) = meter.codes(sound)
    return int(code.at_s * meter.RATE_HZ)


def test_numbers_are_heard_through_a_stretched_and_a_blurred_digit() -> None:
    sound = room(481)
    at, length = digits_at(sound), int(DIGIT_S * meter.RATE_HZ)
    second = sound[at + length : at + 2 * length]
    stretched = np.concatenate([sound[: at + 2 * length], second, sound[at + 2 * length :]])
    assert [code.number for code in meter.codes(stretched)] != [481]
    assert [code.number for code in meter.numbers(stretched, (481, 320))] == [481]
    blurred = sound.copy()
    blurred[at + length : at + 2 * length] = (np.random.default_rng(1).normal(0, 3000, length)).astype(
        np.int16
    )
    assert [code.number for code in meter.numbers(blurred, (481, 320))] == [481]
    assert [code.number for code in meter.numbers(room(333 + 150), (481, 320))] == [483]


def test_a_number_is_heard_over_a_gap_in_its_middle() -> None:
    sound = room(481)
    at = digits_at(sound) + int(2 * DIGIT_S * meter.RATE_HZ)
    torn = np.concatenate([sound[:at], np.zeros(int(0.15 * meter.RATE_HZ), np.int16), sound[at:]])
    assert [code.number for code in meter.numbers(torn, (481, 320))] == [481]


def test_a_number_in_which_the_voice_breaks_off_was_not_heard() -> None:
    sound = room(481)
    at, length = digits_at(sound), int(DIGIT_S * meter.RATE_HZ)
    cut = np.concatenate([sound[: at + 2 * length + length // 3], np.zeros(meter.RATE_HZ, np.int16)])
    assert meter.numbers(cut, (481, 320)) == []


def test_numbers_of_an_untouched_voice_are_the_codes() -> None:
    sound = np.concatenate([room(number) for number in (412, 538, 671, 829)])
    heard = meter.numbers(sound, (412, 538, 671, 829))
    assert [code.number for code in heard] == [412, 538, 671, 829]
    assert [round(a.at_s - b.at_s, 1) for a, b in zip(heard, meter.codes(sound), strict=True)] == [0, 0, 0, 0]
