"""Whether the user said yes: the words that allow what cannot be taken back, and nothing vaguer.

A tool that changes something waits for these words, so a doubt is no yes: "yes, but at eleven" is unclear, and the
question is asked again.
"""

from __future__ import annotations

import re
from typing import Literal

Verdict = Literal["yes", "no", "unclear"]
LONGEST_WORDS = 16
"""More words than this say more than yes."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE)


_YES = {
    "en": _words(
        r"yes|yeah|yep|yup|sure|correct|right|ok|okay|absolutely|exactly|perfect|please do|go ahead|do it|book it"
        r"|go for it|of course|that's (?:fine|good|it|great)|that is (?:fine|good|it|great)|sounds good|that works"
    ),
    "de": _words(
        r"ja|jawohl|genau|richtig|stimmt|gerne?|okay|ok|sicher|natürlich|passt|machen sie das|einverstanden"
        r"|in ordnung"
    ),
    "es": _words(
        r"sí|si|claro|correcto|exacto|vale|de acuerdo|está bien|perfecto|adelante|hágalo|por supuesto"
    ),
}
_NO = {
    "en": _words(
        r"no|nope|nah|not|don't|dont|do not|never|wrong|incorrect|stop|cancel that|forget it|never mind"
    ),
    "de": _words(r"nein|nicht|nee|falsch|kein\w*|stopp?|lieber nicht|lassen sie"),
    "es": _words(r"no|nunca|incorrecto|cancele eso|déjelo"),
}
_DOUBT = {
    "en": _words(
        r"but|instead|wait|actually|rather|hold on|change|except|maybe|perhaps|or|if|unless|what|when|which|how|why"
    ),
    "de": _words(
        r"aber|statt\w*|warten?|moment|eigentlich|doch lieber|vielleicht|oder|wenn|was|wann|wie|warum"
    ),
    "es": _words(r"pero|en vez|espere?|mejor|en realidad|quizás?|o|cuando|cuándo|cómo|por qué|qué"),
}
_HARMLESS = _words(r"no problem|why not|not at all|kein problem|warum nicht|no hay problema|por qué no|or so")


def verdict(text: str, language: str = "en") -> Verdict:
    """Say whether an answer to "shall I?" is a yes, a no, or neither.

    Args:
        text: What the user said in the turn.
        language: Of the agent; one that is not known is read as English.
    """
    key = language.split("-", maxsplit=1)[0].lower()
    key = key if key in _YES else "en"
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    said = _HARMLESS.sub(" ", plain)
    yes = bool(_YES[key].search(said)) or bool(_HARMLESS.search(plain))
    no = bool(_NO[key].search(said))
    if no and not yes:
        return "no"
    if not yes or no or _DOUBT[key].search(said) or "?" in said or len(said.split()) > LONGEST_WORDS:
        return "unclear"
    return "yes"
