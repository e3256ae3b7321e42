"""What an agent is sure to say, clause by clause as the voice is asked for it: its audio is made once and kept."""

from __future__ import annotations

from repartee.agent import Agent
from repartee.conversation.clauses import clauses_of
from repartee.session.lines import lines_for


def fixed_texts(agent: Agent) -> tuple[str, ...]:
    """Return the greeting and the fixed lines, and the clauses of the answers that are given without a model."""
    answers = [a.say for a in agent.answers if a.do is None and a.say] if agent.cache.answers else []
    clauses = [clause for answer in answers for clause in clauses_of(answer)]
    return tuple(dict.fromkeys((agent.greeting, *lines_for(agent.language).values(), *clauses)))
