"""What was measured, as benchmarks/results has it, and the names that the pages give the systems."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MANY = 8
"""So many calls at once are compared with other systems; of more it is told what they cost each other."""
PLAIN, SAVING = "repartee-plain", "repartee-saving"
NAMES = {
    "repartee": "**repartee**",
    "pipecat": "Pipecat 1.14",
    "pipecat-tuned": "Pipecat 1.14, tuned",
    "livekit": "LiveKit Agents 1.8.9",
    "livekit-tuned": "LiveKit Agents 1.8.9, tuned",
    PLAIN: "nothing saved",
    SAVING: "everything saved",
    "repartee-realtime": "one model that hears and speaks",
}


def load(name: str) -> Figures:
    """Return a result.

    Raises:
        FileNotFoundError: It was not measured.
    """
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def of(name: str, *, otherwise: str = "") -> Callable[[Callable[[Figures], str]], Callable[[], str]]:
    """Hand a result to a function that writes about it; where it was not measured, say `otherwise` instead."""

    def handed(write: Callable[[Figures], str]) -> Callable[[], str]:
        @functools.wraps(write)
        def written() -> str:
            return write(load(name)) if (RESULTS / f"{name}.json").is_file() else otherwise

        return written

    return handed
