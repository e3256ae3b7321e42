"""The `team` section of an agent file: which other agents a call may be passed to, and which may be asked."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, model_validator

from repartee.agent.slots import Name, Strict, Text

MAX_MEMBERS = 8
MAX_TEAM = 16
"""Agents that a call can come to from its first one, by however many steps."""
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_TAKES_OVER = {
    "en": "I'll pass you on to {name}, one moment.",
    "de": "Ich verbinde Sie mit {name}, einen Moment.",
    "es": "Le paso con {name}, un momento.",
}


class Member(Strict):
    """One agent that may be given the call."""

    agent: Annotated[str, Field(min_length=1, max_length=200)]
    """Its file, in the folder of this one or below."""
    when: Text
    """What it is given the call for; the model decides by these words."""
    says: Annotated[str, Field(max_length=300)] | None = None
    """Said as the call is passed on, where the model has said nothing of it itself; "" says nothing."""


class Remote(Strict):
    """An agent of somebody else's that may be asked something, over the A2A protocol."""

    name: Name
    url: Text
    """Where it is; its card is at `/.well-known/agent-card.json` below, or here where this ends in `.json`."""
    about: Text
    """What it can be asked; the model decides by these words."""
    headers: dict[str, str] = Field(default_factory=dict)
    """`${NAME}` stands for an environment variable."""
    timeout_s: float = Field(default=15.0, gt=0, le=120)
    """Longest time until its answer must be there."""
    says: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Said while it is asked, when that takes long."""
    side_effect: bool = False
    """Asking it changes something: it is never asked speculatively, and never the same thing twice."""
    confirm: Text | None = None
    """Read to the caller, who must say yes first; `{question}` stands for what it is asked."""

    @model_validator(mode="after")
    def _fits(self) -> Remote:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"agent '{self.name}' to ask: the url begins with https:// or http://")
        if self.confirm is not None and not self.side_effect:
            raise ValueError(f"agent '{self.name}' to ask has a confirm but is no side effect")
        for name in _PLACEHOLDER.findall(self.confirm or ""):
            if name != "question":
                raise ValueError(
                    f"agent '{self.name}' to ask confirms with {{{name}}}; there is only {{question}}"
                )
        return self


class TeamSection(Strict):
    """Who may be given the call or asked something, and how often a call may change hands."""

    agents: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)] = ()
    ask: Annotated[tuple[Remote, ...], Field(max_length=MAX_MEMBERS)] = ()
    back: bool = Field(default=True, description="Who was given the call may give it back")
    hand_overs: int = Field(default=6, ge=1, le=50, description="How often one call may be passed on")

    @model_validator(mode="after")
    def _names_differ(self) -> TeamSection:
        names = [remote.name for remote in self.ask]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two agents to ask have the name '{twice}'")
        return self


def pass_name(agent_name: str) -> str:
    """Return the name of the function that passes a call to an agent."""
    return "pass_to_" + (_NOT_IN_A_NAME.sub("_", agent_name.lower()).strip("_")[:40] or "agent")


def takes_over_line(member: Member | None, name: str, language: str) -> str:
    """Return what is said as a call is passed on: the file's words, else the language's."""
    if member is not None and member.says is not None:
        return member.says
    line = _TAKES_OVER.get(language.split("-", maxsplit=1)[0].lower(), _TAKES_OVER["en"])
    return line.replace("{name}", name)
