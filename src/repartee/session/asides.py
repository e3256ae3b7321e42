"""What is said while an answer takes long: heard by the caller, in nobody's context, never over the user."""

from __future__ import annotations

from collections.abc import Callable

from repartee.session.gate import ReplyGate
from repartee.session.tracker import ReplyTracker

OnSaid = Callable[[int, str], None]
BETWEEN_MS = 2500.0
"""Two things are not said closer together than this."""
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
        clock_ms: The call's clock.
    """

    def __init__(
        self,
        gate: ReplyGate,
        tracker: ReplyTracker,
        on_said: OnSaid | None,
        clock_ms: Callable[[], float],
    ) -> None:
        self._gate = gate
        self._tracker = tracker
        self._on_said = on_said
        self._clock_ms = clock_ms
        self._last = (0, "", 0.0)
        """Reply, text and time of what was said last."""

    def may_say(self, reply_id: int, *, after_words: bool = False) -> bool:
        """Say whether something could be said now; arguments as for `say`."""
        spoke = self._tracker.spoke(reply_id)
        if spoke is None or (spoke and not after_words) or not self._gate.quiet(reply_id):
            return False
        said_in, _, said_at_ms = self._last
        return said_in != reply_id or self._clock_ms() - said_at_ms >= BETWEEN_MS

    async def say(self, reply_id: int, text: str, after_words: bool) -> bool:
        """Say a text if nothing is being said and the reply may be heard; return whether it was.

        Args:
            reply_id: The reply that takes long.
            text: The line.
            after_words: Also when the model has spoken before it called the tool.
        """
        if not self.may_say(reply_id, after_words=after_words) or self._last[:2] == (reply_id, text):
            return False
        self._last = (reply_id, text, self._clock_ms())
        if self._on_said is not None:
            self._on_said(reply_id, text)
        await self._tracker.say_aside(text)
        return True
