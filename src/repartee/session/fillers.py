"""Says a word while an answer takes long: the running tool's own line, else one that fits what was asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from repartee.agent import Agent
from repartee.conversation.fillers import Chooser, FillerTexts, apology_for, texts_for
from repartee.events import SpeakAside
from repartee.session.asides import Asides


@dataclass(frozen=True, slots=True)
class WaitingWords:
    """What may be said while an answer takes long, in one language."""

    language: str
    fillers: FillerTexts
    apology: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Every text."""
        fillers = (text for texts in self.fillers.values() for text in texts)
        return (*fillers, *((self.apology,) if self.apology else ()))


def words_for(language: str) -> WaitingWords:
    """Return a language's words."""
    return WaitingWords(language, texts_for(language), apology_for(language))


def words_of(agent: Agent) -> WaitingWords:
    """Return an agent's words: its own, where it has some, in place of its language's."""
    waiting, words = agent.waiting, words_for(agent.language)
    if not waiting.fillers:
        return WaitingWords(agent.language, {})
    return WaitingWords(agent.language, {**words.fillers, **waiting.say}, waiting.apology or words.apology)


class Fillers:
    """Performs `SpeakAside`.

    Args:
        words: What there is to say.
        asides: Says them, unless the answer's audio has come or is expected.
        tool_line: Returns the own line of a tool that runs for a reply.
        kept: Says whether a text's audio is there, so that it takes no time to make.
        only_kept: Says whether nothing else may be said at present.
        mark: Marks the timeline.
    """

    def __init__(
        self,
        words: WaitingWords,
        asides: Asides,
        *,
        tool_line: Callable[[int], str | None],
        kept: Callable[[str], bool],
        only_kept: Callable[[], bool],
        mark: Callable[..., None],
    ) -> None:
        self.speak(words)
        self._asides = asides
        self._tool_line = tool_line
        self._kept = kept
        self._only_kept = only_kept
        self._mark = mark

    def speak(self, words: WaitingWords) -> None:
        """From now on these are said."""
        self._chooser = Chooser(words.fillers, words.language)
        self._apology = words.apology

    async def say(self, command: SpeakAside) -> None:
        """Say something, if there is something to say and still a reason to."""
        reply_id = command.reply_id
        if not self._asides.may_say(reply_id):
            return
        line = self._tool_line(reply_id) if command.aside == "filler" else None
        text = line or self._text(command)
        if text is not None and await self._asides.say(reply_id, text, False):
            what = "tool" if line else command.aside
            self._mark("filler", reply_id=reply_id, what=what, kept=self._kept(text))

    def _text(self, command: SpeakAside) -> str | None:
        usable = self._kept if self._only_kept() else lambda _: True
        if command.aside == "filler":
            return self._chooser.choose(command.text, usable)
        return self._apology if self._apology is not None and usable(self._apology) else None
