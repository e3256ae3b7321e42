"""Results as a page to show: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from repartee.evals.comparing import Change
from repartee.evals.results import Criterion, Line, Outcome, Results, Status

STATUSES: tuple[Status, ...] = ("passed", "failed", "error", "skipped")
_WORDS = {"error": "broken"}


def page(results: Results, changes: Sequence[Change] = ()) -> str:
    """Return the page.

    Args:
        results: What is shown.
        changes: From an evaluation before; shown first when there are any.
    """
    style = files("repartee.evals").joinpath("page.css").read_text(encoding="utf-8")
    name = escape(results.agent)
    worst_first = sorted(
        results.outcomes, key=lambda o: ("error", "failed", "skipped", "passed").index(o.status)
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name}: evaluation</title><style>{style}</style></head><body><main>",
        f"<h1>{name}</h1>",
        f'<p class="soft">{escape(_about(results))}</p>',
        *_summary(results),
        *_changes(changes),
        "<h2>Scenarios</h2>",
        *(_scenario(outcome) for outcome in worst_first),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _about(results: Results) -> str:
    return (
        f"Version {results.version}, answering with {results.model}, {results.made_at[:16].replace('T', ' ')}"
    )


def _summary(results: Results) -> list[str]:
    numbers = [(status, results.number(status)) for status in STATUSES]
    shown = [(status, number) for status, number in numbers if number or status in ("passed", "failed")]
    cells = "".join(f"<li><b>{number}</b>{_WORDS.get(status, status)}</li>" for status, number in shown)
    bar = "".join(f'<i data-status="{status}" style="flex-grow:{number}"></i>' for status, number in shown)
    return [f'<ul class="counts">{cells}</ul>', f'<div class="bar" aria-hidden="true">{bar}</div>']


def _changes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    items = (
        f'<li data-kind="{change.kind}"><span class="tag">{change.kind}</span> <b>{escape(change.scenario)}</b> '
        f'{escape(change.criterion)} <span class="soft">{escape(change.said)}</span></li>'
        for change in changes
    )
    return ["<h2>Since the baseline</h2>", f'<ul class="changes">{"".join(items)}</ul>']


def _scenario(outcome: Outcome) -> str:
    shown = " open" if outcome.status in ("failed", "error") else ""
    word = _WORDS.get(outcome.status, outcome.status)
    head = (
        f'<summary data-status="{outcome.status}"><span class="tag">{word}</span>'
        f'<b>{escape(outcome.scenario)}</b><span class="soft small">{outcome.seconds:.1f} s</span></summary>'
    )
    tags = " ".join(f"{escape(name)}: {escape(value)}" for name, value in outcome.tags.items())
    body = [
        f'<p class="soft small">{escape(outcome.file)}, {outcome.kind}{f", {tags}" if tags else ""}</p>',
        f'<p class="reason">{escape(outcome.reason)}</p>' if outcome.reason else "",
        _criteria(outcome.criteria),
        f'<ol class="talk">{"".join(map(_line, outcome.lines))}</ol>' if outcome.lines else "",
    ]
    return f'<details class="scenario"{shown}>{head}<div>{"".join(body)}</div></details>'


def _criteria(criteria: Sequence[Criterion]) -> str:
    if not criteria:
        return ""
    return f"<table><tbody>{''.join(map(_criterion, criteria))}</tbody></table>"


def _criterion(criterion: Criterion) -> str:
    word, status = {True: ("yes", "passed"), False: ("no", "failed"), None: ("-", "none")}[criterion.passed]
    score = f"{criterion.score:.2f} " if criterion.score is not None else ""
    return (
        f'<tr><th scope="row">{escape(criterion.name)}</th><td><span class="tag" data-status="{status}">{word}'
        f"</span></td><td>{score}{escape(criterion.detail)}</td></tr>"
    )


def _line(line: Line) -> str:
    cut = ' <span class="soft small">cut off</span>' if line.cut else ""
    return f'<li data-who="{line.who}"><time>{line.at_s:.1f}</time>{escape(line.text)}{cut}</li>'
