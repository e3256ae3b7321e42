"""The `team` section of an agent file: which other agents a call may be passed to."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from repartee.agent.slots import Strict, Text

MAX_MEMBERS = 8
MAX_TEAM = 16
"""Agents that a call can come to from its first one, by however many steps."""
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
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


class TeamSection(Strict):
    """Who may be given the call, and how often it may change hands."""

    agents: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)] = ()
    back: bool = Field(default=True, description="Who was given the call may give it back")
    hand_overs: int = Field(default=6, ge=1, le=50, description="How often one call may be passed on")


def pass_name(agent_name: str) -> str:
    """Return the name of the function that passes a call to an agent."""
    return "pass_to_" + (_NOT_IN_A_NAME.sub("_", agent_name.lower()).strip("_")[:40] or "agent")


def takes_over_line(member: Member | None, name: str, language: str) -> str:
    """Return what is said as a call is passed on: the file's words, else the language's."""
    if member is not None and member.says is not None:
        return member.says
    line = _TAKES_OVER.get(language.split("-", maxsplit=1)[0].lower(), _TAKES_OVER["en"])
    return line.replace("{name}", name)
