"""What is said while a tool takes long: heard by the caller, in nobody's context, never over the user."""

from __future__ import annotations

from collections.abc import Callable

from repartee.session.gate import ReplyGate
from repartee.session.tracker import ReplyTracker

OnSaid = Callable[[int, str], None]
_LONG = {
    "en": "One moment, please.",
    "de": "Einen Moment, bitte.",
    "es": "Un momento, por favor.",
}


def long_line(language: str) -> str:
    """Return what is said when a tool without a line of its own takes long."""
    return _LONG.get(language.split("-", maxsplit=1)[0].lower(), _LONG["en"])


class Asides:
    """Says lines in the reply that is being made.

    Args:
        gate: Knows what is being heard.
        tracker: Sends them to the voice, before whatever the model says next.
        on_said: Told of each, with its reply.
    """

    def __init__(self, gate: ReplyGate, tracker: ReplyTracker, on_said: OnSaid | None = None) -> None:
        self._gate = gate
        self._tracker = tracker
        self._on_said = on_said

    async def say(self, reply_id: int, text: str, after_words: bool) -> bool:
        """Say a text if nothing is being said and the reply may be heard; return whether it was.

        Args:
            reply_id: The reply whose tool takes long.
            text: The line.
            after_words: Also when the model has spoken before it called the tool.
        """
        spoke = self._tracker.spoke(reply_id)
        if spoke is None or (spoke and not after_words) or not self._gate.quiet(reply_id):
            return False
        if self._on_said is not None:
            self._on_said(reply_id, text)
        await self._tracker.say_aside(text)
        return True
