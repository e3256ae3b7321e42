"""What a user takes back: "no, it's Smyth", "not Tuesday, Thursday", letters that spell a name that is known.

A correction names the new value and often not the old one, so the newest fact of that sort is meant. It must be said
as one: a "no" before a long sentence is an answer, not a correction.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from repartee.conversation import reading
from repartee.conversation.facts import Fact, FactKind, Facts

RECENT_TURNS = 4
"""An hour or a price is taken back soon or not at all."""
ALIKE = 0.45
"""From here on two spellings are taken for the same name."""

_NO = re.compile(
    r"^(?:(?:no|nope|sorry|wait|actually|correction|oh|uh|well|i'm sorry|excuse me|pardon|not quite|that's wrong"
    r"|that's not (?:right|correct)|that is wrong)\b[,.!;: ]*)+",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:(?:it's|it is|its|it was|it should be|that's|that is|(?:the|my) (?:name|number) is|i said|i meant"
    r"|i mean|make (?:it|that)|we said|rather|better|at|on|with|for|to)\s+)+",
    re.IGNORECASE,
)
_MEANT = re.compile(r"^(?:i meant|i mean|i said|make (?:it|that)|correction)\b", re.IGNORECASE)
_TAIL = re.compile(
    r",?\s*(?:please|instead|then|actually|with (?:a|an|two|one) .{1,20}|sorry)?[.!]*$", re.IGNORECASE
)
_NEW_NOT_OLD = re.compile(r"^(?P<new>.+?),? not (?P<old>[^,]+?)[.!]*$", re.IGNORECASE)
_NOT_OLD_NEW = re.compile(
    r"^(?:it's |it is |that's )?not (?P<old>[^,.]+?)(?:[,.;]| but)\s*(?:it's |it is |but |that's )?"
    r"(?P<new>.+?)[.!]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A value of a fact that is replaced, and the turn it was taken back in."""

    target: Fact
    old: str
    new: str
    turn: int = 0


def correction_in(
    sentence: str, facts: Facts, turn: int, *, after_no: bool
) -> tuple[Correction | None, bool]:
    """Read a sentence as a correction.

    Args:
        sentence: What was said.
        facts: What is known.
        turn: The turn it was said in.
        after_no: The sentence before was nothing but "no" or the like.

    Returns:
        The correction, None when it is none; and whether this sentence is such a bare "no".
    """
    body = _NO.sub("", sentence).strip()
    if not body:
        return None, True
    correction = _read(sentence, body, facts, turn, after_no=after_no)
    return replace(correction, turn=turn) if correction else None, False


def _read(sentence: str, body: str, facts: Facts, turn: int, *, after_no: bool) -> Correction | None:
    said_no = after_no or len(body) < len(sentence.strip()) or _MEANT.match(body) is not None
    for pattern in (_NOT_OLD_NEW, _NEW_NOT_OLD):
        if match := pattern.match(body):
            explicit = _explicit(match["old"].strip(), _stripped(match["new"]), facts)
            if explicit is not None:
                return explicit
    if not said_no:
        return None
    value = _stripped(body)
    kind = _kind_of(value)
    if kind is None:
        return None
    if kind == "name":
        letters = reading.spelled(value)
        return _name(letters or value, facts, turn)
    return _newest(kind, value, facts, turn)


def spelling_of(letters: str, facts: Iterable[Fact], turn: int) -> tuple[Fact | None, str]:
    """Return the name fact that a spelled word belongs to, and the word of it that it replaces."""
    best: tuple[float, Fact, str] | None = None
    for fact in facts:
        if fact.kind != "name":
            continue
        for word in " ".join(fact.values).split():
            likeness = difflib.SequenceMatcher(None, word.lower(), letters.lower()).ratio()
            recent = turn - fact.turn <= RECENT_TURNS
            if likeness >= (ALIKE if recent else 0.7) and (best is None or likeness >= best[0]):
                best = (likeness, fact, word)
    return (best[1], best[2]) if best else (None, "")


def _stripped(body: str) -> str:
    return _TAIL.sub("", _LEAD.sub("", body.strip())).strip(" .,!")


def _kind_of(value: str) -> FactKind | None:
    """What sort of value a text is and nothing else."""
    bare = value.removeprefix("the ").strip()
    tests: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
        ("email", reading.EMAIL),
        ("phone", reading.PHONE),
        ("amount", reading.AMOUNT),
        ("date", reading.DATE),
        ("time", reading.TIME),
        ("number", reading.CODE),
    )
    for kind, pattern in tests:
        if pattern.fullmatch(value) or pattern.fullmatch(bare):
            return kind
    if reading.TIME.fullmatch(f"at {bare}", 3) or re.fullmatch(
        r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?: thirty| fifteen)?",
        bare.lower(),
    ):
        return "time"
    if reading.spelled(value) or (reading.name_at(value) == value and value):
        return "name"
    return None


def _explicit(old: str, new: str, facts: Facts) -> Correction | None:
    """The old value is said too: it must stand in a fact."""
    old = _stripped(old)
    if not old or not new or len(new.split()) > 6:
        return None
    for fact in sorted(facts, key=lambda fact: (fact.speaker != "user", -fact.turn)):
        for value in fact.values:
            if value.lower() == old.lower():
                return Correction(fact, value, new)
            for place, word in enumerate(value.split()):
                # "Fifteen, not fifty" of "fifty chairs"; and any word of a name.
                counted = fact.kind != "name" and place == 0
                named = fact.kind == "name" and reading.name_at(new) == new
                if word.lower() == old.lower() and (counted or named):
                    return Correction(fact, word, new)
    return None


def _name(new: str, facts: Facts, turn: int) -> Correction | None:
    names = [fact for fact in facts if fact.kind == "name" and fact.values]
    recent = [fact for fact in names if turn - fact.turn <= RECENT_TURNS]
    if " " not in new:
        target, old = spelling_of(new, names, turn)
        if target is not None:
            return Correction(target, old, new) if old != new else None
        newest = max(recent, key=lambda fact: fact.turn, default=None)
        return Correction(newest, newest.values[0].split()[-1], new) if newest else None
    newest = max(recent, key=lambda fact: fact.turn, default=None)
    return Correction(newest, newest.values[0], new) if newest and newest.values[0] != new else None


def _newest(kind: FactKind, new: str, facts: Facts, turn: int) -> Correction | None:
    """The newest value of a sort; the user's own words for it where the agent has only repeated them."""
    held = [(fact, value) for fact in facts for value in fact.values if _same_sort(kind, fact, value)]
    if not held:
        return None
    # Of one turn's, what the agent read back: that is what the "no" answers.
    fact, old = max(held, key=lambda item: (item[0].turn, item[0].speaker == "agent"))
    if (
        turn - fact.turn > (RECENT_TURNS if kind in ("amount", "date", "time", "number") else 30)
        or old == new
    ):
        return None
    own = next((f for f, value in held if value == old and f.speaker == "user"), fact)
    return Correction(own, old, _in_form_of(old, new))


def _same_sort(kind: FactKind, fact: Fact, value: str) -> bool:
    return fact.kind == kind or (kind in ("amount", "date", "time") and _kind_of(value) == kind)


def _in_form_of(old: str, new: str) -> str:
    """ "No, at eleven" for "ten in the morning" keeps the morning."""
    part = re.search(
        r" (?:in the (?:morning|afternoon|evening)|a\.?m\.?|p\.?m\.?|o'?clock)$", old, re.IGNORECASE
    )
    bare = re.fullmatch(r"[a-z]+|\d{1,2}", new, re.IGNORECASE)
    return f"{new}{part.group()}" if part and bare else new
