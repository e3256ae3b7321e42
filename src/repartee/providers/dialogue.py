"""What the agent says when no language model is there: answers by meaning, and slots filled one question at a time.

Pure. The state is not kept between replies but folded from what the user said, turn by turn, so a speculative
reply that is thrown away leaves no trace. What something else comes between waits, and the return to it is offered
once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

import dateparser
from dateparser.search import search_dates

from repartee.agent import Answer, Slot
from repartee.conversation.consent import verdict
from repartee.conversation.intents import cue

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
    "wait",
    "hold",
    "first",
    "actually",
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
    then: str = ""
    """Said after the result: the offer to return to what waits."""


Action = Say | Do


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is being arranged: the answer with a tool, the slots known, the one last asked for.

    Attributes:
        answer: What is arranged; None for nothing.
        values: The slots that are known.
        asked: The slot that was asked for last.
        confirming: The confirmation was read, and yes or no is waited for.
        failed: Its tool was called and failed: one slot may be changed, and it is tried again.
        waiting: What something else came between, newest first.
        offering: The return to the first of them has just been offered.
        offered: The return to this one has been offered.
    """

    answer: Answer | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    asked: str | None = None
    confirming: bool = False
    failed: bool = False
    waiting: tuple[Dialogue, ...] = ()
    offering: bool = False
    offered: bool = False


Resume = Callable[[Answer], str]
"""What is said to offer the return to something."""


def default_resume(answer: Answer) -> str:
    """Offer the return to anything."""
    del answer
    return "Shall we go on where we were?"


def step(
    state: Dialogue,
    text: str,
    rank: Rank,
    today: datetime,
    fallback: str,
    resume: Resume = default_resume,
) -> tuple[Dialogue, Action]:
    """Take one turn of the user; return the new state and what to do."""
    found, nearness = rank(text)
    answer = found if nearness >= MATCH else None
    shift_at = MATCH if cue(text) == "shift" else TOPIC_SHIFT
    turn = _Turn(text, answer, answer if nearness >= shift_at else None, today, fallback, resume)
    if state.failed:
        changed = _fill(replace(state, values={}), text, today, strict=True)
        if changed:
            return _advance(replace(state, values={**state.values, **changed}, failed=False), turn)
        state = Dialogue(waiting=state.waiting)
    if state.answer is None:
        return _nothing_open(state, turn)
    if STOP.search(text):
        return _offering(
            Dialogue(waiting=state.waiting), "All right, I leave it.", turn, " What else can I do for you?"
        )
    if state.confirming:
        return _confirmed(state, turn)
    shifts = cue(text) == "shift"
    if shifts and (other := _another(state, turn)) is not None:
        return other
    values = _fill(state, text, today, strict=shifts)  # "Wait" is no name
    if values != dict(state.values):
        return _advance(replace(state, values=values), turn)
    if (other := _another(state, turn)) is not None:
        return other
    return state, Say(f"Sorry, I did not get that. {_question(state, today)}")


def after_failure(before: Dialogue, done: Do) -> Dialogue:
    """Return the state when a tool has failed: nothing that was said is lost, and a slot may be changed."""
    return Dialogue(done.answer, dict(done.arguments), failed=True, waiting=before.waiting)


@dataclass(frozen=True, slots=True)
class _Turn:
    text: str
    answer: Answer | None
    """The answer the text is about."""
    shift: Answer | None
    """The same, if it is sure enough to leave what is being arranged for it."""
    today: datetime
    fallback: str
    resume: Resume


def _nothing_open(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    waiting = state.waiting
    if waiting:
        said = verdict(turn.text) if state.offering else "unclear"
        if said == "no":
            return _offering(
                Dialogue(waiting=waiting[1:]), "All right.", turn, " What else can I do for you?"
            )
        values = _fill(waiting[0], turn.text, turn.today)
        told = values != dict(waiting[0].values) and (turn.answer is None or turn.answer is waiting[0].answer)
        if said == "yes" or told or cue(turn.text) == "return":
            return _advance(replace(waiting[0], values=values, waiting=waiting[1:], confirming=False), turn)
    state = replace(state, offering=False)
    answer = turn.answer
    if answer is None:
        return state, Say(turn.fallback)
    if answer.do is None:
        return _offering(state, answer.say or turn.fallback, turn)
    same = next((held for held in waiting if held.answer is answer), None)
    if same is not None:
        left = tuple(held for held in waiting if held is not same)
        return _advance(replace(same, values=_fill(same, turn.text, turn.today), waiting=left), turn)
    fresh = Dialogue(answer, waiting=waiting)
    return _advance(replace(fresh, values=_fill(fresh, turn.text, turn.today)), turn)


def _another(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action] | None:
    """Something else comes between: a question is answered at once, another arrangement has the floor first."""
    answer = turn.shift
    if answer is None or state.answer is None or answer.id == state.answer.id:
        return None
    if answer.do is None:
        # A question in between is answered, and the question that was open is asked again.
        return state, Say(f"{answer.say} {_question(state, turn.today)}")
    aside = replace(state, waiting=(), offering=False)
    return _nothing_open(Dialogue(waiting=(aside, *state.waiting)), replace(turn, answer=answer))


def _offering(state: Dialogue, text: str, turn: _Turn, otherwise: str = "") -> tuple[Dialogue, Action]:
    """Say a text, and with it offer the return to what waits, if it was not offered before."""
    state, offer = _offer(state, turn)
    return state, Say(f"{text} {offer}".strip() if offer else f"{text}{otherwise}")


def _offer(state: Dialogue, turn: _Turn) -> tuple[Dialogue, str]:
    waiting = state.waiting
    if not waiting or waiting[0].offered or waiting[0].answer is None:
        return state, ""
    marked = (replace(waiting[0], offered=True), *waiting[1:])
    return replace(state, waiting=marked, offering=True), turn.resume(waiting[0].answer)


def _advance(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    """Ask for the first thing still missing, then for the confirmation, then act."""
    answer = state.answer
    assert answer is not None  # noqa: S101 - callers hold one
    for name, slot in answer.slots.items():
        if name not in state.values:
            return replace(state, asked=name, confirming=False), Say(slot.ask)
    if answer.confirm and not state.confirming:
        asking = replace(state, asked=None, confirming=True)
        return asking, Say(_question(asking, turn.today))
    return _done(state, turn)


def _done(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    assert state.answer is not None  # noqa: S101 - callers hold one
    after, offer = _offer(Dialogue(waiting=state.waiting), turn)
    return after, Do(state.answer, dict(state.values), offer)


def _confirmed(state: Dialogue, turn: _Turn) -> tuple[Dialogue, Action]:
    changed = _fill(replace(state, values={}), turn.text, turn.today, strict=True)
    if changed:
        return _advance(replace(state, values={**state.values, **changed}, confirming=False), turn)
    if (other := _another(state, turn)) is not None:
        return other
    if NO.search(turn.text):
        left = Dialogue(waiting=state.waiting)
        return _offering(left, "Then I won't.", turn, " What would you like instead?")
    if YES.search(turn.text):
        return _done(state, turn)
    return state, Say("Sorry, was that a yes or a no?")


def _question(state: Dialogue, today: datetime) -> str:
    """The question that is open."""
    answer = state.answer
    assert answer is not None  # noqa: S101 - callers hold one
    if state.confirming and answer.confirm:
        spoken = {name: _spoken(answer.slots[name], value, today) for name, value in state.values.items()}
        return answer.confirm.format(**spoken)
    return answer.slots[state.asked].ask if state.asked else ""


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
