"""Facts of a call that outlive every fold: names, numbers, dates, decisions, open questions.

A fact is a few words with a kind. It is replaced when the user corrects it and when the same thing is told again
(another phone number for the same person); otherwise it stays, until there is no room for it. What leaves first then
is what the agent said and what stands without a label, oldest first; what is dropped is counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from repartee.conversation.tokens import text_tokens
from repartee.goals import Goals

FactKind = Literal[
    "name",
    "phone",
    "email",
    "number",
    "amount",
    "date",
    "time",
    "decision",
    "question",
    "action",
    "detail",
]
"""`action`: what a tool did. `detail`: anything else worth keeping; only a model finds those."""
Speaker = Literal["user", "agent", "tool"]
KINDS: tuple[FactKind, ...] = get_args(FactKind)
_HEADINGS: dict[FactKind, str] = {
    "name": "Names",
    "phone": "Phone numbers",
    "email": "E-mail",
    "number": "Numbers",
    "amount": "Amounts",
    "date": "Dates",
    "time": "Times",
    "decision": "Decided",
    "question": "Open questions",
    "action": "Done",
    "detail": "Details",
}
_LASTING: frozenset[FactKind] = frozenset(
    {"name", "phone", "email", "number", "decision", "question", "action"}
)
MAX_CHARACTERS = 160
"""Of one fact's words."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    Attributes:
        kind: What sort of fact.
        about: What it tells: "caller", "order number", "daughter"; empty when only its own words say so.
        text: The words, as the model is shown them.
        turn: The turn it was last told in.
        speaker: Who told it.
        values: The names, numbers or times in it, as they stand in `text`; what a correction replaces.
    """

    kind: FactKind
    about: str
    text: str
    turn: int
    speaker: Speaker = "user"
    values: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """Two facts of one identity tell the same thing; the newer one counts."""
        return self.kind, self.about.lower() if self.about else plain(self.text)

    @property
    def shown(self) -> str:
        """The fact in words."""
        return f"{self.about}: {self.text}" if self.about else self.text


Facts = tuple[Fact, ...]
"""In the order they were learned, which is kept, so that a prompt's beginning changes little."""


def plain(text: str) -> str:
    """Return a text's words in lower case, without signs."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def pin(facts: Facts, fact: Fact) -> Facts:
    """Add a fact; one of the same identity is replaced where it stands, unless it is newer."""
    fact = replace(fact, text=shorten(fact.text, MAX_CHARACTERS))
    for index, known in enumerate(facts):
        if known.identity == fact.identity:
            if known.turn > fact.turn:
                return facts
            return (*facts[:index], fact, *facts[index + 1 :])
    return (*facts, fact)


def unpin(facts: Facts, fact: Fact) -> Facts:
    """Take a fact away."""
    return tuple(known for known in facts if known.identity != fact.identity)


def corrected(text: str, old: str, new: str) -> str:
    """Return a text with a value replaced wherever it stands as a word of its own."""
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text)


def correct(facts: Facts, target: Fact, old: str, new: str, turn: int) -> Facts:
    """Replace a value in the fact that was meant, and in whatever repeated it since."""
    result: list[Fact] = []
    for fact in facts:
        meant = fact.identity == target.identity
        holds = any(corrected(value, old, new) != value for value in fact.values)
        if meant or (holds and (target.kind in _EVERYWHERE or fact.turn >= target.turn)):
            values = tuple(corrected(value, old, new) for value in fact.values)
            fact = replace(  # noqa: PLW2901 - the corrected one takes its place
                fact, text=corrected(fact.text, old, new), values=values, turn=turn if meant else fact.turn
            )
        result.append(fact)
    unique: Facts = ()
    for fact in result:
        unique = pin(unique, fact)
    return unique


_EVERYWHERE: frozenset[FactKind] = frozenset({"name", "phone", "email", "number"})
"""Kinds whose values mean one thing only; "ten" may be an hour here and a price there."""


def fit(facts: Facts, max_tokens: int) -> tuple[Facts, int]:
    """Drop what matters least until the facts take at most `max_tokens`; return them and how many were dropped."""
    costs = [text_tokens(fact.shown) + 3 for fact in facts]
    left = sum(costs) + text_tokens(" ".join(_HEADINGS.values())) + 2 * len(_HEADINGS)
    if left <= max_tokens:
        return facts, 0
    gone: set[int] = set()
    for index in sorted(range(len(facts)), key=lambda i: (_weight(facts[i]), facts[i].turn)):
        if left <= max_tokens:
            break
        gone.add(index)
        left -= costs[index]
    return tuple(fact for index, fact in enumerate(facts) if index not in gone), len(gone)


def _weight(fact: Fact) -> int:
    """How long a fact is kept when there is no room: 0 leaves first."""
    if fact.speaker == "agent" and fact.kind not in ("decision", "action"):
        return 0
    if fact.kind == "detail" or (not fact.about and fact.kind not in _LASTING):
        return 1
    return 3 if fact.about or fact.kind == "decision" else 2


def open_goals(goals: Goals, turn: int) -> Facts:
    """Return what the caller wanted and has not got, as open questions."""
    return tuple(
        Fact(
            "question",
            goal.intent,
            shorten(
                ", ".join(("not finished", *(f"{k}: {v}" for k, v in goal.values.items()))), MAX_CHARACTERS
            ),
            turn,
        )
        for goal in goals.unfinished
    )


def render(facts: Facts) -> str:
    """Return the facts as lines by kind; empty when there are none."""
    by_kind = {kind: [_line(fact) for fact in facts if fact.kind == kind] for kind in KINDS}
    return "\n".join(f"{_HEADINGS[kind]}: {'; '.join(told)}" for kind, told in by_kind.items() if told)


def _line(fact: Fact) -> str:
    words = fact.shown.rstrip(".;")
    return f"{words} (the agent said)" if fact.speaker == "agent" and fact.kind != "decision" else words


def shorten(text: str, characters: int) -> str:
    """Return a text on one line, cut at a word to at most so many characters."""
    text = " ".join(text.split())
    if len(text) <= characters:
        return text
    return text[: characters - 1].rsplit(" ", 1)[0] + "…"
