"""Which model answers a turn: the small one where the turn is simple, the large one where a mistake would cost.

A pure function of the turn's words, what was said before, and what is going on. It takes microseconds; the vector it
may look at was made for the cache and is never waited for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from repartee.conversation import wordlists as lists
from repartee.conversation.budget import BudgetState
from repartee.conversation.likeness import awaits_answer
from repartee.conversation.policies import BACKCHANNELS
from repartee.conversation.questions import plain

Tier = Literal["cached", "small", "large"]

SHORT_WORDS = 14
LONG_WORDS = 28
LABEL_LIKENESS = 0.5
"""From here on the nearest labelled example is listened to."""

SIMPLE_EXAMPLES = (
    "Hello, how are you?",
    "Thank you very much, that's all.",
    "Goodbye, have a nice day.",
    "When are you open?",
    "Where are you located?",
    "What is your phone number?",
    "Do you have parking?",
    "How much does it cost?",
    "Can you repeat that?",
    "Are you a robot?",
    "What can you help me with?",
    "Do you take credit cards?",
    "Is there wifi?",
    "Can I bring my dog?",
)
HARD_EXAMPLES = (
    "I want to make a booking.",
    "Please cancel my appointment.",
    "I need to change my order.",
    "What is the difference between the two plans, and which one would you recommend?",
    "I was charged twice and I want my money back.",
    "My phone has stopped working since yesterday, what should I do?",
    "If I move to another city, what happens to my contract?",
    "I have a complaint about the service.",
    "Explain to me how the fees are calculated.",
    "Can you check whether my order has arrived?",
    "I'd like to speak to a manager.",
    "My name is Miller and I have a question about my account.",
)

_COURTESY = frozenset(
    """
    hello hi hey good morning afternoon evening day there thanks thank you very much lot a that is was all bye goodbye
    great perfect lovely nice wonderful have take care see you later welcome how are you doing today fine please so
    and no nothing else for now
    """.split()  # noqa: SIM905 - a word list reads better as words
)
_ACTS = re.compile(
    r"\b(?:book|reserve|schedule|reschedule|cancel|change|move|order|buy|pay|transfer|refund|return|register|sign"
    r"|report|block|unblock|activate|deactivate|update|upgrade|downgrade|send|check|find|look up|confirm|delete|add"
    r"|remove|renew|extend|complain|complaint|speak|talk|connect)\b"
)
_WANTS = re.compile(
    r"^(?:please|i (?:would like|want|need|have to|wish)|i am (?:calling|trying|looking)|can you|could you|would you"
    r"|can i|could i|may i|let us|let me|book|cancel|change|order|check|find)\b"
)
_HARD = re.compile(
    r"\b(?:because|although|difference|compare|recommend|better|best|explain|why|advise|advice|suggest|instead|if|unless"
    r"|whether|problem|wrong|broken|complain\w*|angry|urgent|emergency|legal|lawyer|pain|charged|however)\b"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What the choice is made from.

    Attributes:
        text: The user's turn.
        agent_said: The agent's words before it.
        open_goal: Something is being arranged with the caller.
        has_tools: The agent can do things.
        budget: How money stands.
        simple: Likeness to the nearest simple example, None where there is no vector.
        hard: Likeness to the nearest hard one.
        loaded: The machine, or the large model, is slow.
    """

    text: str
    agent_said: str = ""
    open_goal: bool = False
    has_tools: bool = False
    budget: BudgetState = "normal"
    simple: float | None = None
    hard: float | None = None
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The model to ask, and why."""

    tier: Tier
    why: str


def route(turn: Turn) -> Route:
    """Choose a model for a turn that no cached answer fits."""
    words = plain(turn.text).split()
    if turn.budget == "last":
        return Route("small", "budget")
    if turn.loaded:
        return Route("small", "load")
    if turn.open_goal:
        return Route("large", "open goal")
    if words and all(word in _COURTESY or word in BACKCHANNELS for word in words):
        return Route("small" if not awaits_answer(turn.agent_said) else "large", "courtesy")
    if turn.has_tools and (why := _expects_tool(turn, words)):
        return Route("large", why)
    return _by_complexity(turn, words)


def _expects_tool(turn: Turn, words: list[str]) -> str | None:
    text = " ".join(words)
    if awaits_answer(turn.agent_said):
        return "answers a question"
    if _WANTS.search(text) and _ACTS.search(text):
        return "wants something done"
    if any(word in lists.NUMBERS or word in lists.TIMES or word.isdigit() for word in words):
        return "numbers or times"
    return None


def _by_complexity(turn: Turn, words: list[str]) -> Route:
    saving = turn.budget == "saving"
    if len(words) > LONG_WORDS * (2 if saving else 1):
        return Route("large", "long")
    if _HARD.search(" ".join(words)) and not saving:
        return Route("large", "hard words")
    if turn.text.count("?") > 1 and not saving:
        return Route("large", "several questions")
    if turn.simple is not None and turn.hard is not None and max(turn.simple, turn.hard) >= LABEL_LIKENESS:
        return (
            Route("small", "like simple ones")
            if turn.simple >= turn.hard
            else Route("large", "like hard ones")
        )
    if saving or len(words) <= SHORT_WORDS:
        return Route("small", "saving" if saving else "short")
    return Route("large", "not short")
