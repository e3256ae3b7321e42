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
        "cut_off": "Sorry, we were cut off for a moment.",
        "say_again": "Sorry, we were cut off. Could you say that again?",
        "still_there": "Are you still there?",
        "let_go": "I can't hear anybody, so I will hang up now. Please call again any time. Goodbye!",
        "no_sound": "I cannot hear you. Please check your microphone.",
        "lost_thread": "Sorry, I lost my thread there. Could you ask me that again?",
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
        "cut_off": "Entschuldigung, die Verbindung war kurz unterbrochen.",
        "say_again": "Entschuldigung, die Verbindung war unterbrochen. Können Sie das wiederholen?",
        "still_there": "Sind Sie noch da?",
        "let_go": "Ich höre niemanden und lege jetzt auf. Rufen Sie gern wieder an. Auf Wiederhören!",
        "no_sound": "Ich kann Sie nicht hören. Bitte prüfen Sie Ihr Mikrofon.",
        "lost_thread": "Entschuldigung, jetzt habe ich den Faden verloren. Können Sie das noch einmal fragen?",
    },
    "es": {
        "trouble": "Perdón, tengo un pequeño problema técnico. ¿Puede repetirlo?",
        "trouble_again": "Lo siento, todavía no funciona. Inténtelo una vez más, o vuelva a llamar más tarde.",
        "hang_up": "Lo siento, algo no funciona por nuestra parte. He anotado su llamada. Inténtelo de nuevo un poco "
        "más tarde, por favor. ¡Adiós!",
        "not_heard": "Perdón, no le he entendido.",
        "goodbye": "Gracias por llamar. ¡Adiós!",
        "budget": "Lo siento, tengo que terminar la llamada aquí. Vuelva a llamar más tarde, por favor. ¡Adiós!",
        "cut_off": "Perdón, se ha cortado un momento.",
        "say_again": "Perdón, se ha cortado. ¿Puede repetirlo?",
        "still_there": "¿Sigue ahí?",
        "let_go": "No oigo a nadie, así que voy a colgar. Llame de nuevo cuando quiera. ¡Adiós!",
        "no_sound": "No le oigo. Compruebe su micrófono, por favor.",
        "lost_thread": "Perdón, he perdido el hilo. ¿Puede preguntármelo otra vez?",
    },
}

_BACK = {
    "en": ("Sorry, we were cut off for a moment.", "Please go on."),
    "de": ("Entschuldigung, wir waren kurz unterbrochen.", "Sprechen Sie bitte weiter."),
    "es": ("Perdón, se ha cortado un momento.", "Continúe, por favor."),
}


def back_lines(language: str) -> tuple[str, str]:
    """Return what an agent says that takes over a call: the excuse, and what it says where nothing is left to say."""
    return _BACK.get(language.split("-", maxsplit=1)[0].lower(), _BACK["en"])


def lines_of(agent: Agent) -> dict[Line, str]:
    """Return an agent's fixed sentences: its language's, and its own where it has some."""
    lines = lines_for(agent.language)
    return {**lines, "hang_up": agent.waiting.hang_up} if agent.waiting.hang_up else lines


def lines_for(language: str) -> dict[Line, str]:
    """Return the fixed sentences of a language (`de-AT` counts as `de`), English when there are none."""
    return _LINES.get(language.split("-", maxsplit=1)[0].lower(), _LINES["en"])
