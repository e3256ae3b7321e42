"""Values as they are said aloud: a date as a day, a time as a time of day, a list with "and"."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from pydantic import BaseModel

_DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
_WORDS = {
    "en": {"and": "and", True: "yes", False: "no"},
    "de": {"and": "und", True: "ja", False: "nein"},
    "es": {"and": "y", True: "sí", False: "no"},
}


def say_value(value: Any, language: str = "en") -> str:
    """Return a value as one says it; languages other than English, German and Spanish are said in English."""
    key = language.split("-", maxsplit=1)[0].lower()
    return _say(value, key if key in _DAYS else "en")


def _say(value: Any, language: str) -> str:  # noqa: PLR0911 - one line for each kind of value
    match value:
        case None:
            return ""
        case bool():
            return _WORDS[language][value]
        case Enum():
            return _say(value.value, language)
        case datetime():
            return f"{_say(value.date(), language)} {_say(value.time(), language)}"
        case date():
            return _say_date(value, language)
        case time():
            return _say_time(value, language)
        case list() | tuple() | set() | frozenset():
            return _say_list([_say(item, language) for item in value], language)
        case dict():
            return _say_list([_say(item, language) for item in value.values()], language)
        case BaseModel():
            return _say_list([_say(getattr(value, n), language) for n in type(value).model_fields], language)
        case _ if is_dataclass(value):
            return _say_list([_say(getattr(value, f.name), language) for f in fields(value)], language)
        case _:
            return str(value)


def _say_date(day: date, language: str) -> str:
    weekday = _DAYS[language].split()[day.weekday()]
    month = _MONTHS[language].split()[day.month - 1]
    if language == "de":
        return f"{weekday}, {day.day}. {month}"
    if language == "es":
        return f"{weekday}, {day.day} de {month}"
    return f"{weekday}, {month} {day.day}"


def _say_time(at: time, language: str) -> str:
    if language == "de":
        return f"{at.hour} Uhr {at.minute}" if at.minute else f"{at.hour} Uhr"
    clock = f"{at.hour % 12 or 12}" + (f":{at:%M}" if at.minute else "")
    if language == "es":
        return f"{clock} de la {'mañana' if at.hour < 12 else 'tarde'}"
    return f"{clock} in the {'morning' if at.hour < 12 else 'afternoon'}"


def _say_list(parts: list[str], language: str) -> str:
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {_WORDS[language]['and']} {parts[-1]}"
