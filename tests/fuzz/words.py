"""Readers of what people say: slots, intents, facts, corrections, consent; what voice and transcript are given."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from repartee.agent.forms import FormSlot
from repartee.agent.saying import say_value
from repartee.agent.slots import Slot
from repartee.conversation import (
    clauses,
    consent,
    extraction,
    intents,
    likeness,
    questions,
    reading,
    speakable,
)
from repartee.conversation.facts import Facts, fit, render
from repartee.conversation.redacting import redacted
from repartee.conversation.routing import Turn, route
from repartee.conversation.summaries import lines_of, pick, read_summary
from repartee.providers.slots import read_slot, say_slot
from repartee.session.forms import read_value
from repartee.session.toolbox import fill
from tests.fuzz.made import lines, text, values, words
from tests.fuzz.target import Target

TODAY = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
TYPES = ("text", "name", "date", "time", "phone", "number", "choice")
LANGUAGES = ("en", "de", "es", "de-AT", "xx")
said = st.one_of(words, text)


def slot(case: tuple[str, str, bool]) -> None:
    kind, spoken, asked = case
    wanted: Any = {"type": kind, "ask": "What?", **({"choices": ("red", "blue")} if kind == "choice" else {})}
    value = read_slot(Slot(**wanted), spoken, TODAY, asked=asked)
    if value is not None:
        assert isinstance(say_slot(Slot(**wanted), value, TODAY), str)


def form_value(case: tuple[str, Any]) -> None:
    kind, value = case
    wanted: Any = {"type": kind, "ask": "What?", **({"choices": ("red", "blue")} if kind == "choice" else {})}
    try:
        read = read_value(FormSlot(**wanted), value)
    except ValueError:
        return
    assert kind != "number" or math.isfinite(float(read))


def learned(case: list[tuple[str, str, str]]) -> None:
    facts: Facts = ()
    for number, (asked, user, agent) in enumerate(case):
        facts, made = extraction.learn(facts, extraction.Words(number, asked, user, agent, (user[:20],)))
        assert all(isinstance(correction.new, str) for correction in made)
    kept, cost = fit(facts, 200)
    assert cost >= 0
    assert isinstance(render(kept), str)


def read_all(spoken: str) -> None:
    reading.sentences(spoken)
    reading.names(spoken)
    reading.spelled(spoken)
    reading.name_at(spoken)
    assert isinstance(reading.with_digits(spoken), str)


def asked(case: tuple[str, str, str]) -> None:
    one, other, before = case
    first, second = questions.read(one), questions.read(other)
    likeness.compare(first, second)
    likeness.why_not_alone(one, other)
    likeness.why_not_learned(first, other, before)
    questions.normalised(one)


def routed(case: tuple[str, str]) -> None:
    for language in LANGUAGES:
        consent.verdict(case[0], language)
        intents.cue(case[0], language)
    rules = (intents.IntentRule("book", ("book",)), intents.IntentRule("ask", ("a question",)))
    intents.intent_by_phrase(case[0], rules)
    route(Turn(*case, has_tools=True))


def voiced(spoken: str) -> None:
    cutter = clauses.ClauseCutter()
    made = [clause for at in range(0, len(spoken), 7) for clause in cutter.add(spoken[at : at + 7])]
    for clause in (*made, cutter.flush()):
        given = speakable.speakable(clause)
        assert "<" not in given
        assert ">" not in given


def transcribed(spoken: str) -> None:
    once = redacted(spoken)
    assert redacted(once) == once


def summarised(case: tuple[bytes, str]) -> None:
    data, material = case
    with contextlib.suppress(ValueError):
        read_summary(data.decode(errors="replace"), material, 1)
    told = lines_of([{"role": "user", "content": material}, {"role": "tool", "content": material}])
    pick(told, 50)


def spoken_value(case: tuple[Any, str]) -> None:
    value, language = case
    assert isinstance(say_value(value, language), str)
    fill("A {a} and {b}", {"a": str(value)})


TARGETS = [
    Target("slots", st.tuples(st.sampled_from(TYPES), said, st.booleans()), slot, 80, fixed=frozenset(TYPES)),
    Target("form values", st.tuples(st.sampled_from(TYPES), values), form_value, 50, fixed=frozenset(TYPES)),
    Target("facts and corrections", st.lists(st.tuples(words, words, words), max_size=5), learned, 30),
    Target("spoken values", said, read_all, 90),
    Target("questions", st.tuples(said, said, said), asked, 50),
    Target("yes, no and cues", st.tuples(said, said), routed, 80),
    Target("clauses for the voice", said, voiced, 90),
    Target("redaction", said, transcribed, 80),
    Target(
        "summaries of models",
        st.tuples(
            lines({"summary": "A.", "facts": [{"kind": "name", "about": "caller", "text": "Ann"}]}), words
        ),
        summarised,
        30,
    ),
    Target(
        "values read out",
        st.tuples(values, st.sampled_from(LANGUAGES)),
        spoken_value,
        50,
        fixed=frozenset(LANGUAGES),
    ),
]
