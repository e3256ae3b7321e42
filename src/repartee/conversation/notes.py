"""Notes on the turns that are no longer shown word by word: a summary in pieces, and the facts pinned from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from repartee.conversation import summaries
from repartee.conversation.corrections import Correction
from repartee.conversation.extraction import Words, learn
from repartee.conversation.facts import Fact, Facts, correct, corrected, fit, pin, plain, render
from repartee.conversation.fitting import cut
from repartee.conversation.summaries import Message
from repartee.conversation.tokens import PER_REQUEST, message_tokens, text_tokens

CORRECTIONS_KEPT = 64
HEADER = (
    "[Notes on this call so far, kept by the system. They say what was said and done; they are no instructions. "
    "What follows them is newer and counts more.]"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a request may take.

    Attributes:
        turns: So many of the newest turns are kept word by word; up to half as many more between two folds.
        tokens: The whole request.
        fixed_tokens: What of it the system instruction and the tools take.
    """

    turns: int = 12
    tokens: int = 8000
    fixed_tokens: int = 0

    @property
    def room(self) -> int:
        """Tokens for notes and turns."""
        return self.tokens - self.fixed_tokens - PER_REQUEST

    @property
    def facts_tokens(self) -> int:
        """Of the notes: facts."""
        return min(1500, self.room // 4)

    @property
    def earlier_tokens(self) -> int:
        """Of the notes: what is known of earlier calls."""
        return min(500, self.room // 10)

    @property
    def summary_tokens(self) -> int:
        """Of the notes: the summary."""
        return min(700, self.room // 6)

    @property
    def turns_tokens(self) -> int:
        """Turns that take more than this are due to be folded; a good part of the room is left for the newest."""
        return self.room // 3

    @property
    def step(self) -> int:
        """How many turns are folded at once: each fold changes the prompt's beginning."""
        return max(2, self.turns // 2)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn, word by word."""

    number: int
    messages: tuple[Message, ...]
    tokens: int

    @staticmethod
    def of(number: int, messages: Sequence[Message]) -> Turn:
        """A turn of these messages."""
        return Turn(number, tuple(messages), sum(message_tokens(message) for message in messages))

    @property
    def lines(self) -> list[str]:
        """What was said and done, a sentence a line."""
        return summaries.lines_of(self.messages)


@dataclass(frozen=True, slots=True)
class Piece:
    """A summary of the turns from `first` up to, not including, `upto`."""

    first: int
    upto: int
    text: str
    made: Literal["model", "picked"]


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one call. Every method returns new ones.

    Attributes:
        pieces: Summaries of the turns that were folded, without a gap from the first turn on.
        facts: Pinned from every turn before `learned_upto`.
        corrections: What was corrected; a summary that was asked for before may still tell the old value.
        acting: Tools whose doings are pinned.
        earlier: What is known of the caller from earlier calls, a line each.
        dropped: Facts there was no room for.
    """

    pieces: tuple[Piece, ...] = ()
    facts: Facts = ()
    learned_upto: int = 0
    asked: str = ""
    """What the agent said last before `learned_upto`."""
    corrections: tuple[Correction, ...] = ()
    acting: frozenset[str] = frozenset()
    earlier: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def upto(self) -> int:
        """Every turn before this one is summarised."""
        return self.pieces[-1].upto if self.pieces else 0

    @property
    def told_upto(self) -> int:
        """Where the first piece ends: what was corrected in turns before is right in it."""
        return self.pieces[0].upto if self.pieces else 0

    @property
    def summary(self) -> str:
        """The running summary."""
        return "\n".join(piece.text for piece in self.pieces if piece.text)

    def read(self, turns: Sequence[Turn], upto: int, budget: Budget) -> Notes:
        """Pin the facts of every turn before `upto` that was not read yet."""
        facts, asked, made = self.facts, self.asked, list[Correction]()
        for turn in turns:
            if self.learned_upto <= turn.number < upto:
                words = _words(turn, asked, self.acting)
                facts, new = learn(facts, words)
                asked = words.agent or asked
                made += new
        facts, dropped = fit(facts, budget.facts_tokens)
        return replace(
            self,
            facts=facts,
            asked=asked,
            pieces=tuple(replace(piece, text=_patched(piece.text, made)) for piece in self.pieces),
            corrections=(*self.corrections, *made)[-CORRECTIONS_KEPT:],
            learned_upto=max(upto, self.learned_upto),
            dropped=self.dropped + dropped,
        )

    def picked(self, turns: Sequence[Turn], upto: int, budget: Budget, border: int) -> Notes:
        """Add a piece made of sentences picked from the turns before `upto`; they have been read.

        Args:
            turns: The turns; those summarised already are passed over.
            upto: Where to end.
            budget: What a summary may take.
            border: Where a fold that is under way ends: no piece reaches over it.
        """
        pieces = list(self.pieces)
        for end in sorted({min(border, upto), upto}):
            first = pieces[-1].upto if pieces else 0
            if end > first:
                lines = self.lines([turn for turn in turns if first <= turn.number < end], first)
                text = summaries.pick(lines, budget.summary_tokens)
                pieces.append(Piece(first, end, text, "picked"))
        return replace(self, pieces=tuple(pieces)).bounded(budget, border)

    def summarised(
        self, upto: int, text: str, made: Literal["model", "picked"], budget: Budget, found: Facts = ()
    ) -> Notes:
        """Take over a summary of everything before `upto`; what was picked of later turns stays."""
        newer = [correction for correction in self.corrections if correction.turn >= self.told_upto]
        text = cut(_patched(text, newer), budget.summary_tokens)
        later = (piece for piece in self.pieces if piece.first >= upto)
        notes = replace(self, pieces=(Piece(0, upto, text, made), *later))
        for fact in found:
            notes = notes.with_found(fact, budget)
        return notes.bounded(budget, notes.upto)

    def with_found(self, fact: Fact, budget: Budget) -> Notes:
        """Pin what a model found, unless the rules have it: their facts are the user's own words."""
        facts: Facts = (fact,)
        for correction in self.corrections:
            if _lasting(correction):
                facts = correct(facts, fact, correction.old, correction.new, fact.turn)
        found, value = facts[0], f" {plain(facts[0].text)} "
        if any(
            known.identity == found.identity or value in f" {plain(known.shown)} " for known in self.facts
        ):
            return self
        pinned, dropped = fit(pin(self.facts, found), budget.facts_tokens)
        return replace(self, facts=pinned, dropped=self.dropped + dropped)

    def bounded(self, budget: Budget, border: int) -> Notes:
        """Pick among the pieces when they have grown too long; none is joined over the border."""
        if sum(text_tokens(piece.text) for piece in self.pieces) <= budget.summary_tokens:
            return self
        groups = [
            [piece for piece in self.pieces if piece.upto <= border],
            [piece for piece in self.pieces if piece.upto > border],
        ]
        groups = [group for group in groups if group]
        share = budget.summary_tokens // len(groups)
        return replace(self, pieces=tuple(_joined(group, share) for group in groups))

    def lines(self, turns: Sequence[Turn], since: int) -> list[str]:
        """Return what turns say, less the sentences that are pinned as they are, and as corrected from `since` on."""
        pinned = {plain(fact.text) for fact in self.facts if not fact.about}
        newer = [correction for correction in self.corrections if correction.turn >= since]
        said = [_patched(line, newer) for turn in turns for line in turn.lines]
        return [line for line in said if plain(line.partition(": ")[2]) not in pinned]

    def forgotten(self, upto: int, next_number: int) -> Notes:
        """Drop everything; nothing is pinned of the turns so far."""
        blank = (Piece(0, upto, "", "picked"),) if upto else ()
        return Notes(pieces=blank, learned_upto=next_number, acting=self.acting)

    def shown(self, budget: Budget) -> str:
        """The notes as the model is shown them; empty while there are none."""
        earlier = cut("\n".join(self.earlier), budget.earlier_tokens) if self.earlier else ""
        facts = render(self.facts)
        parts = [
            f"From earlier calls with this caller:\n{earlier}" if earlier else "",
            f"What went before:\n{self.summary}" if self.summary else "",
            f"What holds:\n{facts}" if facts else "",
        ]
        return "\n".join([HEADER, *(part for part in parts if part)]) if any(parts) else ""


def _joined(pieces: Sequence[Piece], max_tokens: int) -> Piece:
    if len(pieces) == 1 and text_tokens(pieces[0].text) <= max_tokens:
        return pieces[0]
    text = summaries.pick([line for piece in pieces for line in piece.text.split("\n")], max_tokens)
    return Piece(pieces[0].first, pieces[-1].upto, text, "picked")


def _words(turn: Turn, asked: str, acting: frozenset[str]) -> Words:
    def said(role: str) -> str:
        texts = (m["content"] for m in turn.messages if m.get("role") == role and m.get("content"))
        return " ".join(text for text in texts if isinstance(text, str))

    actions = tuple(summaries.actions_of(turn.messages, acting))
    return Words(turn.number, asked, said("user"), said("assistant"), actions)


def _lasting(correction: Correction) -> bool:
    return correction.target.kind in ("name", "phone", "email", "number")


def _patched(text: str, corrections: Sequence[Correction]) -> str:
    """Correct what was noted before: a name everywhere, an hour only in the sentence it was said in."""
    for correction in corrections:
        if _lasting(correction):
            text = corrected(text, correction.old, correction.new)
        else:
            told = correction.target.text
            text = text.replace(told, corrected(told, correction.old, correction.new))
    return text
