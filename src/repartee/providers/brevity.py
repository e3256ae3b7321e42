"""Short answers, when the money for a call runs out: one sentence asked for, and a bound the model cannot pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INSTRUCTION = "Answer in one short sentence, in the language of the conversation."
MAX_TOKENS = 80
"""Some 60 words: more than the sentence asked for, so that it is not cut in the middle."""


@dataclass(frozen=True, slots=True)
class Brevity:
    """When answers must be short.

    Attributes:
        wanted: Says whether they must be now.
        field: What the server calls the bound: OpenAI "max_completion_tokens", most others "max_tokens".
    """

    wanted: Callable[[], bool]
    field: str = "max_tokens"


def shorten(params: dict[str, Any], brevity: Brevity) -> None:
    """Ask for a short answer in a chat request; a lower bound that is there stays."""
    # Last, not first: the beginning of the prompt stays the same, and with it what the provider has cached of it.
    params["messages"] = [*params["messages"], {"role": "system", "content": INSTRUCTION}]
    before = params.get(brevity.field)
    params[brevity.field] = min(before, MAX_TOKENS) if isinstance(before, int) else MAX_TOKENS
