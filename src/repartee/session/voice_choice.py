"""By which voice a call is spoken: which agent has it, which of their voices was chosen, and in which language.

A choice takes hold with the next reply: a sentence is never begun by one voice and ended by another. Each way to
sound has a name that travels through the pipeline in front of what is said in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from repartee.agent import Agent, Voice
from repartee.agent.definition import nearest
from repartee.agent.voice import DEFAULT_VOICE
from repartee.errors import ToolError
from repartee.providers.voices import Speaker
from repartee.session.languages import in_language

VOICE_METHOD = "repartee.voice"
"""RPC: the voice's name; without one, what it is and what there is."""
SHOWN_CHARACTERS = 64
_BETWEEN, PARTS = "\x1f", 4


class VoiceChoice:
    """The voice of one call.

    Args:
        present: Returns who has the call.
        language: Returns what the reply that is made now is in.
        mark: Marks the timeline.
        pace: Returns how fast it is to be spoken, of the usual pace.
    """

    def __init__(
        self,
        present: Callable[[], Agent],
        language: Callable[[], str],
        mark: Callable[..., None],
        pace: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._present = present
        self._language = language
        self._mark = mark
        self._pace = pace
        self._name = DEFAULT_VOICE
        self._shown: tuple[str, str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to choose from."""
        return (DEFAULT_VOICE, *self._present().voices)

    def choose(self, name: str) -> None:
        """Speak with another voice of the agent's from the next reply on.

        Raises:
            ToolError: There is no such voice.
        """
        if name not in self.names:
            raise ToolError(f"there is no voice '{name[:SHOWN_CHARACTERS]}'{nearest(name, self.names)}")
        self._name = name

    def reset(self) -> None:
        """Another agent has the call, with voices of their own."""
        self._name = DEFAULT_VOICE

    def key(self) -> str:
        """Return the name of how the call sounds at present."""
        agent, language, pace = self._present(), self._language(), self._pace()
        if self._name == DEFAULT_VOICE and language == agent.language and pace == 1.0:
            return agent.name
        return _BETWEEN.join((agent.name, self._name, language, f"{pace:g}"))

    def begin(self) -> str:
        """Return the name of how a reply that begins is to sound."""
        shown = (self._present().name, self._name, self._language())
        if self._shown not in {None, shown}:
            agent, voice, language = shown
            self._mark("voice.changed", agent=agent, voice=voice, language=language)
        self._shown = shown
        return self.key()

    async def rpc(self, payload: str) -> str:
        """RPC: choose a voice by its name; answers what speaks and what there is, as JSON.

        Raises:
            ToolError: There is no such voice.
        """
        name = payload.strip().strip('"')
        if name:
            self.choose(name)
        return json.dumps({"voice": self._name, "voices": list(self.names)})


def sounding(key: str, agents: Mapping[str, Agent]) -> Agent:
    """Return the agent of a name, with the voice and the language that the name says.

    Raises:
        KeyError: There is no such agent, or they have no such voice.
    """
    if key in agents:
        return agents[key]
    parts = key.split(_BETWEEN)
    if len(parts) != PARTS:
        raise KeyError(key)
    name, voice, language, pace = parts
    agent = agents[name]
    section = agent.languages.get(language)
    names = (
        agent.voices[voice] if voice != DEFAULT_VOICE else (section.voice if section else None) or agent.voice
    )
    return in_language(agent, language).model_copy(update={"voice": _at_pace(names, float(pace))})


def _at_pace(voice: Voice, pace: float) -> Voice:
    return (
        voice if pace == 1.0 else voice.model_copy(update={"speed": min(2.0, max(0.5, voice.speed * pace))})
    )


class Sounds(Mapping[str, Speaker]):
    """How a call can sound, by name; each is made when it is first heard of.

    Args:
        agents: Who may have the call, by name.
        make: Makes one.
    """

    def __init__(self, agents: Mapping[str, Agent], make: Callable[[str], Speaker]) -> None:
        self._agents = agents
        self._make = make
        self._made: dict[str, Speaker] = {}

    def __getitem__(self, key: str) -> Speaker:
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)
