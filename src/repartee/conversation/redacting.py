"""Takes out of a text what tells who somebody is or what they pay with; the rest stays readable.

By pattern, check digit and the words before it, in English, German and Spanish; a name only where somebody says it is
theirs. No model looks at it: what is put in unheard-of ways stays, so a transcript without any such thing is one that
is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from repartee.conversation import reading

_CARD_WORDS = r"(?:credit|debit|bank|visa|master\s?card|amex|maestro|kredit|kreditkarte|tarjeta|card)"
_CARD = re.compile(r"(?<![\w])\d(?:[ .-]{0,2}\d){11,18}(?!\w)")
_NEAR_CARD = re.compile(rf"(?<!\[)\b{_CARD_WORDS}\b[^.?!]{{0,60}}$", re.IGNORECASE)
_IBAN = re.compile(r"(?<!\w)(?:[A-Z]{2} ?|[A-Za-z]{2})\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)")
_CODE_WORDS = (
    r"cvv2?|cvc2?|security code|pin|pass ?code|password|verification code|one[- ]time (?:code|password)|prüfnummer"
    r"|geheimzahl|kennwort|passwort|contraseña|código de seguridad|clave"
)
_CODE = re.compile(
    rf"\b(?P<lead>(?:{_CODE_WORDS})\b(?:\s(?:is|was|number|ist|lautet|es|it's|:))*[\s:,]{{1,3}})"
    r"(?P<value>(?=\S*\d)[\w-]{3,32}(?: \d{1,4}){0,4})",
    re.IGNORECASE,
)
_IDENTITY_WORDS = (
    r"social security|national insurance|passport|identity card|driver'?s? licen[cs]e|tax|insurance|member|policy"
    r"|account|personalausweis|reisepass|steuer|versicherungs?|konto|pasaporte|seguridad social|cuenta|dni|nie"
)
_IDENTITY = re.compile(
    rf"\b(?P<lead>(?:{_IDENTITY_WORDS})\b[^.?!\d]{{0,30}}?)"
    r"(?P<value>\b[A-Z]{0,4}[ -]?\d(?:[ ./-]?[A-Z0-9]){4,20})\b",
    re.IGNORECASE,
)
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_BORN = re.compile(
    r"\b(?P<lead>(?:born|birthday|date of birth|birth date|dob|geboren|geburtsdatum|nacido|nacida|nacimiento)\b"
    r"[^.?!\d]{0,30}?)(?P<value>\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}-\d{2}-\d{2}"
    r"|(?:the )?\d{1,2}(?:st|nd|rd|th)?\.? (?:of )?[A-Za-zäöü]{3,10}\.?,? \d{2,4}"
    r"|[A-Za-z]{3,9} \d{1,2}(?:st|nd|rd|th)?,? \d{4})",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?P<lead>(?i:my (?:full |first |last |family |middle |maiden )?name(?:'s| is)|i am called|call me"
    rf"|in the name of|mein name ist|ich heiße|me llamo|mi nombre es)\s+)(?P<value>{reading.NAME})"
)
_STREET = re.compile(
    r"(?<!\w)(?:\d{1,5}[a-z]?,? (?:[A-Z][\w'-]+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Boulevard|Way|Court)"
    r"|[A-ZÄÖÜ][\wäöüß-]{1,30}(?:straße|strasse|weg|platz|allee|gasse) \d{1,4}[a-z]?"
    r"|(?:Calle|Avenida|Plaza) (?:[A-Za-zÁÉÍÓÚáéíóúñ]{1,20} ){1,4}\d{1,4})(?!\w)"
)
_PHONE = re.compile(rf"\(?{reading.PHONE.pattern}")
_LONG_NUMBER = re.compile(r"(?<![\w.,])\d(?:[ -]?\d){8,40}(?!\w)")


def redacted(text: str) -> str:
    """Return a text without e-mail addresses, telephone and card numbers, accounts, secrets, papers, addresses.

    Each is replaced by what it was: `[e-mail]`, `[phone]`, `[card]`, `[IBAN]`, `[code]`, `[id]`, `[date of birth]`,
    `[name]`, `[address]`, `[number]`. Digits said as words count as digits. Twice is as once.
    """
    text = reading.with_digits(text)
    for pattern, put in _STEPS:
        text = pattern.sub(put, text)
    return text


def _led(what: str) -> Callable[[re.Match[str]], str]:
    """Replace the value, and keep the words that led to it."""
    return lambda match: f"{match['lead']}[{what}]"


def _card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    by_words = _NEAR_CARD.search(match.string[: match.start()]) is not None
    return "[card]" if luhn(digits) or by_words else match.group()


def _iban(match: re.Match[str]) -> str:
    return "[IBAN]" if iban(match.group()) else match.group()


def _phone(match: re.Match[str]) -> str:
    return match.group() if reading.DATE.fullmatch(match.group().strip()) else "[phone]"


def luhn(digits: str) -> bool:
    """Say whether the last digit is what card companies compute from the others."""
    if not 13 <= len(digits) <= 19 or not digits.isascii() or not digits.isdigit():
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Say whether a text is an account number whose check digits are right (ISO 13616)."""
    plain = re.sub(r"[ -]", "", text).upper()
    if not plain.isascii() or not plain.isalnum() or not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


_STEPS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (reading.EMAIL, "[e-mail]"),
    (_IBAN, _iban),
    (_CARD, _card),
    (_SSN, "[id]"),
    (_CODE, _led("code")),
    (_BORN, _led("date of birth")),
    (_IDENTITY, _led("id")),
    (_PHONE, _phone),
    (_LONG_NUMBER, "[number]"),
    (_NAMED, _led("name")),
    (_STREET, "[address]"),
)
