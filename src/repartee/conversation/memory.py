"""What the model is shown of a call: the last turns word by word, the older ones folded into notes.

A turn begins with what the user says and holds the answer and its tool calls. Turns are numbered through the call,
and each is in exactly one place: shown word by word, or in one piece of the notes. A fold moves the oldest from the
one to the other. It is asked for with a number (`begin`), made outside, and comes back under its number (`done`,
`failed`, `withdrawn`); anything under another number is late or doubled and changes nothing. When there is no room
before it comes back, the turns are folded at once by picking sentences (`squeezed`), and the better notes take their
place when they do come.

What a request to the model may take is a budget, system instruction and tools counted in. A request begins with the
notes, which change only at folds, so that a provider's prompt cache knows it up to the newest turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from repartee.conversation import fitting, summaries
from repartee.conversation.facts import Facts
from repartee.conversation.notes import Budget, Notes, Turn
from repartee.conversation.summaries import Message, Summary
from repartee.conversation.tokens import request_tokens

ROOM_MIN_TOKENS = 600
"""What must be left beside the system instruction and the tools."""


@dataclass(frozen=True, slots=True)
class Resting:
    """No fold is under way."""


@dataclass(frozen=True, slots=True)
class Folding:
    """The turns before `upto` are being summarised under this number."""

    number: int
    upto: int


FoldState: TypeAlias = Resting | Folding


@dataclass(frozen=True, slots=True)
class FoldJob:
    """What a summariser needs.

    Attributes:
        number: The fold; the result comes back under it.
        upto: It covers every turn before this one.
        earlier: The summary so far.
        facts: What is pinned, the turns of this fold read.
        lines: The turns, a sentence a line.
        max_tokens: What the summary may take.
    """

    number: int
    upto: int
    earlier: str
    facts: Facts
    lines: tuple[str, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one call. Every method returns a new one.

    Attributes:
        budget: What a request may take.
        turns: The newest turns, word by word; the last may still grow.
        notes: On the older ones.
        fold: Whether a fold is under way.
        last_number: Of the newest fold.
        failures: Folds in a row that failed.
    """

    budget: Budget = field(default_factory=Budget)
    turns: tuple[Turn, ...] = ()
    notes: Notes = field(default_factory=Notes)
    fold: FoldState = field(default_factory=Resting)
    last_number: int = 0
    failures: int = 0

    # --- what is said and done ------------------------------------------------------------------------------

    @property
    def next_number(self) -> int:
        """The number of the turn that would begin now."""
        return self.turns[-1].number + 1 if self.turns else self.notes.upto

    def heard_user(self, text: str) -> Memory:
        """Add what the user said; said again before any answer, it is one message."""
        last = self.turns[-1].messages[-1] if self.turns else {}
        if last.get("role") == "user":
            return self._with_last({**last, "content": f"{last['content']} {text}".strip()}, replaces=True)
        turn = Turn.of(self.next_number, [{"role": "user", "content": text}])
        return replace(self, turns=(*self.turns, turn))

    def heard_agent(self, text: str) -> Memory:
        """Add what the user heard of the agent."""
        last = self.turns[-1].messages[-1] if self.turns else {}
        if last.get("role") == "assistant" and isinstance(last.get("content"), str):
            return self._with_last({**last, "content": f"{last['content']} {text}".strip()}, replaces=True)
        return self._with_last({"role": "assistant", "content": text})

    def unsaid(self, text: str) -> Memory:
        """Take back what the user was thought to have heard last; anything else changes nothing."""
        last = self.turns[-1].messages[-1] if self.turns else {}
        content = last.get("content")
        if not text or last.get("role") != "assistant" or not isinstance(content, str):
            return self
        if not content.endswith(text):
            return self
        if kept := content.removesuffix(text).strip():
            return self._with_last({**last, "content": kept}, replaces=True)
        turn = self.turns[-1]
        if len(turn.messages) == 1:
            return replace(self, turns=self.turns[:-1])
        return replace(self, turns=(*self.turns[:-1], Turn.of(turn.number, turn.messages[:-1])))

    def tools_ran(self, messages: Sequence[Message]) -> Memory:
        """Add a tool call and its results; a result that would take a sixth of the room is cut."""
        if not messages:
            return self
        longest = max(64, self.budget.room // 6)
        kept = [dict(message) for message in messages]
        for message in kept:
            if message.get("role") == "tool" and isinstance(message.get("content"), str):
                message["content"] = fitting.cut(message["content"], longest)
        return self._with_last(*kept)

    def _with_last(self, *messages: Message, replaces: bool = False) -> Memory:
        if not self.turns:
            return replace(self, turns=(Turn.of(self.next_number, messages),))
        turn = self.turns[-1]
        kept = turn.messages[:-1] if replaces else turn.messages
        return replace(self, turns=(*self.turns[:-1], Turn.of(turn.number, [*kept, *messages])))

    # --- folds ----------------------------------------------------------------------------------------------

    @property
    def due_upto(self) -> int | None:
        """The turns before this one should be folded; None while there are few."""
        budget = self.budget
        many = len(self.turns) >= budget.turns + budget.step
        if not many and sum(turn.tokens for turn in self.turns) <= budget.turns_tokens:
            return None
        return self.keeping(budget.turns, budget.turns_tokens // 2)

    def keeping(self, turns: int, tokens: int) -> int | None:
        """Return where the newest turns begin that are at most so many; the newest is always kept."""
        kept = 0
        for turn in reversed(self.turns):
            tokens -= turn.tokens
            if kept >= turns or (kept and tokens < 0):
                break
            kept += 1
        return self.turns[-kept].number if 0 < kept < len(self.turns) else None

    def begin(self, upto: int | None = None) -> tuple[Memory, FoldJob | None]:
        """Begin a fold of what is due (or of the turns before `upto`); None when one is under way or none is due."""
        upto = self.due_upto if upto is None else upto
        if upto is None or isinstance(self.fold, Folding):
            return self, None
        number = self.last_number + 1
        lines = tuple(line for turn in self.turns if turn.number < upto for line in turn.lines)
        facts = self.notes.read(self.turns, upto, self.budget).facts
        job = FoldJob(number, upto, self.notes.summary, facts, lines, self.budget.summary_tokens)
        return replace(self, fold=Folding(number, upto), last_number=number), job

    def done(self, number: int, summary: Summary, made: Literal["model", "picked"] = "model") -> Memory:
        """A fold came back."""
        if not isinstance(self.fold, Folding) or self.fold.number != number:
            return self
        upto = self.fold.upto
        notes = self.notes.read(self.turns, upto, self.budget)
        notes = notes.summarised(upto, summary.text, made, self.budget, summary.facts)
        turns = tuple(turn for turn in self.turns if turn.number >= upto)
        return replace(self, turns=turns, notes=notes, fold=Resting(), failures=0)

    def failed(self, number: int) -> Memory:
        """A fold will not come back; its turns stay where they are."""
        if not isinstance(self.fold, Folding) or self.fold.number != number:
            return self
        return replace(self, fold=Resting(), failures=self.failures + 1)

    def withdrawn(self, number: int) -> Memory:
        """A fold was called off; it may be begun again, under a new number."""
        if not isinstance(self.fold, Folding) or self.fold.number != number:
            return self
        return replace(self, fold=Resting())

    def squeezed(self, newest: Sequence[Message] = ()) -> Memory:
        """Fold at once, by picking sentences, until the request fits and the turns are not twice too many."""
        memory, budget = self, self.budget
        if len(memory.turns) > 2 * budget.turns + budget.step:
            memory = memory.picked(memory.keeping(budget.turns, budget.turns_tokens // 2))
        while request_tokens(memory.shown(newest), budget.fixed_tokens) > budget.tokens:
            fewer = max(1, len(memory.turns) * 2 // 3)
            upto = memory.keeping(fewer, budget.turns_tokens)
            if upto is None:
                break
            memory = memory.picked(upto)
        return memory

    def picked(self, upto: int | None) -> Memory:
        """Fold the turns before `upto` at once."""
        if upto is None:
            return self
        border = self.fold.upto if isinstance(self.fold, Folding) else upto
        notes = self.notes.read(self.turns, upto, self.budget).picked(self.turns, upto, self.budget, border)
        return replace(self, turns=tuple(turn for turn in self.turns if turn.number >= upto), notes=notes)

    def forgotten(self) -> Memory:
        """Drop every fact and all notes, also those on their way; the turns shown word by word remain."""
        first = self.turns[0].number if self.turns else self.notes.upto
        return replace(self, notes=self.notes.forgotten(first, self.next_number), fold=Resting())

    # --- what is known --------------------------------------------------------------------------------------

    @property
    def all_facts(self) -> Facts:
        """The facts of the whole call, the turns shown word by word read too."""
        return self.notes.read(self.turns, self.next_number, self.budget).facts

    @property
    def whole_summary(self) -> str:
        """The summary with the turns that are not folded yet."""
        notes = self.notes.read(self.turns, self.next_number, self.budget)
        known = notes.summary.split("\n") if notes.summary else []
        return summaries.pick([*known, *notes.lines(self.turns, notes.upto)], self.budget.summary_tokens)

    # --- what the model is shown ----------------------------------------------------------------------------

    def request(self, newest: Sequence[Message] = ()) -> tuple[Memory, list[Message]]:
        """Return the messages for the model, and the memory after what had to be folded for them.

        Args:
            newest: What comes after the turns and is not remembered yet.
        """
        memory = self.squeezed(newest)
        return memory, memory.fitted(memory.shown(newest))

    def fitted(self, messages: Sequence[Message]) -> list[Message]:
        """Return messages cut to the budget, should they be over it."""
        if request_tokens(messages, self.budget.fixed_tokens) <= self.budget.tokens:
            return list(messages)
        return fitting.fit(messages, self.budget.room)

    def shown(self, newest: Sequence[Message] = ()) -> list[Message]:
        """Notes, turns and what is new, whatever they take."""
        notes = self.notes.shown(self.budget)
        return [*([{"role": "user", "content": notes}] if notes else []), *self.words(newest)]

    def words(self, newest: Sequence[Message] = ()) -> list[Message]:
        """The turns and what is new; what the user says without an answer between is one message."""
        words = [dict(message) for turn in self.turns for message in turn.messages]
        for message in newest:
            if words and words[-1].get("role") == message.get("role") == "user":
                words[-1]["content"] = f"{words[-1]['content']} {message['content']}".strip()
            else:
                words.append(dict(message))
        return words
