"""What a call has from its first moment to its last, whatever it is put together of: agents, clock, books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from repartee.agent import Agent, team_of
from repartee.agent.keep import strictest
from repartee.events import (
    BudgetSpent,
    CallEnded,
    CallerJoined,
    EndReason,
    Event,
    HangUpWanted,
    ReplyWorded,
    TextTyped,
)
from repartee.providers.deadline import TurnBudget
from repartee.providers.patience import Failsafe
from repartee.session.agents import agent_of
from repartee.session.books import Books
from repartee.session.callers import CallerMemory
from repartee.session.degrading import Degrading, load_reporter
from repartee.session.eyes import Picture
from repartee.session.fence import Fence
from repartee.session.keeping import Keeping
from repartee.session.languages import CallLanguage
from repartee.session.lines import lines_of
from repartee.session.network import Network
from repartee.session.recording import Recorder
from repartee.session.spec import SessionSpec
from repartee.session.telephone import Telephone
from repartee.session.tone import watch_of
from repartee.session.toolbox import ToolRun
from repartee.session.tools import ReplyWatcher
from repartee.session.troubles import Troubles
from repartee.settings import Settings
from repartee.store import Acts
from repartee.telemetry.timeline import Timeline

OnEvent = Callable[[str, dict[str, Any]], None]


class Call:
    """One call: its agents, and what keeps its time, its words and its account.

    Args:
        spec: The call.
        settings: Provider keys and limits.
        kept: The store, the prices, what is known of the vendors' health.
        on_event: Told what the holder of the call wants to know, by name; see `run_session`.
        fence: Whether the call is still this agent's.
    """

    def __init__(
        self, spec: SessionSpec, settings: Settings, kept: Keeping, on_event: OnEvent, fence: Fence
    ) -> None:
        self.spec, self.settings, self.fence, self.tell = spec, settings, fence, on_event
        self.resume = spec.resume
        self.acts = Acts(kept.store)
        self.agent: Agent = agent_of(spec.agent_path)
        self.others = team_of(self.agent, agent_of)[1:]
        """Whom the call may be passed to."""
        self.submit: Callable[[Event], None] = lambda _: None
        """Takes a fact to the core; there once the call is assembled."""
        began = self.resume.started_at if self.resume is not None else None
        # By the wall clock: it took a while to get here since the agent before was given up.
        self._started_s = time.monotonic() - (
            (datetime.now(UTC) - began).total_seconds() if began is not None else 0.0
        )
        self.timeline = Timeline(spec.data_dir / "calls" / f"{spec.call_id}.jsonl", self.clock_ms)
        self.network = Network(self.timeline.mark, self.clock_ms)
        self.books = self._opened_books(kept)
        self.troubles = Troubles(self.timeline.mark, kept.health)
        self.failsafe = Failsafe(
            kept.health, TurnBudget(), self.troubles.watch, lines_of(self.agent)["lost_thread"]
        )
        reporter = load_reporter(spec.data_dir, settings.level)
        self.degrading = Degrading(reporter, self.timeline.mark, self.clock_ms)
        self.timeline.listeners.append(self.degrading.marked)
        recording = settings.recordings_dir / f"{spec.call_id}.flac"
        self.recorder = Recorder(recording, self.clock_ms) if self.agent.record else None
        self.callers = CallerMemory(
            self.agent.memory, kept.store, spec.call_id, lambda: datetime.now(UTC), self.timeline.mark
        )
        self.telephone = Telephone(
            self.agent.telephony,
            spec.room,
            settings,
            say=self.typed,
            hang_up=lambda: self.submit(HangUpWanted(self.clock_ms())),
            mark=self.timeline.mark,
        )
        self._loop = asyncio.get_running_loop()
        self.language = CallLanguage(self.agent, self.timeline.mark)
        self.tone = watch_of(self.agent.tone)
        self.watchers: tuple[ReplyWatcher, ...] = ()
        """Told of the life of replies before anybody else."""
        self.on_tool: Callable[[ToolRun], None] | None = None
        """Called when a tool has run and is in the books. Must not wait."""

    def _opened_books(self, kept: Keeping) -> Books:
        transcripts = strictest(one.keep for one in (self.agent, *self.others))
        keep = self.agent.keep.model_copy(update={"transcripts": transcripts})
        books = Books(
            self.spec,
            self.agent.model_copy(update={"keep": keep}),
            self.settings,
            kept,
            self.timeline,
            self.clock_ms,
            lambda: self.submit(BudgetSpent(self.clock_ms())),
            lambda trouble: self.tell("trouble", {"what": trouble}),
        )
        books.record.on_answered = lambda took_ms: self.tell("answered", {"took_ms": took_ms})
        return books

    def clock_ms(self) -> float:
        """Return how long the call lasts; one that is taken over goes on."""
        return (time.monotonic() - self._started_s) * 1000

    def summary(self, reason: EndReason) -> dict[str, Any]:
        """Return what is told of a call that has ended."""
        return {
            "reason": reason,
            "at_ms": self.clock_ms(),
            "bill": self.books.ledger.bill.summary(),
            "network": self.network.counts,
            "providers": self.troubles.summary(),
        }

    async def aclose(self, reason: EndReason) -> None:
        """Close everything; waits a bounded time for the database."""
        self.degrading.close()
        self.troubles.close()
        self.telephone.close()
        await self.books.aclose(reason)
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.close)
        self.timeline.close()

    # --- what happens in it -------------------------------------------------------------------------------------

    def caller_ready(self, identity: str) -> None:
        """The caller can hear the agent."""
        self.tell("caller", {"identity": identity})
        self.submit(CallerJoined(self.clock_ms()))

    def identified(self, caller_id: str) -> None:
        """The operator's token says who the caller is."""
        self.callers.identified(caller_id)
        self.books.record.identified(caller_id)

    def typed(self, text: str) -> None:
        """The caller typed something, or pressed keys that mean it."""
        self.submit(TextTyped(self.clock_ms(), text))

    def over(self, reason: EndReason) -> None:
        """The call ends for a reason that the core cannot know."""
        self.submit(CallEnded(self.clock_ms(), reason))

    async def forget(self, payload: str) -> str:
        """RPC: the caller wants to be forgotten."""
        self.books.record.forget()
        if self.recorder is not None:
            self.recorder.discard()
        return await self.callers.forget(payload)

    def choose_language(self, code: str) -> None:
        """Go on in another language. Called by a tool, maybe on a thread."""
        self.language.check(code)
        self._loop.call_soon_threadsafe(self.language.choose, code)

    def worded(self, reply_id: int) -> None:
        """A reply has its first words."""
        self.timeline.mark("reply.first_text", reply_id=reply_id)
        self.submit(ReplyWorded(self.clock_ms(), reply_id))

    def ran(self, run: ToolRun) -> None:
        """A tool has run."""
        self.books.record.tool(run)
        if self.on_tool is not None:
            self.on_tool(run)

    def looked(self, picture: Picture, reply_id: int) -> None:
        """The model was shown a picture in a reply."""
        at_ms = int(picture.at_ms)
        if self.recorder is not None and self.recorder.picture(at_ms, picture.jpeg):
            self.books.record.picture(at_ms, picture.source, reply_id)
