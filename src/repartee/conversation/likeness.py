"""Whether an answer to one question may answer another: the guard in front of, and behind, the sentence vectors.

Vectors put "when do you open" beside "when do you close". What tells such questions apart are a few words, and they
are looked at here one kind at a time. Pure; what is left open is told as words that must be found alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from repartee.conversation import wordlists as lists
from repartee.conversation.questions import Question, normalised, plain

MAX_WORDS = 24
"""A longer question says more than a cached answer knows."""
MAX_ANSWER_CHARACTERS = 400
_OPENS_WITH_LINK = re.compile(
    r"^(?:and|but|or|then|so what|what about|how about|what if|what else|no wait|also)\b"
)
_HARMLESS = re.compile(
    r"\b(?:is|are|was|would) there\b|\bthere (?:is|are)\b"
    r"|\b(?:is|would) it (?:be )?(?:possible|ok|okay|fine|allowed|necessary|permitted|too late|a problem)\b"
    r"|^this is\b|\bso (?:many|much)\b|\beither way\b|\bdoes it (?:cost|take)\b(?=.* (?:to|for) )"
    r"|\bis it (?:free |far |safe |expensive )?(?=.*\bto )|\b(?:do|does|can|should|must) one\b"
    r"|(?<=[a-z] )that (?=(?:has|have|is|are|was|were|can|i|you|we)\b)"
)
_I_AM = re.compile(r"\bi (?:am|have|was|had|got)\b")
_COURTESY_OFFER = re.compile(
    r"\b(?:help you|anything else|do for you|be of (?:help|service)|assist you|something else|other questions?)\b",
    re.IGNORECASE,
)
_PERSONAL_ANSWER = re.compile(
    r"\byour (?:name|order|booking|appointment|account|reservation|number|address|date|balance"
    r"|card ending|results?)\b"
    r"|\byou (?:said|told|mentioned|asked)\b|\bas (?:i|you) (?:said|mentioned)\b|\bagain\b|\bearlier\b|@|\b\d{5,}\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\bi(?:'m| am) (?:sorry|afraid|not sure|not able|unable)\b|\bi (?:can't|cannot|can not|don't|do not|couldn't) "
    r"|\bunfortunately\b|\bas an ai\b|\blet me (?:check|transfer|connect|look)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What still tells two questions apart after all rules agreed.

    Attributes:
        extra: Words of the asked question the known one does not have.
        missing: Words of the known question the asked one does not have.
    """

    extra: frozenset[str]
    missing: frozenset[str]


def compare(asked: Question, known: Question) -> Likeness | str:
    """Return what is left to be found alike, or why these are different questions."""
    for why, different in (
        ("negation", asked.negations != known.negations),
        ("number", asked.numbers != known.numbers),
        ("time", asked.times != known.times),
        ("kind", asked.kind != known.kind),
        ("name", _unnamed(asked, known) or _unnamed(known, asked)),
        ("route", asked.route is not None and known.route is not None and asked.route != known.route),
        ("opposite", _opposed(asked, known)),
    ):
        if different:
            return why
    extra, missing = asked.content - known.content, known.content - asked.content
    if bool(extra) != bool(missing):
        return "constraint"
    return Likeness(extra, missing)


def _unnamed(one: Question, other: Question) -> bool:
    """Say whether one has a name the other does not mention."""
    return bool(one.names - other.content - frozenset(other.key.split()))


def _opposed(asked: Question, known: Question) -> bool:
    """Say whether the two have different kinds of one group of opposites."""
    ours: dict[int, set[int]] = {}
    theirs: dict[int, set[int]] = {}
    for side, pairs in ((ours, asked.opposites), (theirs, known.opposites)):
        for group, kind in pairs:
            side.setdefault(group, set()).add(kind)
    return any(ours[group] != theirs[group] for group in ours.keys() & theirs.keys())


# --- does it stand alone ------------------------------------------------------------------------------------------


def why_not_alone(text: str, agent_said: str = "", *, open_goal: bool = False) -> str | None:
    """Return why a question can only be understood from what was said before it; None when it stands alone.

    Args:
        text: The user's turn.
        agent_said: The agent's words before it.
        open_goal: Something is being arranged.
    """
    if open_goal:
        return "open goal"
    if awaits_answer(agent_said):
        return "pending question"
    words = normalised(text)
    if not words:
        return "empty"
    if len(words.split()) > MAX_WORDS:
        return "long"
    if _OPENS_WITH_LINK.search(plain(text)):
        return "link"
    bare = _HARMLESS.sub(" ", words)
    if any(word in lists.BACK_REFERENCES for word in bare.split()):
        return "reference"
    return None


def awaits_answer(agent_said: str) -> bool:
    """Say whether the agent's last words ask for something; an offer of help asks for nothing in particular."""
    last = re.split(r"(?<=[.!?])\s+", agent_said.strip())[-1]
    return last.endswith("?") and not _COURTESY_OFFER.search(last)


def why_not_learned(asked: Question, answer: str, said_before: str) -> str | None:
    """Return why an answer the model gave must not be given again; None when it may.

    Args:
        asked: The question, which stands alone.
        answer: What the model said and the caller heard to the end.
        said_before: All that the caller said earlier in the call.
    """
    words, told = asked.key.split(), set(plain(answer).split())
    about_caller = set(words) & (lists.OWN - {"i"}) or _I_AM.search(asked.key)
    for why, found in (
        ("no question", asked.kind == "statement" or len(words) < 3),
        ("number, time or name", asked.numbers or asked.times or asked.names),
        ("about the caller", about_caller),
        ("about now", set(words) & lists.NOW or told & (lists.NOW - {"just", "last", "next"})),
        ("length", not 0 < len(answer.strip()) <= MAX_ANSWER_CHARACTERS),
        ("asks back", awaits_answer(answer)),
        ("no answer for everybody", _REFUSAL.search(answer) or _PERSONAL_ANSWER.search(answer)),
        ("uses what the caller said", _shared_details(answer, said_before)),
    ):
        if found:
            return why
    return None


def _shared_details(answer: str, said_before: str) -> bool:
    """Say whether the answer has a number or a name that the caller gave before."""
    before = set(plain(said_before).split())
    details = {w for w in plain(answer).split() if w in lists.NUMBERS or any(c.isdigit() for c in w)}
    details |= {w.lower() for w in re.findall(r"(?<=\s)[A-Z][\w'-]*|^[A-Z][\w'-]*(?=,)", answer)}
    return bool((details - {"i", "yes", "no"}) & before)
