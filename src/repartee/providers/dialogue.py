"""What the agent says when no language model is there: answers by meaning, and slots filled one question at a time.

Pure. The state is not kept between replies but folded from what the user said, turn by turn, so a speculative
reply that is thrown away leaves no trace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

import dateparser
from dateparser.search import search_dates

from repartee.agent import Answer, Slot

Rank = Callable[[str], tuple[Answer | None, float]]
"""The answer nearest in meaning to a text, and how near: 0 to 1."""

MATCH = 0.48
TOPIC_SHIFT = 0.72
YES = re.compile(
    r"\b(yes|yeah|yep|sure|correct|right|please do|go ahead|ok|okay|of course|that's fine|absolutely|book it)\b",
    re.IGNORECASE,
)
NO = re.compile(r"\b(no|nope|not|don't|wrong|incorrect|wait)\b", re.IGNORECASE)
STOP = re.compile(r"\b(never ?mind|forget it|cancel that|stop|leave it|start over)\b", re.IGNORECASE)
_NAME_LEAD = re.compile(
    r"\b(?:my (?:full )?name(?:'s| is)|name(?:'s| is)|it's for|this is|i am|i'm|it is|it's|under|for)\s+",
    re.IGNORECASE,
)
_NAME_TAIL = re.compile(r"\b(?:and|on|at|please|with|tomorrow|today|for|thanks|thank|i|i'd)\b", re.IGNORECASE)
_NO_NAMES = (
    "a all am are can could did do does had has have hello here hi how i is it monday my no not "
    "should that the there this tuesday uh um was we wednesday well were what when where which who "
    "why will would yes you your"
)
_NOT_A_NAME = frozenset(_NO_NAMES.split()) | {
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "doctor",
    "here",
    "sorry",
    "looking",
    "calling",
    "tomorrow",
    "today",
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_TIME = re.compile(
    r"\b(?:(?P<half>half past|quarter past|quarter to)\s+)?(?P<hour>\d{1,2}|" + "|".join(_NUMBERS[1:]) + r")"
    r"(?:[:.](?P<minute>\d{2})|\s+(?P<spoken>thirty|fifteen|twenty|forty|forty-five|fifty))?"
    r"\s*(?P<part>a\.?m\b\.?|p\.?m\b\.?|o'?clock(?: in the (?:morning|afternoon|evening))?"
    r"|in the (?:morning|afternoon|evening))?(?!\w|st\b|nd\b|rd\b|th\b)",
    re.IGNORECASE,
)
_MINUTES = {"thirty": 30, "fifteen": 15, "twenty": 20, "forty": 40, "forty-five": 45, "fifty": 50}


@dataclass(frozen=True, slots=True)
class Say:
    """Say a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Do:
    """Call a tool; the answer's `say` tells the result."""

    answer: Answer
    arguments: Mapping[str, str]


Action = Say | Do


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is being arranged: the answer with a tool, the slots known, the one last asked for."""

    answer: Answer | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    asked: str | None = None
    confirming: bool = False


def step(state: Dialogue, text: str, rank: Rank, today: datetime, fallback: str) -> tuple[Dialogue, Action]:
    """Take one turn of the user; return the new state and what to do."""
    answer, nearness = rank(text)
    if state.answer is None:
        return _open(answer if nearness >= MATCH else None, text, today, fallback)
    if STOP.search(text):
        return Dialogue(), Say("All right, I leave it. What else can I do for you?")
    if state.confirming:
        return _confirmed(state, text, today)
    found = _fill(state, text, today)
    nothing_new = found == dict(state.values)
    if nothing_new and answer is not None and answer.id != state.answer.id and nearness >= TOPIC_SHIFT:
        if answer.do is not None:
            return _open(answer, text, today, fallback)
        # A question in between is answered, and the question that was open is asked again.
        return state, Say(f"{answer.say} {_question(state)}")
    if nothing_new:
        return state, Say(f"Sorry, I did not get that. {_question(state)}")
    return _advance(replace(state, values=found), today)


def _open(answer: Answer | None, text: str, today: datetime, fallback: str) -> tuple[Dialogue, Action]:
    if answer is None:
        return Dialogue(), Say(fallback)
    if answer.do is None:
        return Dialogue(), Say(answer.say or fallback)
    fresh = Dialogue(answer)
    return _advance(replace(fresh, values=_fill(fresh, text, today)), today)


def _advance(state: Dialogue, today: datetime) -> tuple[Dialogue, Action]:
    """Ask for the first thing still missing, then for the confirmation, then act."""
    answer = state.answer
    assert answer is not None  # noqa: S101 - callers hold one
    for name, slot in answer.slots.items():
        if name not in state.values:
            return replace(state, asked=name, confirming=False), Say(slot.ask)
    if answer.confirm and not state.confirming:
        spoken = {name: _spoken(answer.slots[name], value, today) for name, value in state.values.items()}
        return replace(state, asked=None, confirming=True), Say(answer.confirm.format(**spoken))
    return Dialogue(), Do(answer, dict(state.values))


def _confirmed(state: Dialogue, text: str, today: datetime) -> tuple[Dialogue, Action]:
    assert state.answer is not None  # noqa: S101 - confirming implies an answer
    changed = _fill(replace(state, values={}), text, today, strict=True)
    if changed:
        return _advance(replace(state, values={**state.values, **changed}, confirming=False), today)
    if NO.search(text):
        return Dialogue(), Say("Then I won't. What would you like instead?")
    if YES.search(text):
        return Dialogue(), Do(state.answer, dict(state.values))
    return state, Say("Sorry, was that a yes or a no?")


def _question(state: Dialogue) -> str:
    assert state.answer is not None  # noqa: S101 - callers hold one
    return state.answer.slots[state.asked].ask if state.asked else ""


def _fill(state: Dialogue, text: str, today: datetime, *, strict: bool = False) -> dict[str, str]:
    """Find values for the missing slots; the slot that was asked for may be answered bare."""
    assert state.answer is not None  # noqa: S101 - callers hold one
    values = dict(state.values)
    for name, slot in state.answer.slots.items():
        if name in values:
            continue
        value = read_slot(slot, text, today, asked=name == state.asked and not strict)
        if value is not None:
            values[name] = value
    return values


def read_slot(slot: Slot, text: str, today: datetime, *, asked: bool) -> str | None:
    """Read one slot's value out of what was said; None when it is not there."""
    match slot.type:
        case "date":
            day = read_date(text, today)
            return day.isoformat() if day else None
        case "time":
            at = read_time(text, bare=asked)
            return at.strftime("%H:%M") if at else None
        case "name":
            return read_name(text, bare=asked)
        case "number" | "phone":
            digits = re.sub(r"\D", "", _digits(text))
            return digits if digits and (asked or (slot.type == "phone" and len(digits) >= 6)) else None
        case "choice":
            return next(
                (c for c in slot.choices if re.search(rf"\b{re.escape(c)}\b", text, re.IGNORECASE)), None
            )
        case _:
            return text.strip() or None if asked else None


def read_date(text: str, today: datetime) -> date | None:
    """Read a day: a weekday means the next one, and a date without a year lies ahead."""
    low = text.lower()
    if "day after tomorrow" in low:
        return today.date() + timedelta(days=2)
    if "tomorrow" in low:
        return today.date() + timedelta(days=1)
    if re.search(r"\btoday\b", low):
        return today.date()
    for index, name in enumerate(_WEEKDAYS):
        if re.search(rf"\b{name}\b", low):
            ahead = (index - today.weekday()) % 7 or 7
            return today.date() + timedelta(days=ahead)
    if not re.search(
        r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\b|\d+(st|nd|rd|th)\b|\d+[/.-]\d+", low
    ):
        return None
    options = {"RELATIVE_BASE": today.replace(tzinfo=None), "PREFER_DATES_FROM": "future"}
    found = search_dates(text, languages=["en"], settings=options)
    parsed = found[0][1] if found else dateparser.parse(text, languages=["en"], settings=options)
    return parsed.date() if parsed else None


def read_time(text: str, *, bare: bool = False) -> time | None:
    """Read a time of day; `bare` takes "ten" alone. Hours 1 to 7 without more mean the afternoon."""
    low = text.lower()
    if re.search(r"\bnoon\b", low):
        return time(12, 0)
    for match in _TIME.finditer(low):
        part = (match["part"] or "").replace(".", "")
        said_at = re.search(r"\b(at|around|about)\s*$", low[: match.start()]) is not None
        if not (bare or part or match["minute"] or match["half"] or said_at):
            continue
        hour = int(match["hour"]) if match["hour"].isdigit() else _NUMBERS.index(match["hour"])
        minute = int(match["minute"] or _MINUTES.get(match["spoken"] or "", 0))
        if match["half"]:
            minute = {"half past": 30, "quarter past": 15, "quarter to": 45}[match["half"]]
            hour -= match["half"] == "quarter to"
        morning = part == "am" or "morning" in part
        if hour < 12 and (
            part == "pm" or "afternoon" in part or "evening" in part or (hour < 8 and not morning)
        ):
            hour += 12
        if hour < 24 and minute < 60:
            return time(hour, minute)
    return None


def read_name(text: str, *, bare: bool = False) -> str | None:
    """Read a person's name, led in by "my name is" and the like, or bare when it was asked for."""
    lead = None
    for lead in _NAME_LEAD.finditer(text):
        if (name := _words_of_name(text[lead.end() :])) is not None:
            return name
    return _words_of_name(text) if bare and lead is None else None


def _words_of_name(text: str) -> str | None:
    part = re.split(r"[,.!?;]", _NAME_TAIL.split(text.strip(), maxsplit=1)[0])[0]
    words = re.findall(r"[A-Za-z][\w'-]*", part)
    if not words or len(words) > 4 or any(word.lower() in _NOT_A_NAME for word in words):
        return None
    # Speech-to-text writes names with capitals; anything else after "I'm" is a state, not a name.
    if not all(word[0].isupper() for word in words) and len(words) < 2:
        return None
    return " ".join(word[0].upper() + word[1:] for word in words)


def _digits(text: str) -> str:
    for number, word in enumerate(_NUMBERS[:10]):
        text = re.sub(rf"\b{word}\b", str(number), text, flags=re.IGNORECASE)
    return text


def _spoken(slot: Slot, value: str, today: datetime) -> str:
    if slot.type == "date":
        day = date.fromisoformat(value)
        if day == today.date():
            return "today"
        text = f"{day:%A}, {day:%B} {day.day}"
        return f"tomorrow, {text}" if day == today.date() + timedelta(days=1) else text
    if slot.type == "time":
        at = time.fromisoformat(value)
        clock = f"{at.hour % 12 or 12}" + (f":{at:%M}" if at.minute else "")
        return f"{clock} in the morning" if at.hour < 12 else f"{clock} in the afternoon"
    return value


def user_texts(messages: Sequence[Mapping[str, object]]) -> list[str]:
    """The user's turns of a chat context, in order."""
    return [
        str(m["content"]) for m in messages if m.get("role") == "user" and isinstance(m.get("content"), str)
    ]
