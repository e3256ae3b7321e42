"""The parts of a wait: whose they are, and that they add up to it whatever is known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repartee.telemetry.waterfall import ADVICE, MEANS, OWNERS, TITLES, Span, Waited, by_owner, parts

MARKS = {
    "speech.paused": 1060.0,
    "transcript": 1110.0,
    "reply.started": 1112.0,
    "reply.first_text": 1460.0,
    "reply.voiced": 1300.0,
    "reply.first_audio": 1700.0,
    "reply.released": 1400.0,
    "reply.audible": 1705.0,
}


def owners(waited: Waited) -> list[tuple[str, str, float]]:
    return [(part.key, part.owner, part.ms) for part in parts(waited)]


def test_a_turn_that_waited_for_model_and_voice() -> None:
    model, voice = Span("openai:m", 1115.0, 1600.0), Span("cartesia:v", 1500.0, 1900.0)
    assert owners(Waited(1000.0, 1705.0, MARKS, model=model, voice=voice, stt="openai:t")) == [
        ("noticed", "endpointing", 60.0),
        ("transcribed", "speech-to-text", 50.0),
        ("asked", "us", 5.0),
        ("thought", "model", 345.0),
        ("clause", "model", 40.0),
        ("spoken", "voice", 200.0),
        ("played", "us", 5.0),
    ]


def test_a_model_that_speaks_itself_has_one_part() -> None:
    model = Span("openai:gpt-realtime", 1113.0, 1900.0)
    assert owners(Waited(1000.0, 1705.0, MARKS, model=model, stt="openai:t", speaks=True)) == [
        ("noticed", "endpointing", 60.0),
        ("transcribed", "speech-to-text", 50.0),
        ("asked", "us", 3.0),
        ("answered", "model", 587.0),
        ("played", "us", 5.0),
    ]


def test_an_answer_that_was_there_before_the_words_waited_for_them() -> None:
    marks = MARKS | {
        "reply.started": 1070.0,
        "reply.first_audio": 1500.0,
        "transcript": 1695.0,
        "reply.released": 1700.0,
    }
    waited = Waited(
        1000.0, 1705.0, marks, model=Span("openai:gpt-realtime", 1071.0, 1900.0), stt="t", speaks=True
    )
    assert owners(waited) == [
        ("noticed", "endpointing", 60.0),
        ("transcribed", "speech-to-text", 635.0),
        ("decided", "endpointing", 5.0),
        ("played", "us", 5.0),
    ]


def test_what_was_ready_before_the_turn_was_over_was_not_waited_for() -> None:
    marks = MARKS | {"reply.released": 2100.0}
    assert owners(Waited(1000.0, 2110.0, marks)) == [
        ("noticed", "endpointing", 60.0),
        ("decided", "endpointing", 1040.0),
        ("played", "us", 10.0),
    ]


def test_a_reply_that_began_only_when_the_turn_was_over() -> None:
    marks = {
        "speech.paused": 1060.0,
        "transcript": 1100.0,
        "reply.started": 1500.0,
        "reply.first_audio": 1800.0,
    }
    assert [(key, ms) for key, _, ms in owners(Waited(1000.0, 1800.0, marks))] == [
        ("noticed", 60.0),
        ("transcribed", 40.0),
        ("decided", 400.0),
        ("spoken", 300.0),
    ]


def test_a_voice_that_waited_until_the_end_was_sure() -> None:
    marks = MARKS | {"reply.voiced": 1650.0, "reply.released": 1680.0, "reply.first_audio": 1900.0}
    waited = Waited(1000.0, 1900.0, marks)
    assert ("trusted", "endpointing", 190.0) in owners(waited)
    assert ("spoken", "voice", 250.0) in owners(waited)


def test_a_tool_has_its_own_part_between_two_of_the_model() -> None:
    tools = [Span("free_slots", 1200.0, 1400.0), Span("later", 1600.0, 1650.0)]
    found = parts(Waited(1000.0, 1705.0, MARKS, tools))
    assert [(part.key, part.by, part.ms) for part in found if part.owner in {"tools", "model"}] == [
        ("called", "", 88.0),
        ("tool", "free_slots", 200.0),
        ("thought", "", 60.0),
    ]


def test_the_time_without_a_connection_is_the_network_s() -> None:
    outages = [Span("", 1200.0, 1300.0), Span("", 1650.0, 1702.0)]
    found = parts(Waited(1000.0, 1705.0, MARKS, outages=outages))
    assert [(part.began_ms, part.ms) for part in found if part.owner == "network"] == [
        (1200.0, 100.0),
        (1650.0, 50.0),
        (1700.0, 2.0),
    ]
    assert sum(part.ms for part in found) == pytest.approx(705.0)


def test_nothing_but_the_wait_is_known() -> None:
    assert owners(Waited(1000.0, 1500.0, {})) == [("played", "us", 500.0)]


moments = st.floats(min_value=0, max_value=5000)
spans = st.builds(Span, st.just("x"), moments, moments)


@given(
    st.dictionaries(st.sampled_from(sorted(MARKS)), moments),
    moments,
    moments,
    st.lists(spans, max_size=3),
    st.none() | spans,
    st.none() | spans,
    st.lists(spans, max_size=2),
)
def test_the_parts_add_up_without_a_gap_whatever_the_marks_say(
    marks: dict[str, float],
    ended: float,
    wait: float,
    tools: list[Span],
    model: Span | None,
    voice: Span | None,
    outages: list[Span],
) -> None:
    found = parts(Waited(ended, ended + wait, marks, tools, model, voice, "", outages))
    assert sum(part.ms for part in found) == pytest.approx(wait, abs=0.1 * (len(found) + 1))
    for before, after in pairwise(found):
        assert after.began_ms == pytest.approx(before.began_ms + before.ms, abs=0.2)
    assert all(
        part.ms >= 0
        and part.key in TITLES
        and part.key in ADVICE
        and part.key in MEANS
        and part.owner in OWNERS
        for part in found
    )
    assert sum(by_owner(found).values()) == pytest.approx(wait, abs=0.1 * (len(found) + 1) + 1)
