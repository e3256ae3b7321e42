"""The language of one call: what the caller speaks, and what changes with it.

The words of a turn are weighed when a reply to them begins, so that already this reply is in their language; what is
found counts for good when the words belong to the conversation. A reply that is thrown away changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from repartee.agent import Agent
from repartee.agent.definition import nearest
from repartee.conversation.languages import Evidence, Spoken, after, weigh
from repartee.errors import ToolError

ENGLISH_NAMES = {
    "en": "English",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
    "pl": "Polish",
    "tr": "Turkish",
}
OnLanguage = Callable[[str], None]


def in_language(agent: Agent, language: str) -> Agent:
    """Return an agent as it speaks another language: the product's own fixed sentences, as its file's are of one."""
    if language == agent.language:
        return agent
    own: dict[str, object] = {"say": {}, "apology": None, "hang_up": None}
    return agent.model_copy(update={"language": language, "waiting": agent.waiting.model_copy(update=own)})


class CallLanguage:
    """The language of a call.

    Args:
        agent: Which it speaks first, and which others it can.
        mark: Marks the timeline.
    """

    def __init__(self, agent: Agent, mark: Callable[..., None]) -> None:
        codes = (agent.language, *agent.languages)
        self._codes = {_short(code): code for code in codes}
        self._instructions = {code: section.instruction for code, section in agent.languages.items()}
        self._first = agent.language
        self._spoken = Spoken(_short(agent.language), frozenset(self._codes))
        self._shown = agent.language
        """What the reply that is made now is in."""
        self._heard = Evidence()
        self._mark = mark
        self._listeners: list[OnLanguage] = []

    @property
    def several(self) -> bool:
        """Whether there is anything to choose from."""
        return len(self._codes) > 1

    @property
    def language(self) -> str:
        """What the call is in, as in the agent file."""
        return self._codes[self._spoken.language]

    @property
    def shown(self) -> str:
        """What the reply that is made now is in."""
        return self._shown

    @property
    def foreign(self) -> bool:
        """Whether the reply that is made now is in another language than the file is written in."""
        return self._shown != self._first

    def on_change(self, listener: OnLanguage) -> None:
        """Tell a listener of each change, when the words that made it belong to the conversation."""
        self._listeners.append(listener)

    def heard(self, language: str | None, confidence: float | None) -> None:
        """A recogniser says which language the newest piece is in."""
        known = language is not None and _short(language) in self._codes
        self._heard = Evidence(_short(language or ""), confidence or 0.0) if known else Evidence()

    def answer(self, text: str) -> str:
        """A reply to these words begins: it is in the language returned. Nothing is decided by it."""
        self._shown = self._codes[self._after(text).language]
        return self._shown

    def remember(self, text: str) -> None:
        """These words belong to the conversation."""
        self._decide(self._after(text))
        self._heard = Evidence()

    def stay(self) -> None:
        """Speak the first language only: what answers knows no other."""
        self._codes = {_short(self._first): self._first}

    def check(self, code: str) -> None:
        """See that the agent speaks a language.

        Raises:
            ToolError: It does not.
        """
        if _short(code) not in self._codes:
            raise ToolError(f"there is no language '{code[:16]}'{nearest(code, self._codes)}")

    def choose(self, code: str) -> None:
        """Speak another of the agent's languages from the next reply on.

        Raises:
            ToolError: It speaks no such language.
        """
        self.check(code)
        self._decide(Spoken(_short(code), frozenset(self._codes)))

    def note(self) -> str:
        """Return what the model is told of the language, for the end of a request."""
        if not self.foreign:
            return ""
        name = ENGLISH_NAMES.get(_short(self._shown), f"the language '{self._shown}'")
        more = self._instructions.get(self._shown)
        return f"The user speaks {name}. Answer in {name}.{f' {more}' if more else ''}"

    def _after(self, text: str) -> Spoken:
        if not self.several:
            return self._spoken
        return after(self._spoken, weigh(text, self._codes, self._heard))

    def _decide(self, spoken: Spoken) -> None:
        before, self._spoken = self._spoken.language, spoken
        if spoken.language == before:
            return
        self._shown = self.language
        self._mark("language.changed", language=self.language, before=self._codes[before])
        for listener in self._listeners:
            listener(self.language)


def _short(code: str) -> str:
    return code.split("-", maxsplit=1)[0].lower()
