"""Runs the tools of one call: permits, confirmations, one act per intention, limits, and a word when it takes long.

The model asks; what happens is decided here. A look-up runs at once. A tool with side effects waits for its permit,
for the user's yes where it asks for one, and never acts twice with the same arguments: a repeat is told the first
result, or waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any, NoReturn

import structlog
from pydantic import ValidationError

from repartee.agent.saying import say_value
from repartee.agent.tools import AskFirstError, Tool, ToolContext
from repartee.conversation.speakable import speakable
from repartee.errors import ToolError
from repartee.events import AsideSaid, Event, ToolStarted
from repartee.goals import Goals
from repartee.session.act_book import ActBook
from repartee.session.consents import Consents
from repartee.session.spec import PastAct
from repartee.session.tools import LiveReply, ToolPermits

log = structlog.get_logger()
LONG_S = 3.0
"""A tool without a line of its own gets the agent's after this long: a line that is dead for longer is hung up."""
FINISH_S = 5.0
"""At the end of a call, what is being done may take so long to be finished."""
NOBODY = LiveReply(0)

Mark = Callable[..., None]
SayAside = Callable[[int, str, bool], Awaitable[bool]]
"""Says a line in a reply while nothing else is said, or, if the last argument is set, has just been said; returns
whether it did."""


@dataclass(frozen=True, slots=True)
class ToolBudget:
    """What tools may take and do in one call."""

    calls: int = 200
    seconds: float = 600.0
    turn_calls: int = 12
    """In one turn: a model that has been talked into a loop is stopped here."""
    confirms_all: bool = False
    """What changes something asks first, although its author has written no question."""


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool that has run.

    Attributes:
        outcome: done, failed or cancelled.
        result: What it returned; the sentence of its error where it failed.
        key: The idempotency key of what changed something; "" of a look-up.
    """

    tool: str
    reply_id: int
    arguments: Mapping[str, Any]
    result: Any
    outcome: str
    began_ms: float
    took_ms: float
    key: str = ""


@dataclass
class _Run:
    """An act on its way, or done."""

    tool: Tool
    work: asyncio.Task[Any]
    arguments: str
    key: str = ""

    @property
    def failed(self) -> bool:
        return self.work.done() and (self.work.cancelled() or self.work.exception() is not None)


class Toolbox:
    """Runs tools.

    Args:
        permits: Whether the present reply may act.
        consents: Whether the user said yes.
        budget: Of the call.
        mark: Marks the timeline.
        clock_ms: The call's clock.
        language: In which values are read to the user.
        asks: Confirmations are ours to enforce; False where the dialogue without a model has asked already.
        long_line: What is said when a tool without a line of its own takes long; None says nothing.
    """

    def __init__(
        self,
        *,
        permits: ToolPermits,
        consents: Consents,
        budget: ToolBudget,
        mark: Mark,
        clock_ms: Callable[[], float],
        language: str = "en",
        asks: bool = True,
        long_line: str | None = None,
    ) -> None:
        self._permits = permits
        self._consents = consents
        self._budget = budget
        self._mark = mark
        self._clock_ms = clock_ms
        self.language = language
        self._written_in = language
        self._asks = asks
        self._long_line = long_line
        self._calls = 0
        self._turn: tuple[int, int] = (0, 0)
        """A turn, and how many calls there were in it."""
        self._spent_ms = 0.0
        self._runs: dict[str, _Run] = {}
        self.acts: set[str] = set()
        """Names of the tools that change something."""
        self.goals: Callable[[], Goals] = Goals
        self.caller_id: Callable[[], str | None] = lambda: None
        self.phone: Callable[[], str | None] = lambda: None
        self.ask_client: Callable[[str, str], Awaitable[str]] | None = None
        self.say: SayAside | None = None
        self.holds: Callable[[], Awaitable[bool]] | None = None
        """Says whether the call is still this agent's; asked before anything is changed."""
        self.book: ActBook | None = None
        """Where what is changed is written down, for an agent that takes the call over."""
        self.on_done: Callable[[str, Mapping[str, Any]], None] | None = None
        """Called with tool and arguments when one has succeeded."""
        self.on_ran: Callable[[ToolRun], None] | None = None
        """Called whenever one has run, however it ended. Must not wait."""
        self.submit: Callable[[Event], None] | None = None
        """Takes `ToolStarted` and `AsideSaid`."""
        self.on_running: Callable[[str], None] | None = None
        """Called with the name of the tool that is waited for, "" when there is none any more."""
        self._waits: list[tuple[int, Tool]] = []

    def speak(self, language: str, long_line: str) -> None:
        """Read values and ask in a language from now on; lines of the agent's tools are of the one of its file."""
        self.language, self._long_line = language, long_line

    def guard(self, tool: Tool) -> GuardedTool:
        """Return a tool that runs here."""
        if tool.side_effect:
            self.acts.add(tool.name)
        return GuardedTool(tool, self)

    async def call(
        self, tool: Tool, arguments: Mapping[str, Any], ctx: ToolContext, reply_id: int | None = None
    ) -> Any:
        """Call a tool for a reply; None is the newest.

        Raises:
            AskFirstError: The user must be asked first.
            ToolError: It was not done, or nothing came of it; the sentence is safe for a model.
        """
        self._spend(tool)
        values = tool.check(dict(arguments))
        canonical = tool.canonical(values)
        key = _key(ctx.call_id, tool.name, canonical)
        ctx = replace(
            ctx,
            goals=self.goals(),
            idempotency_key=key,
            caller_id=self.caller_id(),
            phone=self.phone(),
            ask_client=self.ask_client or ctx.ask_client,
        )
        if reply_id is None:
            reply_id = (self._permits.live or NOBODY).reply_id
        if tool.side_effect:
            run = self._runs.get(key)
            if run is not None and not run.failed:
                self._mark("tool.repeated", tool=tool.name)
                return await self._wait(run, reply_id)
            if self.book is not None and (past := self.book.past(key)) is not None:
                await self._permits.acquire(reply_id)
                return self._told(tool, values, past)
            await self._may_act(tool, values, canonical, reply_id)
            if self.holds is not None and not await self.holds():
                self._mark("tool.refused", tool=tool.name, why="fenced")
                raise ToolError("the call was taken over by another agent, so nothing was done")
            if self.book is not None and not await self.book.begin(key, tool.name):
                self._unknown(tool)
        return await self._start(tool, values, canonical, ctx, reply_id)

    def _told(self, tool: Tool, values: Mapping[str, Any], past: PastAct) -> Any:
        """Return what an agent that had the call before was told when it did the same."""
        if not past.done:
            self._unknown(tool)
        self._mark("tool.repeated", tool=tool.name)
        if self.on_done is not None:
            self.on_done(tool.name, values)
        return past.result if past.result is not None else "this was done already, a moment ago"

    def _unknown(self, tool: Tool) -> NoReturn:
        """Refuse what may be done already: its agent has died, or another one is at it."""
        self._mark("tool.refused", tool=tool.name, why="unknown")
        raise ToolError(
            "this was begun a moment ago and it is not known whether it was done, so it was not begun again; "
            "say so, and look it up if you can"
        )

    def line(self, reply_id: int) -> str | None:
        """Return the own line of a tool that is waited for in a reply."""
        lines = (tool.options.says for waiting_id, tool in self._waits if waiting_id == reply_id)
        return next((line for line in lines if line), None)

    async def aclose(self) -> None:
        """Let what is being done be finished, for a few seconds; then stop it."""
        working = [run.work for run in self._runs.values() if not run.work.done()]
        if not working:
            return
        _, late = await asyncio.wait(working, timeout=FINISH_S)
        for work in late:
            work.cancel()
        if late:
            log.warning("tool.cut_off", count=len(late))
            await asyncio.wait(late, timeout=1.0)

    # --- whether ----------------------------------------------------------------------------------------------

    def _spend(self, tool: Tool) -> None:
        self._calls += 1
        if self._calls > self._budget.calls or self._spent_ms >= self._budget.seconds * 1000:
            self._mark("tool.refused", tool=tool.name, why="budget")
            log.warning("tool.budget", calls=self._calls - 1, seconds=round(self._spent_ms / 1000, 1))
            raise ToolError("no more can be looked up or done in this call")
        turn_id = (self._permits.live or NOBODY).turn_id
        self._turn = (turn_id, self._turn[1] + 1 if self._turn[0] == turn_id else 1)
        if self._turn[1] > self._budget.turn_calls:
            self._mark("tool.refused", tool=tool.name, why="turn")
            raise ToolError("no more can be looked up or done before the user has spoken again")

    async def _may_act(self, tool: Tool, values: Mapping[str, Any], canonical: str, reply_id: int) -> None:
        """Return when the tool may act.

        Raises:
            AskFirstError: The user has not said yes to these arguments.
            ToolError: The reply was thrown away, or the user said no.
        """
        template = self._template(tool, values)
        reply = self._permits.live or NOBODY
        live = reply.reply_id == reply_id
        if (
            live
            and template is not None
            and self._consents.standing(tool.name, canonical, reply) == "never_asked"
        ):
            # Asking changes nothing: a held reply may do it, and is heard or thrown away with it.
            self._ask(tool, template, values, canonical, reply)
        reply = await self._permits.acquire(reply_id)
        if template is None:
            return
        match self._consents.standing(tool.name, canonical, reply):
            case "agreed":
                self._consents.forget(tool.name)
            case "refused":
                self._mark("tool.refused", tool=tool.name, why="no")
                raise ToolError("the user said no, so nothing was done; ask what they want instead")
            case _:
                self._ask(tool, template, values, canonical, reply)

    def _template(self, tool: Tool, values: Mapping[str, Any]) -> str | None:
        """Return what the user is asked before the tool acts, None when it need not ask."""
        if not self._asks or tool.options.confirm is not None or not self._budget.confirms_all:
            return tool.options.confirm if self._asks else None
        return anyway(tool.name, values, self.language)

    def _ask(
        self, tool: Tool, template: str, values: Mapping[str, Any], canonical: str, reply: LiveReply
    ) -> None:
        said = {name: say_value(value, self.language) for name, value in values.items()}
        # As the voice will be given it: what is not said cannot be heard, and would be asked for ever.
        question, must_hear = (speakable(text) for text in fill(template, said))
        self._consents.ask(tool.name, canonical, must_hear, reply)
        self._mark("tool.asked", tool=tool.name, reply_id=reply.reply_id)
        raise AskFirstError(question)

    # --- doing ------------------------------------------------------------------------------------------------

    async def _start(
        self, tool: Tool, values: Mapping[str, Any], canonical: str, ctx: ToolContext, reply_id: int
    ) -> Any:
        """Run a tool and wait for it; one that changes something is remembered by its key."""
        key = ctx.idempotency_key if tool.side_effect else ""
        work = asyncio.create_task(self._do(tool, values, ctx, key), name=f"tool {tool.name}")
        run = _Run(tool, work, canonical, key)
        if key:
            self._runs[key] = run
        began_ms = self._clock_ms()
        self._mark("tool.started", tool=tool.name, reply_id=reply_id)
        # Counted when it ends, not when it is waited for: a caller may be gone by then, or the limit be over.
        work.add_done_callback(lambda _: self._ended(run, values, began_ms, reply_id))
        return await self._wait(run, reply_id)

    async def _do(self, tool: Tool, values: Mapping[str, Any], ctx: ToolContext, key: str) -> Any:
        """Run a tool; what it has changed is written down before anybody is told of it."""
        if not key or self.book is None:
            return await tool.execute(dict(values), ctx)
        try:
            result = await tool.execute(dict(values), ctx)
        except ToolError:
            await self.book.failed(key)
            raise
        await self.book.done(key, tool.options.undoes)
        return result

    async def _wait(self, run: _Run, reply_id: int) -> Any:
        """Wait for a run within its tool's limit, and say a word when it takes long."""
        self._waits.append(wait := (reply_id, run.tool))
        if self.submit is not None:
            now_ms = self._clock_ms()
            self.submit(ToolStarted(now_ms, reply_id, now_ms + run.tool.timeout_s * 1000))
        self._show_running()
        try:
            return await self._waited(run, reply_id)
        finally:
            self._waits.remove(wait)
            self._show_running()

    def _show_running(self) -> None:
        if self.on_running is not None:
            self.on_running(self._waits[-1][1].name if self._waits else "")

    async def _waited(self, run: _Run, reply_id: int) -> Any:
        tool, work = run.tool, run.work
        until_s = asyncio.get_running_loop().time() + tool.timeout_s
        own = tool.options.says if self.language == self._written_in else None
        line = own or self._long_line
        first_s = min(tool.timeout_s, tool.options.says_after_s if tool.options.says else LONG_S)
        try:
            done, _ = await asyncio.wait({work}, timeout=first_s)
            if not done and line is not None:
                await self._say_when_released(work, reply_id, line, until_s)
            if not work.done():
                left_s = until_s - asyncio.get_running_loop().time()
                await asyncio.wait({work}, timeout=max(0.0, left_s))
        except asyncio.CancelledError:
            if tool.on_interrupt == "cancel" and tool.cancellable:
                work.cancel()
            raise
        if work.done():
            return work.result()
        if tool.cancellable:
            work.cancel()
        raise ToolError(
            f"that took longer than {tool.timeout_s:g} seconds"
            + (", and it is not known yet whether it was done" if tool.side_effect else "")
        )

    async def _say_when_released(
        self, work: asyncio.Task[Any], reply_id: int, line: str, until_s: float
    ) -> None:
        """Say the line once the reply may be heard, unless the tool is done before that."""
        if self.say is None:
            return
        permit = asyncio.create_task(self._permits.acquire(reply_id), name="aside")
        left_s = max(0.0, until_s - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({work, permit}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done() or not permit.done() or permit.exception() is not None:
                return
            said = await self.say(reply_id, line, False)
            if not said:
                # The model has said something like it itself, which is soon forgotten.
                await asyncio.wait({work}, timeout=min(LONG_S, left_s))
                said = not work.done() and await self.say(reply_id, line, True)
            if said:
                self._mark("tool.aside", reply_id=reply_id)
                if self.submit is not None:
                    self.submit(AsideSaid(self._clock_ms(), reply_id))
        finally:
            permit.cancel()
            await asyncio.gather(permit, return_exceptions=True)

    def _ended(self, run: _Run, values: Mapping[str, Any], began_ms: float, reply_id: int) -> None:
        took_ms = self._clock_ms() - began_ms
        self._spent_ms += took_ms
        error = None if run.work.cancelled() else run.work.exception()
        outcome = "cancelled" if run.work.cancelled() else "failed" if error is not None else "done"
        self._mark("tool.finished", tool=run.tool.name, outcome=outcome, took_ms=round(took_ms, 1))
        if self.on_ran is not None:
            result = run.work.result() if outcome == "done" else "" if error is None else _sentence(error)
            self.on_ran(ToolRun(run.tool.name, reply_id, values, result, outcome, began_ms, took_ms, run.key))
        if isinstance(error, ToolError):
            _log_failure(run.tool, error)
        if outcome == "done":
            self._succeeded(run.tool, values)

    def _succeeded(self, tool: Tool, values: Mapping[str, Any]) -> None:
        for key, run in list(self._runs.items()):
            if run.tool.name in tool.options.undoes and run.work.done():
                del self._runs[key]
        if self.on_done is not None:
            self.on_done(tool.name, values)


class GuardedTool:
    """A tool of the agent that runs in the toolbox. Offers all the tool offers."""

    def __init__(self, tool: Tool, toolbox: Toolbox) -> None:
        self._tool = tool
        self._toolbox = toolbox

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tool, name)

    async def call(self, arguments: Mapping[str, Any], ctx: ToolContext, reply_id: int | None = None) -> Any:
        """Call the tool; see `Toolbox.call`."""
        return await self._toolbox.call(self._tool, arguments, ctx, reply_id)


def fill(template: str, values: Mapping[str, str]) -> tuple[str, str]:
    """Fill a template; return it whole, and up to the end of its last value."""
    text, needed = "", ""
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        if name is not None:
            text += values.get(name, "")
            needed = text
    return text, needed or text


_ANYWAY = {
    "en": "Shall I go ahead with {what}?",
    "de": "Soll ich das tun: {what}?",
    "es": "¿Lo hago: {what}?",
}


def anyway(name: str, values: Mapping[str, Any], language: str) -> str:
    """Return a question about an act whose author has written none: its name and every value."""
    given = ", ".join(
        f"{key.replace('_', ' ')} {{{key}}}" for key, value in values.items() if value is not None
    )
    what = name.replace("_", " ") + (f", {given}" if given else "")
    return _ANYWAY.get(language.split("-", maxsplit=1)[0].lower(), _ANYWAY["en"]).replace("{what}", what)


def _key(call_id: str, tool: str, canonical: str) -> str:
    return hashlib.sha256(f"{call_id}\n{tool}\n{canonical}".encode()).hexdigest()[:32]


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, ToolError) else type(error).__name__


def _log_failure(tool: Tool, error: ToolError) -> None:
    """Log where the operator's code broke; never what it said, which may be about a caller."""
    cause = error.__cause__
    if cause is None or isinstance(cause, (ValidationError, TimeoutError)):
        return
    frames = traceback.extract_tb(cause.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    log.error("tool.failed", tool=tool.name, error=type(cause).__name__, where=where)
