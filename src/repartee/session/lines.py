"""The few sentences the agent says without asking a model, per language."""

from __future__ import annotations

from repartee.agent import Agent
from repartee.events import Line

_LINES: dict[str, dict[Line, str]] = {
    "en": {
        "trouble": "Sorry, I have a small technical problem. Could you say that again?",
        "trouble_again": "I'm sorry, it is still not working. Please try once more, or hang up and call again later.",
        "hang_up": "I'm sorry, something is not working on our side. I have noted that you called. Please try again "
        "a little later. Goodbye!",
        "not_heard": "Sorry, I didn't catch that.",
        "goodbye": "Thank you for calling. Goodbye!",
        "budget": "I'm sorry, I have to end our call here. Please call again later. Goodbye!",
    },
    "de": {
        "trouble": "Entschuldigung, ich habe gerade ein technisches Problem. Können Sie das wiederholen?",
        "trouble_again": "Es tut mir leid, es klappt immer noch nicht. Versuchen Sie es bitte noch einmal, oder "
        "rufen Sie später wieder an.",
        "hang_up": "Es tut mir leid, bei uns funktioniert gerade etwas nicht. Ich habe Ihren Anruf notiert. Bitte "
        "versuchen Sie es etwas später noch einmal. Auf Wiederhören!",
        "not_heard": "Entschuldigung, das habe ich nicht verstanden.",
        "goodbye": "Danke für Ihren Anruf. Auf Wiederhören!",
        "budget": "Es tut mir leid, ich muss hier Schluss machen. Bitte rufen Sie später wieder an. Auf Wiederhören!",
    },
    "es": {
        "trouble": "Perdón, tengo un pequeño problema técnico. ¿Puede repetirlo?",
        "trouble_again": "Lo siento, todavía no funciona. Inténtelo una vez más, o vuelva a llamar más tarde.",
        "hang_up": "Lo siento, algo no funciona por nuestra parte. He anotado su llamada. Inténtelo de nuevo un poco "
        "más tarde, por favor. ¡Adiós!",
        "not_heard": "Perdón, no le he entendido.",
        "goodbye": "Gracias por llamar. ¡Adiós!",
        "budget": "Lo siento, tengo que terminar la llamada aquí. Vuelva a llamar más tarde, por favor. ¡Adiós!",
    },
}


def lines_of(agent: Agent) -> dict[Line, str]:
    """Return an agent's fixed sentences: its language's, and its own where it has some."""
    lines = lines_for(agent.language)
    return {**lines, "hang_up": agent.waiting.hang_up} if agent.waiting.hang_up else lines


def lines_for(language: str) -> dict[Line, str]:
    """Return the fixed sentences of a language (`de-AT` counts as `de`), English when there are none."""
    return _LINES.get(language.split("-", maxsplit=1)[0].lower(), _LINES["en"])
