"""What evaluations come to: an outcome for each scenario, to print, to keep and to compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from repartee.errors import ConfigError

FORMAT = 1
Status = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing a scenario asks.

    Attributes:
        name: The same in every run, so that runs can be compared.
        passed: None where the run did not come to it, or where it is only reported.
        detail: What it rests on.
        score: 0 to 1, where it is scored.
    """

    name: str
    passed: bool | None
    detail: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a conversation.

    Attributes:
        who: caller, agent or tool.
        at_s: Seconds since the call began.
        cut: It was not heard to its end.
    """

    who: Literal["caller", "agent", "tool"]
    text: str
    at_s: float
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of one scenario came to.

    Attributes:
        kind: script or simulation.
        reason: In a sentence, where it did not pass.
    """

    scenario: str
    file: str
    kind: Literal["script", "simulation"]
    status: Status
    reason: str = ""
    seconds: float = 0.0
    criteria: tuple[Criterion, ...] = ()
    lines: tuple[Line, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """All outcomes of an evaluation.

    Attributes:
        agent: Its name.
        version: Of its file and its tools.
        model: What it answered with.
        made_at: ISO 8601.
    """

    agent: str
    version: str
    model: str
    made_at: str
    outcomes: tuple[Outcome, ...]

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not any(outcome.status in ("failed", "error") for outcome in self.outcomes)

    def number(self, status: Status) -> int:
        """Return how many came out so."""
        return sum(outcome.status == status for outcome in self.outcomes)

    def to_json(self) -> str:
        """Return it for `from_json`."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def from_json(path: Path) -> Results:
    """Read what `--write` wrote.

    Raises:
        ConfigError: It cannot be read, or is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ConfigError(f"{path}: written by another version of repartee eval; write it anew")
        return Results(
            data["agent"],
            data["version"],
            data["model"],
            data["made_at"],
            tuple(_outcome(item) for item in data["outcomes"]),
        )
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); write it with --write") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: these are no results of `repartee eval`; write them with --write"
        ) from error


def _outcome(item: dict[str, Any]) -> Outcome:
    return Outcome(
        item["scenario"],
        item["file"],
        item["kind"],
        item["status"],
        item["reason"],
        item["seconds"],
        tuple(Criterion(**criterion) for criterion in item["criteria"]),
        tuple(Line(**line) for line in item["lines"]),
        item["tags"],
    )
