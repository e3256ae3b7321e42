"""The recording of a call: each track of the agent's in its place, whatever the network did to the frames."""

from __future__ import annotations

import numpy as np
import pytest

from repartee.simulator.tape import Tape

RATE_HZ, FRAME = 48_000, 960

LOUD = np.full(FRAME, 8000, np.int16)
QUIET = np.zeros(FRAME, np.int16)


def frames(began_s: float, first_s: float, loud: str) -> list[tuple[float, np.ndarray]]:
    """Return frames of 20 ms, one for each sign; they come when they have sounded."""
    return [
        (began_s + first_s + 0.02 * (n + 1), LOUD if sign == "#" else QUIET) for n, sign in enumerate(loud)
    ]


def edges(sound: np.ndarray) -> list[float]:
    """Return where it becomes loud and quiet, in seconds."""
    return [
        round(float(at) / RATE_HZ, 2) for at in np.flatnonzero(np.diff(np.abs(sound.astype(int)) > 1000)) + 1
    ]


@pytest.fixture
def tape() -> Tape:
    return Tape(RATE_HZ)


def test_an_agent_that_takes_over_is_heard_in_its_place(tape: Tape) -> None:
    began_s = tape.began_s
    ghost = frames(began_s, 1.0, "#" * 50 + "." * 400)  # its track stays, silent, when its process is gone
    tape.heard_on += [ghost, frames(began_s, 4.0, "#" * 50)]
    assert edges(tape.heard()) == pytest.approx([1.0, 2.0, 4.0, 5.0], abs=0.021)


def test_late_frames_are_put_where_they_belong(tape: Tape) -> None:
    late = [
        (at + (0.3 if 20 <= n < 30 else 0.0), pcm)
        for n, (at, pcm) in enumerate(frames(tape.began_s, 1.0, "#" * 60))
    ]
    tape.heard_on.append(late)
    assert edges(tape.heard()) == pytest.approx([1.0, 2.2], abs=0.021)


def test_a_hole_in_which_nothing_came_stays_a_hole(tape: Tape) -> None:
    began_s = tape.began_s
    tape.heard_on.append([*frames(began_s, 1.0, "#" * 50), *frames(began_s, 5.0, "#" * 50)])
    assert edges(tape.heard()) == pytest.approx([1.0, 2.0, 5.0, 6.0], abs=0.021)


def test_nothing_heard_is_silence(tape: Tape) -> None:
    assert not tape.heard().any()
