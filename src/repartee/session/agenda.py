"""The agenda of a call: what it is about and what can be done about it. Tools, goals, forms and MCP servers together.

`session` builds one per call and hands it to the bridge, which asks it for each request. Each agent of a team has a
desk of its own (`desk.py`); the agenda is where the call is at present, and takes it from one desk to the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import NOT_GIVEN, LLMContext

from repartee.agent import Agent, ToolContext
from repartee.agent.team import pass_name
from repartee.conversation.history import History
from repartee.goals import Goals
from repartee.providers.intents import TopicReader
from repartee.providers.tool_calls import schema_of
from repartee.session.asides import Asides, OnSaid, long_line
from repartee.session.consents import Consents
from repartee.session.desk import Desk
from repartee.session.gate import ReplyGate
from repartee.session.intents import OnGoals
from repartee.session.prompt_budget import reserve
from repartee.session.team import HandOver, Team, told_to
from repartee.session.toolbox import Toolbox, ToolBudget, ToolRun
from repartee.session.tools import LiveReply, ReplyWatcher, ToolMemory, ToolPermits
from repartee.session.tracker import ReplyTracker


class Agenda:
    """What a call is about and what can be done.

    Args:
        agent: Its tools, intents, forms and servers.
        permits: Whether the present reply may act.
        context: What tools may know of the call.
        mark: Marks the timeline.
        clock_ms: The call's clock.
        has_model: A language model talks; without one the agent's answers do, which ask and confirm by themselves.
        others: The agents that the call may be passed to, now or later.
        hops: How many agents of others have passed on what the call is about.
    """

    def __init__(
        self,
        agent: Agent,
        permits: ToolPermits,
        context: ToolContext,
        mark: Callable[..., None],
        clock_ms: Callable[[], float],
        *,
        has_model: bool,
        others: tuple[Agent, ...] = (),
        hops: int = 0,
    ) -> None:
        self._agent = agent
        self._permits = permits
        self._clock_ms = clock_ms
        self._has_model = has_model
        self._consents = Consents(agent.language)
        agents = (agent, *others)
        self.toolbox = Toolbox(
            permits=permits,
            consents=self._consents,
            budget=ToolBudget(
                agent.limits.tool_calls,
                agent.limits.tool_s,
                agent.limits.turn_tool_calls,
                any(one.limits.confirm == "all" for one in agents),
            ),
            mark=mark,
            clock_ms=clock_ms,
            language=agent.language,
            asks=has_model,
            long_line=long_line(agent.language),
        )
        self.team = Team(agents, permits, mark)
        self.team.on_passed = self._passed
        self._desks = {
            one.name: Desk(
                one,
                self.toolbox,
                context,
                mark,
                has_model=has_model,
                passing=self.team.functions(one),
                hops=hops,
            )
            for one in agents
        }
        self._at_desk = _AtDesk(lambda: self._desk)
        self._llm: Any = None
        self.asides: Asides | None = None
        """Says a word while an answer takes long; there once connected."""
        self._history: History | None = None
        self._listeners: list[OnGoals] = []
        self.on_passed: Callable[[HandOver], None] | None = None
        """Called when another agent has the call, before anything is said by them. Must not wait."""
        self.toolbox.on_done = self._done
        self.toolbox.goals = lambda: self.goals

    @property
    def _desk(self) -> Desk:
        return self._desks[self.team.present.name]

    @property
    def tools_guarded(self) -> tuple[Any, ...]:
        """The tools of who takes the call, as they run in it."""
        return self._desks[self._agent.name].tools_guarded

    @property
    def goals(self) -> Goals:
        """Where the goals stand: for routing, summaries, the store."""
        return self._desk.goals

    @property
    def arranging(self) -> bool:
        """Whether something is being arranged: a goal or form has the floor, or a return is to be offered."""
        return self.goals.open is not None or self._desk.offers or self._desk.forms.filling

    def on_goals(self, listener: OnGoals) -> None:
        """Tell a listener whenever a goal changes; it must not wait. Before `connect`."""
        self._listeners.append(listener)

    def restore(self, goals: Goals) -> None:
        """Go on with the goals of an agent that had the call before; after `connect`."""
        if (keeper := self._desk.keeper) is not None:
            keeper.restore(goals)

    def memory(self, history: History) -> ToolMemory:
        """Return what brings tool calls into the history."""
        self._history = history
        memory = ToolMemory(history, self.toolbox.acts)
        self._permits.watch(memory, self._consents, self._at_desk)
        return memory

    def connect(
        self,
        llm: Any,
        tracker: ReplyTracker,
        gate: ReplyGate,
        reader: Callable[[Agent], TopicReader | None],
        on_aside: OnSaid | None = None,
    ) -> None:
        """Take the parts of the pipeline; once, before it starts."""
        self._llm = llm
        self.asides = Asides(gate, tracker, on_aside, self._clock_ms)
        self.toolbox.say = self.asides.say
        tracker.before_round = self._refresh
        for desk in self._desks.values():
            desk.connect(reader(desk.agent), self._listeners)
        first = self._desks[self._agent.name]
        first.sit_down(llm, tools_known=True)
        if self._desk is not first:
            first.get_up()
            self._desk.sit_down(llm, tools_known=False)

    def start(self) -> None:
        """Begin what runs beside the call: reading turns, connecting servers."""
        self._desk.start()

    async def aclose(self) -> None:
        """End it; what is being done is finished first."""
        await self.toolbox.aclose()
        await asyncio.gather(*(desk.aclose() for desk in self._desks.values()))

    # --- for each request -------------------------------------------------------------------------------------

    def tools(self) -> ToolsSchema | None:
        """What the model may call now."""
        schema = schema_of(self._desk.on_offer())
        if self._history is not None:
            present = self._desk.agent.model_copy(update={"memory": self._agent.memory})
            reserve(self._history, present, schema, self.toolbox.acts)
        return schema

    def note(self, reply_id: int) -> str:
        """Return where the goals stand, for the end of a request: what comes before stays the same for a cache."""
        return self._desk.note(reply_id)

    def _refresh(self, context: LLMContext) -> None:
        """A form may stand at another step now, or another agent have the call."""
        schema = self.tools()
        context.set_tools(NOT_GIVEN if schema is None else schema)

    def _done(self, tool: str, values: Mapping[str, Any]) -> None:
        self._desk.tool_done(tool, values)

    # --- another agent ----------------------------------------------------------------------------------------

    def _passed(self, done: HandOver) -> None:
        giver, taker = self._desks[done.giver], self._desks[done.taker]
        giver.get_up()
        taker.sit_down(self._llm, tools_known=False)
        taker.told = told_to(done)
        if giver.keeper is not None and taker.keeper is not None:
            taker.keeper.restore(giver.goals)
        self._at_desk.sit_down(taker)
        taker.start()
        if self.toolbox.on_ran is not None:
            told, at_ms = {"summary": done.summary}, self._clock_ms()
            function = pass_name(done.taker)
            self.toolbox.on_ran(
                ToolRun(function, done.reply_id, told, f"with {done.taker}", "done", at_ms, 0.0)
            )
        if self.on_passed is not None:
            self.on_passed(done)


class _AtDesk(ReplyWatcher):
    """Tells who has the call of the life of replies.

    Args:
        desk: Returns their desk.
    """

    def __init__(self, desk: Callable[[], Desk]) -> None:
        self._desk = desk
        self._live: LiveReply | None = None
        self._remembered: str | None = None
        """The words that the live reply answers, once they belong to the conversation."""

    def sit_down(self, desk: Desk) -> None:
        """Tell an agent who takes over in the middle of a reply what was told of it."""
        if (live := self._live) is None:
            return
        for watcher in desk.watchers:
            watcher.opened(live)
            watcher.released(live)
            if self._remembered is not None:
                watcher.turn_remembered(live, self._remembered)

    def opened(self, reply: LiveReply) -> None:
        """A reply is begun."""
        self._live, self._remembered = reply, None
        for watcher in self._desk().watchers:
            watcher.opened(reply)

    def released(self, reply: LiveReply) -> None:
        """It may be heard."""
        for watcher in self._desk().watchers:
            watcher.released(reply)

    def turn_remembered(self, reply: LiveReply, text: str) -> None:
        """The user's words belong to the conversation."""
        self._remembered = text
        for watcher in self._desk().watchers:
            watcher.turn_remembered(reply, text)

    def heard(self, reply_id: int, text: str) -> None:
        """A reply is over."""
        for watcher in self._desk().watchers:
            watcher.heard(reply_id, text)

    def cancelled(self, reply_id: int) -> None:
        """A reply was thrown away or interrupted."""
        for watcher in self._desk().watchers:
            watcher.cancelled(reply_id)
