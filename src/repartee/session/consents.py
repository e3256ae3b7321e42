"""Confirmations: a tool that asks first acts only on a yes, in a later turn, to exactly what was read to the user.

Not the model decides it. The question is ours, word for word; it counts as asked when the user has heard it up to its
last value; the yes is read from the user's own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from repartee.conversation.consent import Verdict, verdict
from repartee.conversation.policies import words
from repartee.session.tools import LiveReply, ReplyWatcher

UNCLEAR_TURNS = 1
"""So many turns may come between the question and the yes: "how long does it take?", "and then yes"."""
GOOD_FOR_TURNS = 2
"""A yes is good in its own turn and so many after it, should the model be slow to act on it."""

Standing = Literal["agreed", "refused", "open", "never_asked"]


@dataclass
class _Asked:
    arguments: str
    must_hear: list[str]
    reply_id: int
    turn_id: int
    heard: bool = False
    verdicts: dict[int, Verdict] = field(default_factory=dict)


class Consents(ReplyWatcher):
    """What the user was asked, and whether they said yes.

    Args:
        language: That is spoken; may change.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._asked: dict[str, _Asked] = {}

    def ask(self, tool: str, arguments: str, must_hear: str, reply: LiveReply) -> None:
        """The user will be asked about these arguments; another question about the same tool is void.

        Args:
            tool: Its name.
            arguments: In canonical form.
            must_hear: The question up to its last value.
            reply: In which it is asked.
        """
        self._asked[tool] = _Asked(arguments, words(must_hear), reply.reply_id, reply.turn_id)

    def standing(self, tool: str, arguments: str, reply: LiveReply) -> Standing:
        """Say where the confirmation of a tool with these arguments stands in the turn of a reply."""
        asked = self._asked.get(tool)
        if asked is None or asked.arguments != arguments or not asked.heard:
            return "never_asked"
        patience = UNCLEAR_TURNS
        for turn_id, said in sorted(asked.verdicts.items()):
            if said == "yes":
                return "agreed" if reply.turn_id - turn_id <= GOOD_FOR_TURNS else "never_asked"
            if said == "no":
                return "refused" if turn_id == reply.turn_id else "never_asked"
            patience -= 1
            if patience < 0:
                return "never_asked"
        return "open"

    def forget(self, tool: str) -> None:
        """The tool has acted: one yes is for one act."""
        self._asked.pop(tool, None)

    def released(self, reply: LiveReply) -> None:
        """Read the user's words in the turns after a question."""
        for asked in self._asked.values():
            if asked.heard and reply.turn_id > asked.turn_id:
                asked.verdicts[reply.turn_id] = verdict(reply.text, self.language)

    def heard(self, reply_id: int, text: str) -> None:
        """A question counts when its values were heard."""
        for asked in self._asked.values():
            if asked.reply_id == reply_id:
                asked.heard = _contains(words(text), asked.must_hear)


def _contains(heard: list[str], wanted: list[str]) -> bool:
    length = len(wanted)
    return any(heard[at : at + length] == wanted for at in range(len(heard) - length + 1))
