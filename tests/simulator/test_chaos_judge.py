"""The judge of the chaos suite, on recordings whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from repartee.simulator import meter
from repartee.simulator.chaos.judge import Turn, heard_of, judge, recovery_s, seen
from repartee.simulator.providers.voices import MS_PER_CHARACTER, speak

BEFORE, DURING, AFTER = (412, 538, 671), (297, 864, 135), (953, 706, 481)
QUIET = "The line is quiet."
SORRY = "Sorry, I have a small technical problem."


def said(*numbers: int) -> str:
    return "Yes, " + ", ".join(f"room {number} at noon" for number in numbers) + "."


def length_s(text: str) -> float:
    return (len(text) + 1) * MS_PER_CHARACTER / 1000


def tape(length: float, **at: str) -> meter.Sound:
    """Return a recording with texts at times such as `at_3_5`."""
    out = np.zeros(int(length * meter.RATE_HZ), np.int16)
    for name, text in at.items():
        start = int(float(name.removeprefix("at_").replace("_", ".")) * meter.RATE_HZ)
        sound = speak(text, meter.RATE_HZ)
        out[start : start + len(sound)] = sound[: len(out) - start]
    return out


def turns(**during: Any) -> tuple[Turn, Turn, Turn]:
    return (
        Turn(1, 2, 10, BEFORE),
        Turn(11, 12, 30, DURING, **during),
        Turn(31, 32, 42, AFTER),
    )


def whole(**during: str) -> meter.Sound:
    return tape(42, at_2_7=said(*BEFORE), **during, at_32_7=said(*AFTER))


def test_a_fault_that_nobody_hears() -> None:
    verdict = judge(whole(at_12_7=said(*DURING)), turns(), 12.1)
    assert verdict.broken == ()
    assert verdict.during.outcome == "answered"
    assert verdict.added_silence_s == 0
    assert verdict.recovery_s == pytest.approx(0.6, abs=0.05)
    assert seen(verdict) == "answered"


def test_a_fault_under_the_voice_is_no_pause() -> None:
    assert recovery_s(whole(at_12_7=said(*DURING)), 13.5, turns()[1]) == 0


def test_a_late_answer() -> None:
    verdict = judge(whole(at_15_2=said(*DURING)), turns(), 12.2)
    assert verdict.broken == ()
    assert verdict.added_silence_s == pytest.approx(2.5, abs=0.05)
    assert verdict.recovery_s == pytest.approx(3.0, abs=0.05)
    assert seen(verdict) == "answered, 2.5 s late"


def test_an_answer_that_breaks_off_and_goes_on() -> None:
    head = "Yes, room 297 at noon,"
    on_s = 12.7 + length_s(head) + 3
    sound = whole(
        **{"at_12_7": head, f"at_{on_s:.2f}".replace(".", "_"): "room 864 at noon, room 135 at noon."}
    )
    verdict = judge(sound, turns(), 12.7 + length_s(head))
    assert verdict.broken == ()
    assert verdict.during.outcome == "answered"
    assert verdict.added_silence_s == pytest.approx(3, abs=0.1)
    assert verdict.recovery_s == pytest.approx(3, abs=0.1)


def test_an_answer_that_breaks_off_for_good() -> None:
    verdict = judge(whole(at_12_7="Yes, room 297 at noon,"), turns(), 14.0)
    assert verdict.during.outcome == "answered in part"
    assert verdict.during.lost == 2
    assert verdict.broken == ("neither answered nor apologised for: answered in part",)
    assert seen(verdict) == "1 of 3 parts, then nothing"


def test_an_apology() -> None:
    verdict = judge(whole(at_16=SORRY), turns(texts=[SORRY]), 12.5)
    assert verdict.broken == ()
    assert verdict.recovery_s == pytest.approx(3.5, abs=0.05)
    assert seen(verdict) == "an apology after 4.0 s"


def test_an_apology_that_was_not_heard_is_none() -> None:
    verdict = judge(whole(), turns(texts=[SORRY]), 12.5)
    assert verdict.during.outcome == "silence"
    assert verdict.recovery_s is None
    assert verdict.added_silence_s is None
    assert seen(verdict) == "silence"


def test_other_sounds_are_no_answer() -> None:
    assert judge(whole(at_14=QUIET), turns(texts=[QUIET]), 12.5).during.outcome == "silence"


def test_what_is_said_twice_is_found() -> None:
    text = said(297, 864, 297, 864, 135)
    verdict = judge(whole(at_12_7=text), turns(), 12.5)
    assert verdict.during.twice == 2
    assert verdict.broken == ("2 of the answer's 3 parts were said twice",)


HEAD = "Yes, room 297 at no"


def broken_off(then: str, after_s: float = 2.0) -> meter.Sound:
    """A voice that breaks off in its first part, and goes on with something after a silence."""
    on_s = 12.7 + length_s(HEAD) + after_s
    return whole(**{"at_12_7": HEAD, f"at_{on_s:.2f}".replace(".", "_"): then})


def test_the_part_in_which_the_voice_broke_off_may_come_again() -> None:
    verdict = judge(broken_off(said(*DURING)), turns(), 13.5)
    assert verdict.broken == ()
    assert (verdict.during.twice, verdict.during.cut_again) == (0, True)


@pytest.mark.parametrize(
    ("sound", "twice", "cut_again"),
    [
        (broken_off(said(297, 297, 864, 135)), 1, True),
        (broken_off(said(*DURING), after_s=0.1), 1, False),
        (whole(at_12_7=said(297, 864), at_20=said(297, 864, 135)), 2, False),
        (whole(at_12_7=said(297, 864), at_20=said(864, 297, 135)), 1, True),
    ],
    ids=["once", "after a silence", "not the parts before", "nor one of them"],
)
def test_more_than_that_is_said_twice(sound: meter.Sound, twice: int, cut_again: bool) -> None:
    verdict = judge(sound, turns(), 13.5)
    assert (verdict.during.twice, verdict.during.cut_again) == (twice, cut_again)
    assert f"{twice} of the answer's 3 parts were said twice" in verdict.broken


def test_a_double_reply_is_found() -> None:
    verdict = judge(whole(at_12_7=said(*DURING), at_18_0=said(*DURING)), turns(), 12.5)
    assert verdict.during.twice == 3
    assert len(verdict.broken) == 1


def test_the_order_is_looked_at() -> None:
    assert judge(whole(at_12_7=said(864, 297, 135)), turns(), 12.5).broken == (
        "the answer's parts were heard out of order",
    )


def test_an_answer_to_something_else_is_found() -> None:
    verdict = judge(whole(at_12_7=said(*DURING), at_18_0=said(357)), turns(), 12.5)
    assert verdict.broken == ("1 numbers were heard that belong to no answer of this turn",)


def test_the_turns_around_it_must_be_whole() -> None:
    sound = tape(42, at_2_7=said(*BEFORE[:2]), at_12_7=said(*DURING), at_34_9=said(*AFTER))
    broken = judge(sound, turns(), 12.5).broken
    assert broken[0] == "before the fault: answered in part"
    assert broken[1].startswith("the turn after it was answered 2.9")


def test_a_call_that_ends() -> None:
    before, during, _ = turns()
    verdict = judge(whole(at_12_7="Yes, room 297 at noon,"), (before, during, None), 14.0, over=True)
    assert verdict.during.outcome == "the call ended"
    assert "the call did not go on" in verdict.broken
    assert seen(verdict) == "1 of 3 parts, then the call ended"


@pytest.mark.parametrize(
    ("kept", "right"),
    [(said(*DURING), True), ("Yes, room 297 at noon,", False), ("", False)],
)
def test_the_records_are_held_against_what_was_heard(kept: str, right: bool) -> None:
    verdict = judge(whole(at_12_7=said(*DURING)), turns(kept=kept, kept_words="hello"), 12.5)
    assert (verdict.broken == ()) is right


def test_words_that_were_not_kept_are_missed() -> None:
    kept = turns(kept=said(*DURING), kept_words="")
    assert judge(whole(at_12_7=said(*DURING)), kept, 12.5).broken == (
        "the records lack what the caller said",
    )


def test_the_window_of_a_turn_ends_with_the_next() -> None:
    assert heard_of(whole(), turns()[1]).outcome == "silence"


def test_an_answer_that_goes_on_after_an_apology() -> None:
    head = "Yes, room 297 at noon,"
    sound = whole(at_12_7=head, at_14_7=SORRY, at_17_7="room 864 at noon, room 135 at noon.")
    verdict = judge(sound, turns(texts=[SORRY]), 12.7 + length_s(head))
    assert verdict.broken == ()
    assert verdict.recovery_s == pytest.approx(14.7 - 12.7 - length_s(head), abs=0.1)
    assert seen(verdict).startswith("answered, with an apology")
