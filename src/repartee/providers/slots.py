"""Reads slots out of what was said: days, times, names, numbers, choices. English."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

import dateparser
from dateparser.search import search_dates

from repartee.agent import Slot

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


def say_slot(slot: Slot, value: str, today: datetime) -> str:
    """Return a slot's value as one says it."""
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
