"""Words of somebody else in a request to a model: told apart from ours, short, and without marks that models obey."""

from __future__ import annotations

import json
import re

MAX_CHARACTERS = 80
_ROLE_MARKS = re.compile(
    r"<\|[\w ]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start_of_turn|end_of_turn|tool_call|tool_response|system)>",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[\w:.+@/-]{1,40}")
"""One word, a number, a day, a time: nothing that could be read as a sentence."""


def disarmed(text: str) -> str:
    """Return a text without the marks by which models know who is speaking: they would end its being a quotation."""
    return _ROLE_MARKS.sub(" ", text)


def quoted(value: str) -> str:
    """Return a value for a note to the model: as it is where it is one word, else in quotes, in one short line."""
    if _PLAIN.fullmatch(value):
        return value
    line = " ".join(disarmed(value).split())
    kept = line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}…"
    return json.dumps(kept, ensure_ascii=False)
