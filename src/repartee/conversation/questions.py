"""Reads a question for comparing: its normalised words, its kind, and all that makes it another question.

Pure, English, and wary: two questions that may differ are taken to differ. A wrong answer costs more than asking
the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from repartee.conversation import wordlists as lists

Kind = Literal[
    "price", "duration", "count", "distance", "frequency", "age", "time", "place", "person", "reason", "manner",
    "extent", "choice", "polar", "statement",
]  # fmt: skip
"""What a question asks for. `polar` is answered by yes or no; a wish ("I want to ...") counts as one."""

_WORD = re.compile(r"[^\W_]+(?:[.:]\d+)?")
_CONTRACTIONS = (
    (re.compile(r"[\u2018\u2019\u02bc`]"), "'"),
    (re.compile(r"\b(?:can't|cannot)\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(what|where|when|who|how|why|that|there|it|here|he|she|let)'s\b"), r"\1 is"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"'s\b|s'(?=\s|$)"), "s"),
    (re.compile(r"'"), ""),
)
_FILLERS = frozenset(
    """
    um uh uhm erm er ah hmm hm mm well please
    oh hey hi hello okay ok alright actually
    """.split()  # noqa: SIM905 - a word list reads better as words
)
_LEAD_IN = re.compile(
    r"^(?:(?:good (?:morning|afternoon|evening|day)|excuse me|sorry|thanks|thank you|yes|yeah|so|and please"
    r"|(?:can|could|would|will) you (?:tell me|say|explain|let me know)|tell me"
    r"|(?:i would like|i want|i wanted|i need) to (?:know|ask|find out)|i (?:was|am) (?:just )?wondering"
    r"|do you (?:happen to )?know|may i ask|can i ask|could i ask|i have (?:a|one) (?:quick )?question|quick question"
    r"|just (?:wondering|checking))(?: (?:you|if|whether|about that))?\s+)+"
)
_TRAIL = re.compile(r"(?:\s+(?:thank you|thanks|please|then))+$")
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), put)
    for pattern, put in (
        (r"opening hours|business hours|opening times", "open hours"),
        (r"car park|parking lot|parking spaces?|place to park", "parking"),
        (r"swimming pool", "pool"),
        (r"free of charge|for free|costs? nothing|at no (?:extra )?(?:cost|charge)", "free"),
        (r"take ?away|take out food|to go", "takeaway"),
        (r"fitness (?:room|centre|center|studio)", "gym"),
        (r"check(?:ing)? in", "checkin"),
        (r"check(?:ing)? out", "checkout"),
        (r"wi fi|wireless internet", "wifi"),
        (r"e (book|reader|mail)", r"e\1"),
        (r"gluten free", "glutenfree"),
        (r"(credit|debit) card", r"\1card"),
        (r"sign up|enroll?", "register"),
        (r"set up", "setup"),
        (r"(?:turn|switch) on", "turnon"),
        (r"(?:turn|switch) off", "turnoff"),
        (r"pick(?:ed|s)? up", "pickup"),
        (r"out of order|not working", "not working broken"),
        (r"have to|has to|got to", "need"),
        (r"how much time", "how long"),
        (r"(?:at )?what time|from what time|from when", "when"),
        (r"how expensive", "how much"),
        (r"(?:what is|what are|can i have) (?:the|your) (?:address(?: of)?|location(?: of)?)", "where is"),
        (r"not (?:any ?more|any longer)", "not"),
        (r"on (?:hold|ice)", "pause"),
        (r"on my own|on your own|on their own|by (?:my|your|their)sel(?:f|ves)", "alone"),
        (r"on the (?:internet|web)|via the internet", "online"),
        (r"have got", "have"),
        (r"(?:in|by|with) the (?:room |ticket )?(?:price|rate|fare)", ""),
        (r"does the (?:room |ticket )?(?:price|rate|fare) include", "does include"),
    )
)
_KIND_PATTERNS: dict[Kind, tuple[str, ...]] = {
    "duration": (
        r"\bhow long\b",
        r"\bhow many (?:second|minute|hour|day|week|month|year)",
        r"\bduration\b",
        r"\bdelivery time\b",
    ),
    "price": (
        r"\bhow much (?:is|are|do|does|for|would|will|did|was)\b",
        r"\bwhat (?:is|are|does|do|did|would)\b.*\b(?:cost|price|fee|fees|charge|rates?|pay)\b",
        r"\b(?:costs?|prices?|fees?) (?:of|for)\b",
    ),
    "count": (r"\bhow (?:many|much)\b", r"\b(?:maximum|minimum) number\b", r"\ballowance\b"),
    "distance": (r"\bhow far\b", r"\bdistance\b"),
    "frequency": (r"\bhow (?:often|frequent)",),
    "age": (r"\bhow old\b", r"\b(?:what|which|minimum|lowest|from what) age\b"),
    "time": (
        r"\bwhen\b",
        r"\bhow (?:late|early|soon)\b",
        r"\b(?:what|which) (?:day|date|hours?|time)",
        r"\bopen hours\b",
    ),
    "place": (
        r"\bwhere\b",
        r"\bwhich (?:office|counter|floor|room|building)\b",
        r"\bdirections\b",
        r"\bhow (?:do|can) i get to\b",
    ),
    "person": (r"^(?:who|whose|whom)\b",),
    "reason": (r"\bwhy\b", r"\bhow come\b"),
    "extent": (r"\bhow (?:big|large|fast|high|wide|deep|heavy|strong|loud|busy|safe|good)\b",),
    "manner": (
        r"^how\b",
        r"\bwhat (?:do|should|must|can) (?:i|we|you) (?:need |need to |)do\b",
        r"\bways? (?:to|can)\b",
    ),
    "choice": (r"^(?:in |on |at |for )?(?:what|which)\b",),
    "polar": (
        r"^(?:do|does|did|is|are|am|was|were|can|could|may|might|will|would|shall|should|must|have|has|had)\b",
        r"^i (?:would like|want|wish|need|am looking)\b",
    ),
}
_KINDS = tuple((kind, re.compile("|".join(patterns))) for kind, patterns in _KIND_PATTERNS.items())
_SAID_BY_KIND: dict[Kind, str] = {
    "price": "cost price fee charge pay expensive",
    "time": "time hour late early",
    "duration": "duration long wait",
    "count": "maximum number once allowance",
    "place": "need find located address",
    "manner": "need",
}
"""Words that say nothing more once the kind is known."""
_ROUTE = re.compile(r"\bfrom (\w+)\b.*\bto (\w+)")
_ROUTE_BACK = re.compile(r"\bto (\w+)\b.*\bfrom (\w+)")


@dataclass(frozen=True, slots=True)
class Question:
    """One question, read.

    Attributes:
        key: Its normalised words, without greetings, fillers and "could you tell me".
        kind: What it asks for.
        content: Stems of the words that say what it is about.
        opposites: Group and kind of each word that excludes others.
        numbers: Numbers in it, in words or digits.
        times: Days, months, times of day.
        negations: How often it says no.
        names: Capitalised words that begin no sentence, in lower case.
        route: Where from and where to, where it has both.
    """

    key: str
    kind: Kind
    content: frozenset[str]
    opposites: frozenset[tuple[int, int]]
    numbers: frozenset[str]
    times: frozenset[str]
    negations: int
    names: frozenset[str]
    route: tuple[str, str] | None


def plain(text: str) -> str:
    """Return a text's words in lower case with contractions written out."""
    low = text.lower()
    for pattern, put in _CONTRACTIONS:
        low = pattern.sub(put, low)
    return " ".join(_WORD.findall(low))


def normalised(text: str) -> str:
    """Return a question's words without what only opens or closes it politely; never empty for words."""
    whole = plain(text)
    kept = " ".join(word for word in whole.split() if word not in _FILLERS)
    kept = _TRAIL.sub("", _LEAD_IN.sub("", kept)).strip()
    return kept or whole


@lru_cache(maxsize=4096)
def read(text: str, own_words: frozenset[str] = frozenset()) -> Question:
    """Read a question.

    Args:
        text: As it was said.
        own_words: Lower-case words that name the place itself ("clinic"); they count as little as "you".
    """
    key = normalised(text)
    phrased = key
    for pattern, put in _PHRASES:
        phrased = pattern.sub(put, phrased)
    kind: Kind = next((kind for kind, pattern in _KINDS if pattern.search(phrased)), "statement")
    words = phrased.split()
    stems = [stem(word) for word in words]
    numbers = frozenset(w for w in words if w in lists.NUMBERS or any(c.isdigit() for c in w))
    times = frozenset(w.removesuffix("s") for w in words if w in lists.TIMES)
    own = {stem(word) for word in own_words} | own_words
    dropped = {stem(word) for word in _SAID_BY_KIND.get(kind, "").split()}
    content = frozenset(
        concept(word)
        for word in words
        if word not in lists.SILENT
        and word not in lists.NEGATIONS
        and word not in lists.TIMES
        and word not in lists.NUMBERS
        and stem(word) not in own
        and word not in own
        and stem(word) not in dropped
    )
    return Question(
        key=key,
        kind=kind,
        content=content,
        opposites=frozenset(_opposites(word for word in (*words, *stems) if word not in own)),
        numbers=numbers,
        times=times,
        negations=sum(word in lists.NEGATIONS for word in words),
        names=_names(text),
        route=_route(phrased),
    )


def stem(word: str) -> str:
    """Return a word without its ending; crude, but the same for "change", "changes", "changed" and "changing"."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 3 and word.endswith(ending):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def concept(word: str) -> str:
    """Return what a word means, by the short list of synonyms, else its stem."""
    root = stem(word)
    found = lists.CONCEPTS.get(word) or _CONCEPT_STEMS.get(root)
    return found if found is not None else root


_CONCEPT_STEMS = {stem(word): name for word, name in lists.CONCEPTS.items()}
_OPPOSITE_OF: dict[str, list[tuple[int, int]]] = {}
for _group, _kinds in enumerate(lists.OPPOSITES):
    for _kind, _members in enumerate(_kinds):
        for _member in _members:
            for _form in {_member, stem(_member)}:
                _OPPOSITE_OF.setdefault(_form, []).append((_group, _kind))


def _opposites(words: Iterable[str]) -> Iterable[tuple[int, int]]:
    for word in words:
        yield from _OPPOSITE_OF.get(word, ())


def _names(text: str) -> frozenset[str]:
    names = set()
    for sentence in re.split(r"[.!?]\s+", text):
        for word in re.findall(r"[^\W\d_][\w'-]*", sentence)[1:]:
            low = word.lower()
            is_name = word[0].isupper() and not word.startswith("I'") and word != "I"
            if is_name and low not in lists.TIMES and not word.isupper():
                names.add(low)
    return frozenset(names)


def _route(text: str) -> tuple[str, str] | None:
    if match := _ROUTE.search(text):
        return match[1], match[2]
    if match := _ROUTE_BACK.search(text):
        return match[2], match[1]
    return None
