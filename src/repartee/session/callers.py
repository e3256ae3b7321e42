"""What is known of a caller from earlier calls: loaded while the call connects, kept at its end, shown, forgotten.

Off unless the agent file says `memory.between_calls`. A caller is known by the attribute `repartee.caller_id` of
their LiveKit token, which only whoever signs tokens can set; a participant who may change their own attributes is
nobody.
Kept are pinned facts and the summary; what is read back is bounded by the memory's budget and its days.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from repartee.agent import MemorySection
from repartee.conversation.facts import KINDS, Fact, open_goals
from repartee.conversation.history import History
from repartee.conversation.tokens import text_tokens
from repartee.errors import ReparteeError
from repartee.goals import Goals
from repartee.store import CallerFact

log = structlog.get_logger()
CALLER_ID = "repartee.caller_id"
"""The participant attribute the operator vouches for."""
VACANT = "repartee.vacant"
"""Attribute of the agent's until the caller has come into the room."""
MEMORY_METHOD = "repartee.memory"
"""RPC: what is remembered of the caller, as JSON."""
FORGET_METHOD = "repartee.forget"
"""RPC: forget the caller, in this call and between calls."""
STORE_S = 5.0
RPC_BYTES = 14_000
"""LiveKit carries 15 KiB."""
SUMMARIES_SHOWN = 2
SUMMARY = "summary"
_ID = re.compile(r"^[\w.@+:=/-]{1,128}$")
_LASTING = frozenset({"name", "phone", "email", "number", "decision", "question", "action"})


class CallerStore(Protocol):
    """Where callers are kept. Methods block; they are called from threads."""

    def caller_facts(self, caller_id: str) -> Sequence[CallerFact]:
        """Return what is kept, in the order it was learned."""
        ...

    def remember_caller(self, caller_id: str, facts: Iterable[CallerFact]) -> None:
        """Keep facts."""
        ...

    def forget_caller(self, caller_id: str) -> int:
        """Erase everything; return how many rows changed."""
        ...


def vouched_id(attributes: Mapping[str, str], *, may_change: bool) -> str | None:
    """Return the caller's id if the signer of their token vouches for it.

    Args:
        attributes: The participant's attributes when they joined.
        may_change: Whether the participant may change them: then nobody vouches for them.
    """
    given = attributes.get(CALLER_ID, "")
    if may_change and given:
        log.warning("caller.id_not_trusted", reason="the token lets its holder change attributes")
    return given if given and not may_change and valid_id(given) else None


def valid_id(caller_id: str) -> bool:
    """Whether a text can be a caller's id: 1 to 128 letters, digits and `. _ - @ + : = /`."""
    return _ID.match(caller_id) is not None


class CallerMemory:
    """The memory of one call's caller.

    Args:
        section: The agent's rules.
        store: Where it is kept, if the rules say so; None keeps nothing.
        call_id: This call.
        now: The wall clock, with a time zone.
        mark: Writes to the timeline.
    """

    def __init__(
        self,
        section: MemorySection,
        store: CallerStore | None,
        call_id: str,
        now: Callable[[], datetime],
        mark: Callable[..., None],
    ) -> None:
        self._section = section
        self._store = store if section.between_calls else None
        self._erases = store
        """What the store has of a caller's calls is erased when they ask, whether or not callers are remembered."""
        self._call_id = call_id
        self._now = now
        self._mark = mark
        self._identified = asyncio.Event()
        self._caller_id: str | None = None
        self._forgotten = False
        self.history = History()
        """The call's history; set when the call is put together."""
        self.goals: Callable[[], Goals] = Goals
        """What the caller wants; the same."""

    def identified(self, caller_id: str) -> None:
        """The caller is in the room, and the operator says who they are. Never waits."""
        if self._caller_id is None:
            self._caller_id = caller_id
            self._identified.set()

    async def run(self) -> None:
        """Load what is known once the caller is there; nobody waits for it."""
        if self._store is None:
            return
        await self._identified.wait()
        try:
            async with asyncio.timeout(STORE_S):
                kept = await asyncio.to_thread(self._store.caller_facts, self._caller_id or "")
        except (TimeoutError, OSError, ReparteeError) as error:
            log.warning("caller.not_loaded", error=type(error).__name__)
            return
        if self._forgotten:
            return
        budget = self.history.memory.budget.earlier_tokens
        lines = earlier_lines(kept, self._now() - timedelta(days=self._section.keep_days), budget)
        self.history.know_earlier(lines)
        self._mark("caller.remembered", facts=len(lines))

    @property
    def caller_id(self) -> str | None:
        """Who the operator's token says is calling."""
        return self._caller_id

    @property
    def keeps(self) -> bool:
        """Whether anything is kept of this call."""
        return self._store is not None and self._caller_id is not None and not self._forgotten

    async def keep(self) -> None:
        """Keep what this call told, at its end."""
        facts = self._facts() if self.keeps else []
        if not facts or self._store is None or self._caller_id is None:
            return
        try:
            async with asyncio.timeout(STORE_S):
                await asyncio.to_thread(self._store.remember_caller, self._caller_id, facts)
        except (TimeoutError, OSError, ReparteeError) as error:
            log.warning("caller.not_kept", error=type(error).__name__)
            return
        self._mark("caller.kept", facts=len(facts))

    def _facts(self) -> list[CallerFact]:
        memory, now = self.history.memory, self._now()
        kept = [fact for fact in memory.all_facts if _worth_keeping(fact)]
        kept += open_goals(self.goals(), memory.next_number)
        facts = [
            CallerFact(
                f"{fact.kind}:{fact.about}" if fact.about else fact.kind, fact.text, now, self._call_id
            )
            for fact in kept
        ]
        if summary := memory.whole_summary:
            facts.append(CallerFact(SUMMARY, summary, now, self._call_id))
        return facts

    # --- what the caller may ask ------------------------------------------------------------------------------

    async def tell(self, _: str) -> str:
        """RPC: what is remembered, as JSON: `facts`, `summary`, `earlier`, `kept_between_calls`."""
        memory = self.history.memory
        known: dict[str, Any] = {
            "kept_between_calls": self.keeps,
            "facts": [
                {"kind": fact.kind, "about": fact.about, "text": fact.text} for fact in memory.all_facts
            ],
            "summary": memory.notes.summary,
            "earlier": list(memory.notes.earlier),
        }
        while len(text := json.dumps(known, ensure_ascii=False).encode()) > RPC_BYTES:
            longest = max(("summary", "earlier", "facts"), key=lambda name: len(json.dumps(known[name])))
            known[longest] = known[longest][: len(known[longest]) // 2]
        return text.decode()

    async def forget(self, _: str) -> str:
        """RPC: forget everything; what is said from now on is not kept either. Answers how many rows were erased."""
        self._forgotten = True
        self.history.forget()
        erased = 0
        if self._erases is not None and self._caller_id is not None:
            async with asyncio.timeout(STORE_S):
                erased = await asyncio.to_thread(self._erases.forget_caller, self._caller_id)
        self._mark("caller.forgotten", rows=erased)
        return json.dumps({"forgotten": True, "erased": erased})


def _worth_keeping(fact: Fact) -> bool:
    """Between calls: what has a name of its own, and what was decided, done or left open by the user."""
    if fact.speaker == "agent" and fact.kind != "decision":
        return False
    return fact.kind in _LASTING or bool(fact.about)


def earlier_lines(kept: Sequence[CallerFact], since: datetime, max_tokens: int) -> tuple[str, ...]:
    """Return what is shown of earlier calls: the newest of each thing, in at most `max_tokens`.

    Args:
        kept: In the order it was learned.
        since: Older facts are passed over.
        max_tokens: What the lines may take.
    """
    fresh = [fact for fact in kept if fact.learned_at >= since]
    last_call = fresh[-1].call_id if fresh else ""
    newest: dict[str, CallerFact] = {}
    for fact in fresh:
        kind, _, about = fact.kind.partition(":")
        # A question is open until the call after it.
        if kind != "question" or fact.call_id == last_call:
            newest[fact.kind if about else f"{kind}:{fact.text}"] = fact
    summaries = [fact for fact in newest.values() if fact.kind == SUMMARY][-SUMMARIES_SHOWN:]
    labelled = [fact for fact in newest.values() if ":" in fact.kind]
    others = [fact for fact in newest.values() if ":" not in fact.kind and fact.kind in KINDS]
    lines: list[str] = []
    for fact in (*labelled, *reversed(others), *reversed(summaries)):
        line = _line(fact)
        if (cost := text_tokens(line) + 1) <= max_tokens:
            lines.append(line)
            max_tokens -= cost
    return tuple(lines)


def _line(fact: CallerFact) -> str:
    kind, _, about = fact.kind.partition(":")
    if about:
        return f"{about}: {fact.text}" if kind == "name" else f"{kind}, {about}: {fact.text}"
    day = f"{fact.learned_at:%-d %B %Y}"
    text = fact.text.replace("\n", " ")
    return f"call of {day}: {text}" if kind == SUMMARY else f"{kind} ({day}): {text}"
