"""Results as JUnit XML, which every CI system shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from xml.etree import ElementTree as ET

from repartee.evals.results import Line, Outcome, Results

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold, escaped or not."""


def junit(results: Results) -> str:
    """Return the document: a suite for each file, a case for each scenario."""
    root = ET.Element("testsuites", _counts(results.outcomes) | {"name": results.agent})
    ordered = sorted(results.outcomes, key=lambda outcome: outcome.file)
    for file, group in groupby(ordered, key=lambda outcome: outcome.file):
        outcomes = list(group)
        suite = ET.SubElement(root, "testsuite", _counts(outcomes) | {"name": file})
        for outcome in outcomes:
            _case(suite, outcome)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, outcome: Outcome) -> None:
    about = {"classname": outcome.file, "name": outcome.scenario, "time": f"{outcome.seconds:.3f}"}
    case = ET.SubElement(suite, "testcase", about)
    kind = {"failed": "failure", "error": "error", "skipped": "skipped"}.get(outcome.status)
    if kind is not None:
        told = ET.SubElement(case, kind, {"message": _clean(outcome.reason)})
        told.text = "\n".join(_clean(f"{c.name}: {c.detail}") for c in outcome.criteria if c.passed is False)
    if outcome.lines:
        ET.SubElement(case, "system-out").text = _clean("\n".join(map(said, outcome.lines)))


def said(line: Line) -> str:
    """Return a line of a conversation as text."""
    return f"{line.at_s:7.2f} s  {line.who:<6}  {line.text}{' [cut off]' if line.cut else ''}"


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    listed = list(outcomes)
    numbers = {
        "tests": len(listed),
        "failures": sum(outcome.status == "failed" for outcome in listed),
        "errors": sum(outcome.status == "error" for outcome in listed),
        "skipped": sum(outcome.status == "skipped" for outcome in listed),
    }
    seconds = sum(outcome.seconds for outcome in listed)
    return {name: str(number) for name, number in numbers.items()} | {"time": f"{seconds:.3f}"}


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
