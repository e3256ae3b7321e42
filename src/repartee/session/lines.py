"""The few sentences the agent says without asking a model, per language."""

from __future__ import annotations

from repartee.events import Line

_LINES: dict[str, dict[Line, str]] = {
    "en": {
        "trouble": "Sorry, I have a small technical problem. Could you say that again?",
        "not_heard": "Sorry, I didn't catch that.",
        "goodbye": "Thank you for calling. Goodbye!",
        "budget": "I'm sorry, I have to end our call here. Please call again later. Goodbye!",
        "cut_off": "Sorry, I lost my thread there. Could you ask me that again?",
    },
    "de": {
        "trouble": "Entschuldigung, ich habe gerade ein technisches Problem. Können Sie das wiederholen?",
        "not_heard": "Entschuldigung, das habe ich nicht verstanden.",
        "goodbye": "Danke für Ihren Anruf. Auf Wiederhören!",
        "budget": "Es tut mir leid, ich muss hier Schluss machen. Bitte rufen Sie später wieder an. Auf Wiederhören!",
        "cut_off": "Entschuldigung, jetzt habe ich den Faden verloren. Können Sie das noch einmal fragen?",
    },
    "es": {
        "trouble": "Perdón, tengo un pequeño problema técnico. ¿Puede repetirlo?",
        "not_heard": "Perdón, no le he entendido.",
        "goodbye": "Gracias por llamar. ¡Adiós!",
        "budget": "Lo siento, tengo que terminar la llamada aquí. Vuelva a llamar más tarde, por favor. ¡Adiós!",
        "cut_off": "Perdón, he perdido el hilo. ¿Puede preguntármelo otra vez?",
    },
}


def lines_for(language: str) -> dict[Line, str]:
    """Return the fixed sentences of a language (`de-AT` counts as `de`), English when there are none."""
    return _LINES.get(language.split("-", maxsplit=1)[0].lower(), _LINES["en"])
