"""A model's memory, simulated without one: notes made from the text given, and answers from the prompt alone.

Both are deterministic. A fact that is not in the prompt is not known, so a fact that a memory lost is a wrong answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

RECALL = re.compile(r"\b(?:do you (?:still )?remember|remind me|tell me again)\b[^?]*\?", re.IGNORECASE)
"""A question about what was said before; everything else is answered as ever."""
UNKNOWN = "I'm sorry, I don't know that."
MAX_FACTS = 8
_SMALL = (
    "a an the and or of to in on at for with about is are was were be do does did have has had i you he she it we "
    "they my your our his her their me us what when where who which how much many still remember remind tell again "
    "said say told that this there please can could"
)
_SMALL_WORDS = frozenset(_SMALL.split())
_STATED = re.compile(r"\b(?:my|our|the) ([a-z]+(?: [a-z]+)?) (?:is|are|was) ([^.,;?!]{2,60})", re.IGNORECASE)
_LINE = re.compile(r"^(User|Agent|Done): (.+)$")
_WORDS = re.compile(r"at most (\d+) words")


def notes(messages: Sequence[dict[str, Any]]) -> str:
    """Answer a request for notes: the earlier ones and what was stated since, less what is like something else."""
    instruction, material = str(messages[0].get("content")), str(messages[-1].get("content"))
    limit = int(match.group(1)) if (match := _WORDS.search(instruction)) else 200
    _, _, after = material.partition("Turns after them:\n")
    _, _, earlier = material.partition("Notes so far:\n")
    earlier = earlier.partition("\n\nTurns after them:\n")[0]
    told = [text for line in after.splitlines() if (match := _LINE.match(line)) for text in [match.group(2)]]
    kept = [part for part in re.split(r"(?<=[.!])\s+|\n", earlier) if part]
    kept += [text for text in told if len(text.split()) > 5 and not text.endswith("?")]
    while len(kept) > 1 and sum(len(part.split()) for part in kept) > limit:
        del kept[_most_like_another(kept)]
    facts = [
        {"kind": "detail", "about": thing.lower(), "text": value.strip()}
        for text in told
        for thing, value in _STATED.findall(text)
    ]
    return json.dumps({"summary": " ".join(kept) or "Nothing of note was said.", "facts": facts[:MAX_FACTS]})


def _most_like_another(parts: Sequence[str]) -> int:
    """The sentence that is missed least: the one with the most words in common with another, the older of two."""
    words = [_content(part) for part in parts]

    def likeness(index: int) -> float:
        own = words[index]
        others = (len(own & other) / (len(own | other) or 1) for at, other in enumerate(words) if at != index)
        return max(others, default=0.0)

    return max(range(len(parts)), key=lambda index: (likeness(index), -index))


def recalled(question: str, messages: Iterable[dict[str, Any]]) -> str:
    """Answer a question about what was said: the part of the prompt that has its words, the newest of the best."""
    match = RECALL.search(question)
    wanted = _content(match.group() if match else question)
    best, answer = (0, False), ""
    for part in _parts(messages, question):
        # Of two with as many of the words, what was stated, not asked; of those, the newer.
        rank = (len(wanted & _content(part)), not part.endswith("?"))
        if rank >= best:
            best, answer = rank, part
    if not wanted or best[0] < max(1, round(0.6 * len(wanted))):
        return UNKNOWN
    return f"You told me: {answer}."


def _parts(messages: Iterable[dict[str, Any]], question: str) -> Iterable[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            text = content.replace(question, "") if message.get("role") == "user" else content
            # A full stop inside a number or an address ends nothing.
            for part in re.split(r"\n|;|(?<=[.!?…])\s+", text):
                if part.strip() and not RECALL.search(part):
                    yield part.strip().rstrip(".")


def _content(text: str) -> set[str]:
    return {
        word.removesuffix("'s").rstrip("s") for word in re.findall(r"[\w']+", text.lower())
    } - _SMALL_WORDS
