"""The ladder on a virtual clock: what enters a level, what leaves it, and what it means for a call."""

from __future__ import annotations

import pytest

from repartee.conversation import Endpointing, Policies, Speculation
from repartee.conversation.degradation import (
    STEPS,
    UNSCORED_MS,
    Degradation,
    FirstTokens,
    Level,
    Load,
    p95,
    policies_at,
)

CALM = Load(lag_ms=3.0, cpu=0.2, first_token=1.0)


def after(
    degradation: Degradation, load: Load, seconds: float, at_s: float = 0.0
) -> tuple[Degradation, float]:
    """Measure the same once a second."""
    for _ in range(int(seconds)):
        at_s += 1.0
        degradation = degradation.judge(load, at_s)
    return degradation, at_s


ENTERS: tuple[tuple[Load, Level, tuple[str, ...]], ...] = (
    (CALM, Level.NORMAL, ()),
    (Load(lag_ms=30.0, cpu=0.85, first_token=1.5), Level.NORMAL, ()),
    (Load(lag_ms=30.1), Level.LEAN, ("lag",)),
    (Load(cpu=0.86), Level.LEAN, ("cpu",)),
    (Load(lag_ms=41.0), Level.SMALL, ("lag",)),
    (Load(first_token=1.51), Level.SMALL, ("first_token",)),
    (Load(lag_ms=81.0), Level.PLAIN, ("lag",)),
    (Load(cpu=0.93), Level.PLAIN, ("cpu",)),
    (Load(lag_ms=161.0, cpu=0.96), Level.CLOSED, ("lag", "cpu")),
    (Load(cpu=0.96), Level.CLOSED, ("cpu",)),
    (Load(down=True), Level.DOWN, ("down",)),
    (Load(lag_ms=500.0, cpu=1.0, first_token=9.0, down=True), Level.DOWN, ("down",)),
)


@pytest.mark.parametrize(("load", "level", "why"), ENTERS)
def test_which_load_enters_which_level_and_why(load: Load, level: Level, why: tuple[str, ...]) -> None:
    degradation, _ = after(Degradation(), load, 12)
    assert (degradation.level, degradation.why) == (level, why)


def test_a_level_is_entered_after_ten_seconds_over_and_one_second_below_begins_anew() -> None:
    degradation, at_s = after(Degradation(), Load(lag_ms=35.0), 10)
    assert degradation.level is Level.NORMAL
    degradation, at_s = after(degradation, CALM, 1, at_s)
    degradation, at_s = after(degradation, Load(lag_ms=35.0), 10, at_s)
    assert degradation.level is Level.NORMAL
    degradation, at_s = after(degradation, Load(lag_ms=35.0), 1, at_s)
    assert degradation.level is Level.LEAN


def test_a_level_is_left_after_a_minute_with_room_to_spare() -> None:
    degradation, at_s = after(Degradation(), Load(lag_ms=35.0), 11)
    just_below = Load(lag_ms=0.9 * 30.0)
    degradation, at_s = after(degradation, just_below, 600, at_s)
    assert degradation.level is Level.LEAN, "below the limit, but not by 15 %"
    degradation, at_s = after(degradation, CALM, 60, at_s)
    assert degradation.level is Level.LEAN
    degradation, at_s = after(degradation, CALM, 1, at_s)
    assert degradation.level is Level.NORMAL
    assert degradation.why == ()


def test_a_load_at_the_limit_does_not_go_to_and_fro() -> None:
    degradation, at_s = Degradation(), 0.0
    changes = 0
    for second in range(3600):
        before = degradation.level
        at_s += 1.0
        degradation = degradation.judge(Load(lag_ms=29.0 if second // 15 % 2 else 31.0), at_s)
        changes += degradation.level is not before
    assert changes == 1, "entered once, and never left: no minute was calm"


def test_levels_are_left_one_after_another() -> None:
    degradation, at_s = after(Degradation(), Load(lag_ms=200.0, cpu=0.97), 11)
    seen = [degradation.level]
    for load in (Load(lag_ms=70.0), Load(lag_ms=35.0), Load(lag_ms=27.0), CALM):
        degradation, at_s = after(degradation, load, 61, at_s)
        seen.append(degradation.level)
    assert seen == [Level.CLOSED, Level.PLAIN, Level.SMALL, Level.LEAN, Level.NORMAL]


def test_a_breaker_s_first_five_seconds_end_no_call_and_help_that_is_back_counts_at_once() -> None:
    degradation, at_s = after(Degradation(), Load(down=True), 6)
    assert degradation.level is Level.NORMAL
    degradation, at_s = after(degradation, CALM, 1, at_s)
    degradation, at_s = after(degradation, Load(down=True), 9, at_s)
    assert degradation.level is Level.DOWN
    degradation, at_s = after(degradation, CALM, 1, at_s)
    assert degradation.level is Level.NORMAL


def test_every_step_is_a_level_and_every_limit_rises() -> None:
    assert [step.level for step in STEPS] == [level for level in Level if level is not Level.NORMAL]
    for name in ("lag_ms", "cpu"):
        limits = [getattr(step, name) for step in STEPS if getattr(step, name) is not None]
        assert limits == sorted(set(limits))


# --- what it means for a call ---------------------------------------------------------------------------------

FULL = Policies()


@pytest.mark.parametrize(
    ("level", "voiced", "enabled", "unscored_ms"),
    [
        (Level.NORMAL, True, True, None),
        (Level.LEAN, False, True, None),
        (Level.SMALL, False, True, None),
        (Level.PLAIN, False, False, UNSCORED_MS),
        (Level.CLOSED, False, False, UNSCORED_MS),
        (Level.DOWN, False, False, UNSCORED_MS),
    ],
)
def test_what_each_level_takes_from_a_call(
    level: Level, voiced: bool, enabled: bool, unscored_ms: float | None
) -> None:
    policies = policies_at(level, FULL)
    assert (policies.speculation.voiced, policies.speculation.enabled) == (voiced, enabled)
    assert policies.endpointing.unscored_ms == unscored_ms
    assert (policies.interruption, policies.patience, policies.waiting) == (
        FULL.interruption,
        FULL.patience,
        FULL.waiting,
    )
    assert policies_at(Level.NORMAL, FULL) == FULL, "and it is given back whole"


def test_a_lean_machine_makes_no_audio_ahead_of_time_and_fewer_replies() -> None:
    full, lean = FULL.speculation, policies_at(Level.LEAN, FULL).speculation
    assert full.may_voice(0.95, "hello there", 0.0)
    assert not lean.may_voice(1.0, "hello there", 0.0, 5000)
    assert full.may_start(0.5, "hello there", 0.0)
    assert not lean.may_start(0.5, "hello there", 0.0)
    assert lean.may_start(0.7, "hello there", 0.0)
    assert not policies_at(Level.LEAN, Policies(speculation=Speculation(enabled=False))).speculation.enabled


def test_without_the_model_silence_ends_a_turn_and_words_still_count() -> None:
    plain = policies_at(Level.PLAIN, FULL).endpointing
    assert FULL.endpointing.wait_ms(None, "hello there") == FULL.endpointing.max_silence_ms
    assert plain.wait_ms(None, "hello there") == pytest.approx(UNSCORED_MS)
    assert plain.wait_ms(None, "is it open?") < UNSCORED_MS
    assert plain.wait_ms(None, "I want a table and") > UNSCORED_MS
    assert plain.wait_ms(None, "five five five", "digits") == plain.digits_ms
    assert plain.wait_ms(0.95, "hello there") < 400, "a score that comes all the same counts"
    quick = policies_at(Level.PLAIN, Policies(endpointing=Endpointing(200, 500))).endpointing
    assert quick.wait_ms(None, "hello there") == 500


# --- first tokens ---------------------------------------------------------------------------------------------


def test_first_tokens_are_compared_with_what_was_usual_before() -> None:
    tokens = FirstTokens()
    assert tokens.ratio(0.0) is None
    for second in range(100):
        tokens.add(float(second), 400.0)
    assert tokens.ratio(40.0) is None, "nothing is older than a minute yet"
    for second in range(100, 130):
        tokens.add(float(second), 800.0)
    assert tokens.ratio(130.0) == pytest.approx(2.0)
    for second in range(130, 240):
        tokens.add(float(second), 800.0)
        assert tokens.ratio(float(second)) == pytest.approx(2.0), "a slow minute does not pass for usual"
    for second in range(240, 500):
        tokens.add(float(second), 800.0)
    assert tokens.ratio(499.0) == pytest.approx(1.0), "what stays slow becomes usual"
    assert tokens.ratio(600.0) is None, "nothing is new"


@pytest.mark.parametrize(
    ("values", "expected"), [([], 0.0), ([5.0], 5.0), (list(range(100)), 95.0), ([1.0, 9.0], 9.0)]
)
def test_p95(values: list[float], expected: float) -> None:
    assert p95(values) == expected
