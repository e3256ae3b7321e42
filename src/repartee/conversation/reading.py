"""Reading values out of spoken words: names, spelled letters, digits, times, dates, amounts.

Speech-to-text writes names with capitals and numbers now as digits, now as words; both are read. What is read is
returned as it stands in the text.
"""

from __future__ import annotations

import re

_CAPITAL = r"[A-ZÄÖÜÁÉÍÓÚÑÇ][\w'\u2019-]*\w"
_TITLE = r"(?:Dr|Mr|Mrs|Ms|Prof|Doctor|Professor|Herr|Frau|Señor|Señora)\.?"
NAME = rf"(?:{_TITLE}\s+)?{_CAPITAL}(?:\s+(?:(?:van|von|de|der|den|la|del|da|bin|al)\s+){{0,2}}{_CAPITAL}){{0,3}}"
_ORDINARY = (
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december montag dienstag mittwoch donnerstag freitag samstag sonntag "
    "yes no ok okay sorry thanks thank please hello hi hey well so and but oh the that this what when where who why "
    "how it i im we he she they you not just also maybe actually sure great good right fine there here a an "
    "if is are do does did can could would will my our your his her one two three next last today tomorrow let "
    "then for at on in with from to of or as by still about because could"
)
_NOT_NAMES = frozenset(_ORDINARY.split())

_UNIT_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
_TEEN_WORDS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = _UNIT_WORDS.split()
_DIGIT_WORDS = {word: str(number) for number, word in enumerate(_UNITS[:10])} | {"oh": "0"}
_NUMBER_WORD = "|".join(f"{_UNIT_WORDS} {_TEEN_WORDS} {_TEN_WORDS}".split())
_NUMBER = (
    rf"(?:\d[\d.,]*\d|\d|(?:{_NUMBER_WORD}|a hundred|one and a half|half a)"
    rf"(?:[\s-](?:{_NUMBER_WORD}|hundred|thousand|and))*)"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
    r"|(?:twenty|thirty)[ -](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth))"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
DATE = re.compile(
    rf"\b(?:(?:next |this |last )?{_DAY}(?:,? (?:the )?{_ORDINAL}| next week| in two weeks)?"
    rf"(?:,? (?:of )?{_MONTH}(?: (?:the )?(?:{_ORDINAL}|\d{{1,2}}(?!\d|:)))?)?"
    rf"|(?:the )?{_ORDINAL} (?:of )?{_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} (?:the )?(?:{_ORDINAL}|\d{{1,2}})(?!\w|:)(?:,? \d{{4}})?"
    rf"|on the {_ORDINAL}|the \d{{1,2}}(?:st|nd|rd|th)"
    r"|the day after tomorrow|tomorrow|next (?:week|month|year)"
    r"|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}-\d{2}-\d{2}|in (?:19|20)\d{2})\b",
    re.IGNORECASE,
)
_HOUR = rf"(?:\d{{1,2}}|{'|'.join(_UNITS[1:])})"
_PART = r"(?:a\.m\.?|p\.m\.?|am\b|pm\b|o'?clock|in the (?:morning|afternoon|evening)|at night)"
_PAST = r"(?:half past|(?:a )?quarter (?:past|to)|(?:five|ten|twenty) (?:past|to))"
_MINUTE = (
    r"(?:[:.]\d{2}|[ -](?:oh five|five|ten|fifteen|twenty(?:-five)?|thirty(?:-five)?|forty(?:-five)?|fifty))"
)
TIME = re.compile(
    rf"(?<![\w.,])(?:{_PAST} {_HOUR}(?: {_PART})?|{_HOUR}{_MINUTE}? ?{_PART}|\d{{1,2}}:\d{{2}}|noon|midnight"
    rf"|(?<=\bat ){_HOUR}{_MINUTE}?"
    r"(?=[.,;!?]|$| (?:on|and|then|if|for|with|is|please|instead|would|tomorrow|today)\b))(?![\w%])",
    re.IGNORECASE,
)
_COUNTED = (
    r"euros?|dollars?|pounds?|cents?|francs?|bucks|percent|kilos?|kilograms?|kg|grams?|miles?|kilomet(?:er|re)s?|km"
    r"|met(?:er|re)s?|square met(?:er|re)s|lit(?:er|re)s?|people|persons?|guests?|adults?|child(?:ren)?|kids?|nights?"
    r"|weeks?|months?|years?(?: old)?|days?|hours?|minutes?|tickets?|rooms?|bottles?|boxes|pieces?|items?|degrees"
)
AMOUNT = re.compile(
    rf"(?<![\w.,])(?:[$€£]\s?\d[\d.,]*(?<![.,])(?: ?(?:k|million|thousand))?"
    rf"|{_NUMBER} ?(?:{_COUNTED}|%|[a-z]{{3,}}(?<!time)s)(?!\w))",
    re.IGNORECASE,
)
FIGURE = re.compile(r"(?<![\w.,])(?=\w*\d)\w{2,}(?:[.,]\d+)?")
"""Anything with a digit in it, but a digit alone."""
EMAIL = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b[\w-]+(?: (?:dot|underscore|dash) [\w-]+)* at [\w-]+(?: dot [a-z]{2,})+\b",
    re.IGNORECASE,
)
PHONE = re.compile(r"(?<![\w.,])\+?\d(?:[\s()/-]{0,2}\d){6,14}(?![\w%])")
CODE = re.compile(
    r"(?<!\w)(?:[A-Z]{1,4}[ -])?[A-Z0-9/-]*\d[A-Z0-9/-]*(?:[ -]\d[A-Z0-9/-]*){0,3}(?![\w%])(?<![-/])"
)
_SPELLED = re.compile(
    r"(?<![\w'])(?:(?:double |triple )?[A-Za-z](?: (?:as in|for|like) \w+)?[\s.,-]+){2,}"
    r"(?:double |triple )?[A-Za-z](?: (?:as in|for|like) \w+)?(?![\w'])"
)
_LETTER = re.compile(r"(double |triple )?\b([A-Za-z])\b(?: (?:as in|for|like) \w+)?", re.IGNORECASE)
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|a\.m|p\.m|e\.g|i\.e|[A-Z])\.$")


def names(text: str) -> list[str]:
    """Return what looks like a name: words with capitals that are no ordinary words."""
    found = []
    for match in re.finditer(NAME, text):
        words = match.group().split()
        while words and _is_ordinary(words[0]):
            del words[0]
        while words and _is_ordinary(words[-1]):
            words.pop()
        if words:
            found.append(" ".join(words))
    return found


def _is_ordinary(word: str) -> bool:
    return re.split(r"['\u2019.]", word.lower(), maxsplit=1)[0] in _NOT_NAMES


def name_at(text: str) -> str | None:
    """Return the name a text begins with, None when it begins with something else."""
    match = re.match(NAME, text.lstrip())
    if match is None:
        return None
    words = match.group().split()
    kept = []
    for word in words:
        if _is_ordinary(word):
            break
        kept.append(word)
    return " ".join(kept) or None


def spelled(text: str) -> str | None:
    """Return the word that is spelled letter by letter in a text ("S-M-Y-T-H", "double l", "b as in boy")."""
    match = _SPELLED.search(text)
    if match is None:
        return None
    letters = "".join(
        letter * {"": 1, "double ": 2, "triple ": 3}[(times or "").lower()]
        for times, letter in _LETTER.findall(match.group())
    )
    return letters.capitalize() if len(letters) >= 3 else None


def with_digits(text: str) -> str:
    """Return a text with runs of three or more spoken digits written as digits."""
    words = text.split(" ")
    result: list[str] = []
    at = 0
    while at < len(words):
        digits, end = _spoken_digits(words, at)
        if len(digits) >= 3:
            tail = re.search(r"[.,;!?]*$", words[end - 1])
            result.append(digits + (tail.group() if tail else ""))
            at = end
        else:
            result.append(words[at])
            at += 1
    return " ".join(result)


def _spoken_digits(words: list[str], at: int) -> tuple[str, int]:
    """Return the digits spoken from a word on, and where they end; a comma does not end them, a full stop does."""
    digits, times = "", 1
    while at < len(words):
        word = words[at].lower().strip(",")
        bare = word.rstrip(".;!?")
        if bare in ("double", "triple") and at + 1 < len(words):
            times = 2 if bare == "double" else 3
        elif bare in _DIGIT_WORDS:
            digits, times = digits + _DIGIT_WORDS[bare] * times, 1
        else:
            break
        at += 1
        if word != bare:
            break
    return digits, at


def sentences(text: str) -> list[str]:
    """Return a text's sentences."""
    parts: list[str] = []
    for part in re.split(r"(?<=[.!?…])\s+", text.strip()):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] += f" {part}"
        elif part:
            parts.append(part)
    return parts
