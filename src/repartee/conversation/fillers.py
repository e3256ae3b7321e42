"""What is said while an answer takes long: which kind fits what was asked, and not the same words twice. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from repartee.events import FillerKind

FillerTexts = Mapping[FillerKind, Sequence[str]]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BOOKING = {
    "en": _words(
        r"\b(?:book\w*|reserv\w+|appointment\w*|schedul\w+|reschedul\w+|slots?|a table|availab\w+"
        r"|(?:are you|is there anything|what(?:'s| is)|anything) free)\b"
    ),
    "de": _words(r"\b(?:buch\w+|reservier\w+|termin\w*|tisch|frei|verfügbar)\b"),
    "es": _words(r"\b(?:reserv\w+|cita\w*|mesa|libres?|disponib\w+|agendar)\b"),
}
_REQUEST = {
    "en": _words(
        r"^(?:\W*(?:hi|hello|okay|ok|so|and|yes|well|um|uh)\W+)*"
        r"(?:please|can you|could you|would you|will you|can i|could i|may i|i(?:'d| would) like|i (?:want|need)"
        r"|let's|cancel|change|check|find|give|help|move|send|show|tell)\b|\bplease\W*$"
    ),
    "de": _words(
        r"^(?:\W*(?:hallo|ja|also|und|äh|ähm|okay)\W+)*"
        r"(?:bitte|können sie|könnten sie|kannst du|kann ich|darf ich|ich (?:möchte|will|brauche|hätte)|sagen sie"
        r"|geben sie|helfen sie)\b|\bbitte\W*$"
    ),
    "es": _words(
        r"^(?:\W*(?:hola|sí|pues|y|eh|bueno)\W+)*"
        r"(?:por favor|puede|podría|puedes|puedo|quiero|quisiera|necesito|me gustaría|dígame|deme|ayúdeme)\b"
        r"|\bpor favor\W*$"
    ),
}
_QUESTION = {
    "en": _words(
        r"\?\s*$|^(?:\W*(?:hi|hello|okay|ok|so|and|well|um|uh)\W+)*(?:who|what|when|where|why|which|how|is|are|do"
        r"|does|did|have|has|am|was|were|should)\b"
    ),
    "de": _words(
        r"\?\s*$|^(?:\W*(?:hallo|ja|also|und|äh|ähm|okay)\W+)*(?:wer|was|wann|wo|wie|warum|wieso|welche\w*|wieviel"
        r"|ist|sind|haben|hat|gibt|geht)\b"
    ),
    "es": _words(
        r"\?\s*$|^(?:\W*(?:hola|pues|y|eh|bueno)\W+)*(?:quién|qué|cuándo|dónde|por qué|cuál\w*|cómo|cuánt\w+|hay|es"
        r"|está|tienen?)\b"
    ),
}
_TEXTS: dict[str, dict[FillerKind, tuple[str, ...]]] = {
    "en": {
        "question": ("Let me see.", "Let me have a look."),
        "request": ("Sure, one moment.", "Okay, just a second."),
        "booking": ("Let me see what we have.", "One moment, I'm having a look."),
        "other": ("All right, one moment.", "Okay, let me see."),
    },
    "de": {
        "question": ("Ich schaue kurz nach.", "Mal sehen."),
        "request": ("Gerne, einen Moment.", "Okay, eine Sekunde."),
        "booking": ("Ich schaue, was wir haben.", "Einen Moment, ich sehe nach."),
        "other": ("Alles klar, einen Moment.", "Gut, ich schaue kurz."),
    },
    "es": {
        "question": ("A ver.", "Déjeme ver."),
        "request": ("Claro, un momento.", "De acuerdo, un segundo."),
        "booking": ("Voy a ver qué tenemos.", "Un momento, lo estoy mirando."),
        "other": ("Muy bien, un momento.", "De acuerdo, a ver."),
    },
}
_APOLOGY = {
    "en": "Sorry, this is taking a little longer than usual.",
    "de": "Entschuldigung, das dauert gerade etwas länger als sonst.",
    "es": "Perdón, esto está tardando un poco más de lo normal.",
}


def kind_of(text: str, language: str) -> FillerKind:
    """Return what a turn is, as far as a word before its answer must know."""
    language = language.split("-", maxsplit=1)[0].lower()
    if language not in _TEXTS:
        return "question" if text.rstrip().endswith("?") else "other"
    if _BOOKING[language].search(text):
        return "booking"
    if _REQUEST[language].search(text.strip()):
        return "request"
    return "question" if _QUESTION[language].search(text.strip()) else "other"


def texts_for(language: str) -> FillerTexts:
    """Return what is said in a language (`de-AT` counts as `de`); nothing in one that is not known."""
    return _TEXTS.get(language.split("-", maxsplit=1)[0].lower(), {})


def apology_for(language: str) -> str | None:
    """Return what is said when it takes very long; None in a language that is not known."""
    return _APOLOGY.get(language.split("-", maxsplit=1)[0].lower())


@dataclass
class Chooser:
    """Chooses the words, call by call.

    Attributes:
        texts: What there is to say.
        language: Of the call.
        last: What was said last; it is not said next.
    """

    texts: FillerTexts
    language: str
    last: str = ""
    _used: dict[FillerKind, int] = field(default_factory=dict)

    def choose(self, text: str, usable: Callable[[str], bool] = lambda _: True) -> str | None:
        """Return words that fit the answer to a turn; None when there are none that were not just said.

        Args:
            text: The turn.
            usable: Says whether words may be used now.
        """
        kind = kind_of(text, self.language)
        options = self.texts.get(kind) or self.texts.get("other") or ()
        first = self._used.get(kind, 0)
        for step in range(len(options)):
            option = options[(first + step) % len(options)]
            if option != self.last and usable(option):
                self._used[kind] = first + step + 1
                self.last = option
                return option
        return None
