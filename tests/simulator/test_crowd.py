"""Figures of many callers: read off recordings whose sounds are known."""

from __future__ import annotations

import os

import numpy as np
import pytest

from repartee.errors import MediaError
from repartee.simulator import crowd
from repartee.simulator.crowd import PIECE, PIECE_S, RATE_HZ, Arrival, Plan, Utterance, _Caller, placed
from repartee.simulator.loads import quantiles, recovery, step_figures

TONE = (5000 * np.sin(np.arange(PIECE) * 2 * np.pi * 440 / RATE_HZ)).astype(np.int16)
QUIET = np.zeros(PIECE, np.int16)
WORDS = Utterance("words", np.zeros(2 * RATE_HZ, np.int16), 0.2, 1.8)


def arriving(pieces: list[np.ndarray], from_s: float) -> list[tuple[float, np.ndarray]]:
    return [(from_s + (number + 1) * PIECE_S, piece) for number, piece in enumerate(pieces)]


def caller() -> _Caller:
    made = _Caller.__new__(_Caller)
    made._row = {"number": 0, "outcome": "held", "refusals": 0, "joining_s": 100.0, "at_s": 0.0}
    made._heard, made._said, made._agents, made._read = [], [], [], None
    return made


def test_a_piece_that_is_late_is_where_it_was_sent() -> None:
    heard = arriving([QUIET, TONE, QUIET, TONE], 100.0)
    heard[1] = (heard[1][0] + 0.07, heard[1][1])
    tape = placed(heard, 100.0)
    assert np.flatnonzero(tape)[0] == pytest.approx(PIECE, abs=RATE_HZ * 0.002)


def test_latency_is_from_the_end_of_speech_to_the_first_sound() -> None:
    one = caller()
    one._heard = [("agent-1", arriving([QUIET] * 30 + [TONE] * 10 + [QUIET] * 10, 100.0))]
    one._said = [(WORDS, 100.5)]
    row = one.figures()
    [turn] = row["turns"]
    assert turn["latency_ms"] == pytest.approx(3000 - 500 - 1800, abs=20)
    assert not turn["missed"]
    assert not turn["cut_in"]
    assert row["gaps_ms"] == []
    assert "joining_s" not in row


def test_an_answer_into_the_words_is_no_latency() -> None:
    one = caller()
    one._heard = [("agent-1", arriving([QUIET] * 15 + [TONE] * 10, 100.0))]
    one._said = [(WORDS, 100.5)]
    [turn] = one.figures()["turns"]
    assert turn["cut_in"]
    assert "latency_ms" not in turn


def test_holes_in_the_voice_are_found() -> None:
    broken = np.concatenate([TONE, np.zeros(RATE_HZ // 10, np.int16), TONE])
    pieces = [broken[at : at + PIECE] for at in range(0, len(broken), PIECE)]
    one = caller()
    one._heard = [("agent-1", arriving([TONE, *pieces, TONE], 100.0))]
    assert one.figures()["gaps_ms"] == [100]


def test_a_caller_who_heard_and_said_nothing_has_no_figures() -> None:
    assert caller().figures()["turns"] == []
    heard = caller()
    heard._heard = [("agent-1", arriving([QUIET] * 5, 100.0))]
    assert heard.figures()["turns"] == []


def test_recovery_is_from_the_kill_to_the_other_agent_s_voice() -> None:
    def row(*heard_s: float, last_s: float = 130.0) -> dict[str, object]:
        agents = [{"identity": f"a{n}", "heard_s": at_s} for n, at_s in enumerate(heard_s)]
        return {"agents": agents, "last_heard_s": last_s}

    found = recovery([row(101.0), row(101.0, 121.5), row(101.0, last_s=119.9)], 120.0)
    assert (found["calls"], found["recovered"]) == (2, 1), "one was never heard again, one was not touched"
    assert found["audio_after_ms"]["p50"] == 1500


def test_turns_of_the_ramp_do_not_count() -> None:
    class Sampler:
        def cores(self, _: float) -> dict[str, float]:
            return {"agent": 0.5}

        def memory_mb(self) -> dict[str, float]:
            return {"agent": 100.0}

        def thread_seconds(self) -> dict[str, float]:
            return {}

    def turn(at_s: float, latency_ms: float) -> dict[str, object]:
        return {"at_s": at_s, "latency_ms": latency_ms, "missed": False, "cut_in": False}

    rows = [{"outcome": "held", "at_s": 2.0, "turns": [turn(1.0, 900.0), turn(9.0, 500.0)], "gaps_ms": [80]}]
    figures = step_figures(rows, Sampler(), ramp_s=8.0)  # type: ignore[arg-type]
    assert figures["turns"] == 1
    assert figures["latency_ms"]["p50"] == 500
    assert (figures["gaps"], figures["longest_gap_ms"]) == (1, 80)
    assert quantiles([])["n"] == 0


def test_a_plan_travels_to_the_other_process_without_its_sounds_being_printed() -> None:
    plan = Plan("http://x", (Arrival(0.0, (0,), 10.0),), (WORDS,))
    assert len(repr(plan)) < 400


def dies(_: Plan) -> None:
    """Do as the media engine does when it gives up."""
    os.abort()


async def test_callers_whose_process_dies_are_told_of_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "run_crowd", dies)
    with pytest.raises(MediaError, match="at a lower --rate"):
        await crowd.gather_crowd(Plan("http://x", (), (WORDS,)))
