"""In which language the caller speaks: evidence of each turn, weighed before the agent changes its own. Pure.

A recogniser is often wrong about the language of a short or noisy turn, and callers say a foreign name or a word of
thanks without wanting another language. So it takes two turns in a row, or one long one that is certain, or that they
ask for it. Words of courtesy say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

SURE, SURE_WORDS = 0.9, 4
"""One turn is enough that is so certain and so long."""
LIKELY, LIKELY_WORDS = 0.6, 2
"""Two turns in a row are, of which each is so certain and so long."""
TURNS = 2
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON: dict[str, frozenset[str]] = {
    "en": _words(
        """
        the and or but not is are was were do does did have has had can could will would should i you he she it we
        they
        my your his her our their this that these those what when where who why how which there here of to in for on
        with at from by about please need want like know would've i'm i'd don't can't what's it's is there any some an
        be been being get got make take me him them us just also very much more than then if because so
        """
    ),
    "de": _words(
        """
        der die das den dem des ein eine einen einem einer und oder aber nicht kein keine ist sind war waren bin bist
        habe hat haben hatte kann können könnte will möchte muss soll ich du er sie es wir ihr mein meine meinen ihre
        ihren sein dieser diese dieses was wann wo wer warum wie welche welcher hier da von zu im in für auf mit bei
        aus
        über bitte brauche gerne noch auch schon nur sehr mehr als wenn weil dass ob mir mich ihnen uns zum zur am um
        gibt einmal heute morgen etwas
        """
    ),
    "es": _words(
        """
        el la los las un una unos unas y o pero no es son era soy está están estoy he ha han tengo tiene tienen puedo
        puede podría quiero quisiera necesito hay yo usted él ella nosotros mi mis su sus este esta esto ese esa qué
        cuándo dónde quién cómo cuál cuánto aquí de del a al en para por con sin sobre favor me le les se lo nos muy
        más
        también ya si porque que como cita hoy mañana algo
        """
    ),
}
"""The words every sentence is made of, by language."""
_OWN = {
    language: common.difference(*(others for other, others in _COMMON.items() if other != language))
    for language, common in _COMMON.items()
}
"""Those of them that are of no other's."""
_COURTESY = _words(
    """
    yes no ok okay hello hi hallo hola thanks thank you bye ciao danke bitte gracias sí si ja nein adiós goodbye super
    perfect perfekt perfecto oh ah hm mhm
    """
)
_NAMES = {
    "en": r"english|englisch|inglés|ingles",
    "de": r"german|deutsch|alemán|aleman",
    "es": r"spanish|spanisch|español|espanol|castellano",
    "fr": r"french|französisch|francés|français",
    "it": r"italian|italienisch|italiano",
    "nl": r"dutch|holländisch|niederländisch|holandés|neerlandés|nederlands",
    "pt": r"portuguese|portugiesisch|portugués|português",
    "pl": r"polish|polnisch|polaco|polski",
    "tr": r"turkish|türkisch|turco|türkçe",
}
"""What languages are called in English, German, Spanish and themselves."""
_SPEAK = (
    r"(?:speak|talk|switch to|change to|continue in|sprechen sie|sprichst du|sprechen wir|können sie|kannst du"
    r"|(?:bitte|lieber|weiter) auf|habla|hablas|hablar|hablamos)(?: (?:in|auf|en|some|lieber|bitte))?"
)
_ALONE = r"^\W*(?:please |bitte )?(?:in|auf|en) (?:{names})(?:,? (?:please|bitte|por favor))?\W*$"
_NOT = re.compile(r"\b(?:not|don't|do not|can't|cannot|nicht|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one turn says of its language.

    Attributes:
        language: Two letters; None where nothing can be said.
        confidence: 0..1.
        words: How many words it is taken from.
    """

    language: str | None = None
    confidence: float = 0.0
    words: int = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where the call stands.

    Attributes:
        language: What the agent speaks; two letters.
        candidates: What it can speak.
        towards: Another one of which there is evidence.
        turns: In how many turns in a row.
    """

    language: str
    candidates: frozenset[str]
    towards: str | None = None
    turns: int = 0


def after(spoken: Spoken, evidence: Evidence) -> Spoken:
    """Return where the call stands after a turn."""
    found = evidence.language
    if found is None or evidence.confidence < LIKELY or evidence.words < LIKELY_WORDS:
        return spoken  # it says nothing, neither for the one nor for the other
    if found == spoken.language or found not in spoken.candidates:
        return replace(spoken, towards=None, turns=0)
    turns = spoken.turns + 1 if found == spoken.towards else 1
    sure = evidence.confidence >= SURE and evidence.words >= SURE_WORDS
    if sure or turns >= TURNS:
        return replace(spoken, language=found, towards=None, turns=0)
    return replace(spoken, towards=found, turns=turns)


def weigh(text: str, candidates: Collection[str], heard: Evidence = Evidence()) -> Evidence:
    """Return what a turn says, by its words and by what the recogniser took it for.

    Args:
        text: The turn.
        candidates: What the agent can speak.
        heard: The recogniser's; nothing where it does not say.
    """
    if asked := asked_for(text, candidates):
        return Evidence(asked, 1.0, SURE_WORDS)
    read = guess(text)
    words = len([word for word in _WORD.findall(text.lower()) if word not in _COURTESY])
    if heard.language is None:
        return read
    if read.confidence < LIKELY:
        return replace(heard, words=words)  # a few words that happen to be another language's too
    if read.language != heard.language:
        return Evidence()  # a word list and a recogniser that disagree are no evidence
    return Evidence(read.language, max(read.confidence, heard.confidence), words)


def guess(text: str) -> Evidence:
    """Return the language that a text's common words are of: English, German, Spanish, or nothing."""
    words = [word for word in _WORD.findall(text.lower()) if word not in _COURTESY]
    if not words:
        return Evidence()
    hits = {language: sum(word in own for word in words) for language, own in _OWN.items()}
    best = max(hits, key=lambda language: hits[language])
    others = max(count for language, count in hits.items() if language != best)
    if not hits[best] or hits[best] == others:
        return Evidence()
    lead = (hits[best] - others) / hits[best]
    share = sum(word in _COMMON[best] for word in words) / len(words)
    # A third of a sentence are such words; half of it is as certain as it gets.
    return Evidence(best, round(lead * min(1.0, share * 2.2), 3), len(words))


def asked_for(text: str, candidates: Collection[str]) -> str | None:
    """Return the language a caller asks for by its name, None where they ask for none."""
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for language, names in _NAMES.items():
        if language not in candidates:
            continue
        if re.match(_ALONE.format(names=names), plain, re.IGNORECASE):
            return language
        said = re.search(rf"\b{_SPEAK} (?:{names})\b", plain, re.IGNORECASE)
        if said is not None and not _NOT.search(plain[: said.start()]):
            return language
    return None
