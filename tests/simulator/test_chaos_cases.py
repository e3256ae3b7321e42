"""The chaos suite's cases, its blocks and its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repartee.cli.chaos import _blocks, _refused, _row, _unplayed
from repartee.cli.chaos_rows import write_rows
from repartee.errors import ConfigError
from repartee.simulator.chaos.cases import ANSWERS, CASES, FIRST, LAST, chosen
from repartee.simulator.chaos.judge import Heard, Verdict
from repartee.simulator.chaos.report import tables
from repartee.simulator.material import Material
from repartee.simulator.providers.replies import Replies
from repartee.simulator.systems import OURS
from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "data" / "chaos_script.yaml"


def test_every_question_has_the_answer_that_is_listened_for(speech: Path) -> None:
    material = Material(speech, ROOT / "benchmarks" / "transcripts.json", 1)
    items = {item.name: item for item in material.suite("latency")}
    replies = Replies(SCRIPT)
    for name, numbers in ANSWERS.items():
        text = replies.answer([{"role": "user", "content": items[name].text}]).text
        assert [int(word) for word in text.replace(",", " ").split() if word.isdigit()] == list(numbers)
    every = [number for numbers in ANSWERS.values() for number in numbers]
    assert len(set(every)) == len(every), "a number tells which answer it is of"


def test_cases_have_names_of_their_own_and_known_questions() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.question in ANSWERS and case.question not in {FIRST, LAST} for case in CASES)


def test_the_short_run_is_short() -> None:
    quick = chosen((), quick=True)
    assert 6 <= len(quick) <= 10
    assert chosen(("llm-hang",), quick=False)[0].name == "llm-hang"
    assert len(chosen((), quick=False)) == len(CASES)
    with pytest.raises(ConfigError, match=r"there is no case 'llm-hnag'; did you mean 'llm-hang'\?"):
        chosen(("llm-hnag",), quick=False)


def test_cases_that_need_the_same_are_played_together_and_each_once() -> None:
    blocks = list(_blocks((OURS, "pipecat"), list(CASES)))
    ours = [case.name for system, block in blocks if system == OURS for case in block]
    assert sorted(ours) == sorted(case.name for case in CASES)
    assert all(len({(str(c.models), c.needs) for c in block}) == 1 for _, block in blocks)
    theirs = {case.name for system, block in blocks if system == "pipecat" for case in block}
    assert "llm-hang" in theirs
    assert "database-away" not in theirs, "Pipecat has none"


def row(system: str, case: str, **more: Any) -> dict[str, Any]:
    return {
        "system": system,
        "case": case,
        "what": f"what {case} is",
        "seen": "answered",
        "added_silence_s": 0.25,
        "recovery_s": None,
        "lost": 1,
        "said_twice": 0,
        "next_turn": "answered",
        "broken": [],
        "expected": "",
        "verdict": "held",
        "details": {"during": {"heard": 3}},
        **more,
    }


def test_tables() -> None:
    rows = [
        row(OURS, "call-killed", verdict="expected", expected="a reason", seen="silence"),
        row(OURS, "llm-hang"),
        row("livekit", "llm-hang", seen="silence", next_turn="silence", said_twice=2),
    ]
    text = tables({"profile": "fixed:1/2/3", "machine": "2 CPUs", "rows": rows})
    assert "2 faults, each in the second of three turns of a real call; in 1 of them" in text
    assert "| what llm-hang is | answered | 0.2 | - | 1 of 4 | 0 | kept |" in text
    assert "| what call-killed is | silence | 0.2 | - | 1 of 4 | 0 | not yet: a reason |" in text
    assert text.index("llm-hang") < text.index("call-killed"), "in the suite's order"
    assert "| fault | repartee | LiveKit Agents 1.8.9 |" in text
    assert "| what llm-hang is | answered | silence, 2 parts twice (silence) |" in text


@pytest.mark.parametrize(
    ("others", "broken"),
    [
        (["answered", "refused: 503, told when to come again"], []),
        (["silence", "answered"], ["1 others who called heard nothing at all"]),
        (
            ["refused: 429, told when to come again", "failed: no answer", "answered"],
            ["others who called: refused: 429, told when to come again; failed: no answer"],
        ),
    ],
)
def test_how_others_fared_counts(others: list[str], broken: list[str]) -> None:
    case = next(case for case in CASES if case.name == "overload")
    silent = Heard("answered", 3, 0, 0, ordered=True, foreign=0, first_s=1.0, silent_s=1.0, last_s=5.0)
    made = _row(case, OURS, Verdict(silent, silent, 0.0, 0.0, ()), 1.0, {"others": others})
    assert made["broken"] == broken
    assert made["verdict"] == ("broken" if broken else "held")


def test_a_case_that_was_not_played_says_nothing_of_a_system() -> None:
    made = _unplayed(CASES[0], "livekit", "the turn before the fault was not answered")
    assert (made["verdict"], made["seen"]) == ("unplayed", "not played")
    assert made["broken"] == ["the turn before the fault was not answered"]


def test_what_was_refused_is_read_off_the_timeline(tmp_path: Path) -> None:
    file = tmp_path / "call.jsonl"
    refused = {"name": "messages.refused", "at_ms": 9.0, "data.too_many": 9800, "chat.not_caller": 1}
    file.write_text("\n".join(json.dumps(mark) for mark in ({"name": "connected", "at_ms": 1.0}, refused)))
    assert _refused(file) == {"data.too_many": 9800, "chat.not_caller": 1}


def test_results_are_written_over_those_of_the_same_case(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    write_rows(file, [row(OURS, "llm-hang"), row(OURS, "tts-cut")], "fixed:1/2/3", {})
    write_rows(file, [row(OURS, "tts-cut", seen="silence")], "fixed:1/2/3", {})
    rows = json.loads(file.read_text())["rows"]
    assert [(r["case"], r["seen"]) for r in rows] == [("llm-hang", "answered"), ("tts-cut", "silence")]
