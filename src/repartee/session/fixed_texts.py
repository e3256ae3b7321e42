"""What an agent is sure to say, clause by clause as the voice is asked for it: its audio is made once and kept."""

from __future__ import annotations

from pathlib import Path

from repartee.agent import Agent
from repartee.conversation.clauses import clauses_of
from repartee.providers.ladder import Ladder
from repartee.providers.voice_cache import VoiceCache, voice_key
from repartee.session.asides import long_line
from repartee.session.fillers import words_of
from repartee.session.lines import back_lines, lines_of


def fixed_texts(agent: Agent) -> tuple[str, ...]:
    """Return the greeting, the fixed lines, what is said while an answer takes long, and the clauses of the answers
    that are given without a model.
    """
    answers = [a.say for a in agent.answers if a.do is None and a.say] if agent.cache.answers else []
    asides = [long_line(agent.language), *(tool.options.says for tool in agent.tools)]
    clauses = [clause for answer in answers for clause in clauses_of(answer)]
    lines = (*lines_of(agent).values(), *back_lines(agent.language))
    texts = (agent.opening, *lines, *words_of(agent).all, *asides, *clauses)
    return tuple(dict.fromkeys(text for text in texts if text))


def kept_voice(data_dir: Path, agent: Agent, ladder: Ladder) -> VoiceCache | None:
    """Return where a call keeps the audio of an agent's voice; None where it shall keep none."""
    if not agent.cache.voice:
        return None
    return VoiceCache(data_dir / "voices", voice_key(agent, ladder), fixed_texts(agent))


def prepared_texts(agent: Agent, ladder: Ladder) -> tuple[str, ...]:
    """Return what is made ahead for an agent's voice: of one that streams, the lines for when it cannot be asked."""
    if ladder.tts.provider == "openai":
        return fixed_texts(agent)
    return tuple(lines_of(agent).values())
