"""What voices are asked to say: sentences of the kind agents say, in three languages.

Each comes with the ways in which a recogniser may write it: "half past nine" and "9:30" are the same words said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True, slots=True)
class Sample:
    """A text.

    Attributes:
        name: Short, for files and tables.
        text: As the voice is asked for it.
        also: Other ways to write what is heard.
    """

    name: str
    text: str
    also: tuple[str, ...] = ()


TEXTS: dict[str, tuple[Sample, ...]] = {
    "en": (
        Sample("yes", "Yes, of course."),
        Sample("greeting", "Riverside Clinic, good day. How can I help you?"),
        Sample("question", "What is your full name, please?"),
        Sample("wait", "One moment, I'm having a look.", ("One moment, I am having a look.",)),
        Sample(
            "time",
            "We have a free slot on Tuesday at half past nine in the morning.",
            ("We have a free slot on Tuesday at 9:30 in the morning.",),
        ),
        Sample(
            "number",
            "Our number is five five five, oh one nine, four two.",
            (
                "Our number is 555-019-42.",
                "Our number is 555 019 42.",
                "Our number is 55501942.",
                "Our number is 5550 1942.",
                "Our number is 555 01942.",
                "Our number is 555 019 4 2.",
            ),
        ),
        Sample(
            "price",
            "That comes to twenty-four dollars and fifty cents.",
            ("That comes to $24.50.", "That comes to 24 dollars and 50 cents."),
        ),
        Sample(
            "name",
            "Is that Catherine with a C, or Katherine with a K?",
            ("Is that Catherine with a C, or Catherine with a K?",),
        ),
        Sample("sorry", "I'm sorry, I didn't catch that. Could you say it again?"),
        Sample(
            "explanation",
            "Your appointment is booked. Please come a little early, bring your insurance card, and use the entrance "
            "on the left side of the building.",
        ),
        Sample(
            "confirm",
            "So that's a table for two by the window, under the name of Miller. Shall I book it?",
            ("So that's a table for 2 by the window, under the name of Miller. Shall I book it?",),
        ),
        Sample("goodbye", "Thank you for calling, and have a wonderful afternoon. Goodbye!"),
    ),
    "de": (
        Sample("yes", "Ja, natürlich."),
        Sample("greeting", "Praxis am Fluss, guten Tag. Wie kann ich Ihnen helfen?"),
        Sample("question", "Wie heißen Sie, bitte?"),
        Sample("wait", "Einen Moment, ich sehe nach."),
        Sample(
            "time",
            "Am Dienstag um halb zehn ist noch etwas frei.",
            ("Am Dienstag um 9:30 Uhr ist noch etwas frei.",),
        ),
        Sample("price", "Das kostet vierundzwanzig Euro.", ("Das kostet 24 Euro.", "Das kostet 24€.")),
        Sample("sorry", "Entschuldigung, das habe ich nicht verstanden. Können Sie das wiederholen?"),
        Sample(
            "explanation",
            "Ihr Termin ist gebucht. Kommen Sie bitte etwas früher, bringen Sie Ihre Versichertenkarte mit, "
            "und nehmen Sie den Eingang auf der linken Seite.",
        ),
        Sample("goodbye", "Vielen Dank für Ihren Anruf und einen schönen Nachmittag. Auf Wiederhören!"),
    ),
    "es": (
        Sample("yes", "Sí, claro."),
        Sample("greeting", "Clínica del Río, buenos días. ¿En qué puedo ayudarle?"),
        Sample("question", "¿Cómo se llama, por favor?"),
        Sample("wait", "Un momento, lo estoy mirando."),
        Sample(
            "time",
            "El martes a las nueve y media hay un hueco.",
            ("El martes a las 9:30 hay un hueco.", "El martes a las 9 y media hay un hueco."),
        ),
        Sample("price", "Son veinticuatro euros.", ("Son 24 euros.", "Son 24€.")),
        Sample("sorry", "Perdón, no le he entendido. ¿Puede repetirlo?"),
        Sample(
            "explanation",
            "Su cita está reservada. Venga un poco antes, traiga su tarjeta sanitaria y use la entrada del lado "
            "izquierdo.",
        ),
        Sample("goodbye", "Gracias por llamar, y que pase una buena tarde. ¡Adiós!"),
    ),
}


def word_errors(sample: Sample, heard: str) -> tuple[int, int]:
    """Return how many words were misheard, and of how many: against the way of writing that fits best."""
    ways = [plain(text) for text in (sample.text, *sample.also)]
    errors = [_errors(way, plain(heard)) for way in ways]
    return min(errors), len(ways[errors.index(min(errors))].split())


def _errors(truth: str, heard: str) -> int:
    found = jiwer.process_words(truth, heard)
    return int(found.substitutions + found.deletions + found.insertions)


def plain(text: str) -> str:
    """Return a text's words, without what is only spelling: case, points, hyphens, and apostrophes."""
    lower = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("-", " ").replace("'", "")
    return " ".join(re.sub(r"[^\w$€]+", " ", lower).split())
