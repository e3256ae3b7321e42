"""The conference desk's programme and its list of suggestions, in memory of the call's process."""

from __future__ import annotations

from repartee import ToolError, tool

PROGRAMME = {
    "workshops": "Workshops are on June third, from nine in the morning to five in the afternoon.",
    "voice": "On June fifth there are four sessions on voice agents, the first at ten.",
}
SUGGESTED: list[str] = []


@tool(says="One moment, I look at the programme.")
def find_sessions(about: str) -> str:
    """Look sessions up in the programme.

    Args:
        about: What they are about.
    """
    found = PROGRAMME.get(about)
    if found is None:
        raise ToolError(f"nothing is planned about {about}")
    return found


@tool(side_effect=True)
def submit_session(topic: str) -> str:
    """Put a suggestion on the list of hallway sessions.

    Args:
        topic: What the session is about.
    """
    SUGGESTED.append(topic)
    return f"Your session about {topic} is suggestion number {len(SUGGESTED)}. Thank you."
