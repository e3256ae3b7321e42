"""What evaluations leave: JUnit, a page, JSON, and what changed since the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from repartee.errors import ConfigError
from repartee.evals.comparing import compare
from repartee.evals.junit import junit
from repartee.evals.page import page
from repartee.evals.results import Criterion, Line, Outcome, Results, from_json

GOOD = Outcome(
    "desk/hours",
    "desk.yaml",
    "script",
    "passed",
    seconds=0.5,
    criteria=(Criterion("turn 1: response with 'nine'", passed=True, detail="From nine."),),
    lines=(Line("caller", "When?", 0.1), Line("agent", "From <nine>\x00 & on.", 0.2, cut=True)),
)
BAD = Outcome(
    "desk/curious",
    "desk.yaml",
    "simulation",
    "failed",
    "goal not met: no",
    1.5,
    (Criterion("success", passed=False, detail="no"), Criterion("polite", None, "all", 0.9)),
    tags={"topic": "<b>"},
)
SKIPPED = Outcome("desk/keys", "keys.yaml", "script", "skipped", "it presses keys")
RESULTS = Results("Desk & <Co>", "abc", "a model", "2026-11-27T10:00:00+00:00", (GOOD, BAD, SKIPPED))


def with_(*outcomes: Outcome) -> Results:
    return replace(RESULTS, outcomes=outcomes)


def test_junit_has_a_suite_for_each_file() -> None:
    root = ET.fromstring(junit(RESULTS))  # noqa: S314 - it is ours
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    desk, keys = root.findall("testsuite")
    assert (desk.get("name"), keys.get("name")) == ("desk.yaml", "keys.yaml")
    hours, curious = desk.findall("testcase")
    assert hours.find("failure") is None
    assert "agent   From <nine>\N{REPLACEMENT CHARACTER} & on. [cut off]" in (
        hours.findtext("system-out") or ""
    )
    failure = curious.find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("goal not met: no", "success: no")
    assert keys.find("testcase/skipped") is not None


def test_the_page_has_everything_and_runs_nothing_that_was_said() -> None:
    shown = page(RESULTS, compare(with_(replace(GOOD, status="failed"), BAD), RESULTS))
    assert "<b>1</b>passed" in shown
    assert "Desk &amp; &lt;Co&gt;" in shown
    assert "From &lt;nine&gt;" in shown
    assert "<nine>" not in shown
    assert "topic: &lt;b&gt;" in shown
    assert 'data-kind="better"' in shown
    assert shown.index("desk/curious") < shown.index('<b>desk/hours</b><span class="soft small">'), (
        "worst first"
    )
    assert "http" not in shown, "it needs nothing else"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(RESULTS.to_json(), encoding="utf-8")
    assert from_json(file) == RESULTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no results"),
        ("[]", "no results"),
        ('{"format": 99}', "another version"),
        (None, "cannot be read"),
    ],
)
def test_what_is_none_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "results.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        from_json(file)


def kinds(before: Results, now: Results) -> list[tuple[str, str, str]]:
    return [(change.kind, change.scenario, change.criterion) for change in compare(before, now)]


def test_the_same_is_no_change() -> None:
    assert not compare(RESULTS, RESULTS)


def test_a_criterion_that_no_longer_passes_is_worse() -> None:
    broken = replace(GOOD, status="failed", criteria=(replace(GOOD.criteria[0], passed=False),))
    assert kinds(with_(GOOD), with_(broken)) == [("worse", "desk/hours", "turn 1: response with 'nine'")]
    assert kinds(with_(broken), with_(GOOD)) == [("better", "desk/hours", "turn 1: response with 'nine'")]


def test_a_scenario_that_breaks_before_its_criteria_is_worse() -> None:
    broken = replace(GOOD, status="error", reason="no model", criteria=())
    assert kinds(with_(GOOD), with_(broken)) == [("worse", "desk/hours", "")]
    assert kinds(with_(SKIPPED), with_(replace(SKIPPED, status="passed"))) == [("better", "desk/keys", "")]


@pytest.mark.parametrize(("score", "found"), [(0.7, "worse"), (0.85, None), (1.0, None)])
def test_a_score_that_falls_by_more_than_it_wavers_is_worse(score: float, found: str | None) -> None:
    now = replace(BAD, criteria=(BAD.criteria[0], replace(BAD.criteria[1], score=score)))
    assert kinds(with_(BAD), with_(now)) == ([(found, "desk/curious", "polite")] if found else [])


def test_what_is_new_is_worse_only_where_it_fails() -> None:
    assert kinds(with_(), with_(GOOD, BAD)) == [("new", "desk/hours", ""), ("worse", "desk/curious", "")]
    assert kinds(with_(GOOD), with_()) == [("gone", "desk/hours", "")]
