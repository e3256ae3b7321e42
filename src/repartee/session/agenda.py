"""The agenda of a call: what it is about and what can be done about it. Tools, goals, forms and MCP servers together.

`session` builds one per call and hands it to the bridge, which asks it for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.processors.aggregators.llm_context import NOT_GIVEN, LLMContext

from repartee.agent import Agent, Tool, ToolContext
from repartee.conversation.history import History
from repartee.errors import ToolError
from repartee.goals import Goals
from repartee.providers.intents import TopicReader
from repartee.providers.tool_calls import register, schema_of
from repartee.session.asides import Asides, OnSaid, long_line
from repartee.session.consents import Consents
from repartee.session.eyes import Eyes
from repartee.session.forms import FormDesk
from repartee.session.gate import ReplyGate
from repartee.session.intents import GoalKeeper, OnGoals
from repartee.session.mcp import McpSource
from repartee.session.prompt_budget import reserve
from repartee.session.toolbox import Toolbox, ToolBudget
from repartee.session.tools import ToolMemory, ToolPermits
from repartee.session.tracker import ReplyTracker
from repartee.settings import variable

log = structlog.get_logger()


class Agenda:
    """What a call is about and what can be done.

    Args:
        agent: Its tools, intents, forms and servers.
        permits: Whether the present reply may act.
        context: What tools may know of the call.
        mark: Marks the timeline.
        clock_ms: The call's clock.
        has_model: A language model talks; without one the agent's answers do, which ask and confirm by themselves.
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
    ) -> None:
        self._agent = agent
        self._permits = permits
        self._context = context
        self._mark = mark
        self._clock_ms = clock_ms
        self._has_model = has_model
        self._consents = Consents(agent.language)
        self.toolbox = Toolbox(
            permits=permits,
            consents=self._consents,
            budget=ToolBudget(
                agent.limits.tool_calls,
                agent.limits.tool_s,
                agent.limits.turn_tool_calls,
                agent.limits.confirm == "all",
            ),
            mark=mark,
            clock_ms=clock_ms,
            language=agent.language,
            asks=has_model,
            long_line=long_line(agent.language),
        )
        self.tools_guarded = tuple(self.toolbox.guard(tool) for tool in agent.tools)
        """The agent's tools, as they run in this call."""
        self._by_name: dict[str, Any] = {tool.name: tool for tool in self.tools_guarded}
        self._forms = FormDesk(agent.forms if has_model else (), self._submit, self._form_begun, self._known)
        self.toolbox.acts |= self._forms.submitting
        self.asides: Asides | None = None
        """Says a word while an answer takes long; there once connected."""
        self._keeper: GoalKeeper | None = None
        self.eyes: Eyes | None = None
        """What the caller shares goes into a request whose tools have looked at it."""
        self._mcp: McpSource | None = None
        self._history: History | None = None
        self._listeners: list[OnGoals] = []
        self.toolbox.on_done = self._done
        self.toolbox.goals = lambda: self.goals

    @property
    def goals(self) -> Goals:
        """Where the goals stand: for routing, summaries, the store."""
        return self._keeper.goals if self._keeper is not None else Goals()

    @property
    def arranging(self) -> bool:
        """Whether something is being arranged: a goal or form has the floor, or a return is to be offered."""
        goals = self.goals
        offers = any(not goal.offered for goal in goals.waiting)
        return goals.open is not None or offers or self._forms.filling

    def on_goals(self, listener: OnGoals) -> None:
        """Tell a listener whenever a goal changes; it must not wait. Before `connect`."""
        self._listeners.append(listener)

    def restore(self, goals: Goals) -> None:
        """Go on with the goals of an agent that had the call before; after `connect`."""
        if self._keeper is not None:
            self._keeper.restore(goals)

    def memory(self, history: History) -> ToolMemory:
        """Return what brings tool calls into the history."""
        self._history = history
        memory = ToolMemory(history, self.toolbox.acts)
        self._permits.watch(memory, self._consents, self._forms)
        return memory

    def connect(
        self,
        llm: Any,
        tracker: ReplyTracker,
        gate: ReplyGate,
        reader: TopicReader | None,
        on_aside: OnSaid | None = None,
    ) -> None:
        """Take the parts of the pipeline; once, before it starts."""
        self.asides = Asides(gate, tracker, on_aside, self._clock_ms)
        self.toolbox.say = self.asides.say
        tracker.before_round = self._refresh
        self._keeper = GoalKeeper(self._agent, reader, self._mark)
        self._permits.watch(self._keeper)
        for listener in self._listeners:
            self._keeper.on_change(listener)
        for function in self._forms.tools:
            register(llm, function, self._context)

        def add(tools: list[Tool]) -> None:
            for tool in tools:
                guarded = self.toolbox.guard(tool)
                self._by_name[tool.name] = guarded
                register(llm, guarded, self._context)

        if self._agent.mcp and self._has_model:
            taken = {*self._by_name, *(function.name for function in self._forms.tools)}
            self._mcp = McpSource(self._agent.mcp, self._agent.path.parent, variable, taken, self._mark, add)

    def start(self) -> None:
        """Begin what runs beside the call: reading turns, connecting servers."""
        if self._keeper is not None:
            self._keeper.start()
        if self._mcp is not None:
            self._mcp.start()

    async def aclose(self) -> None:
        """End it; what is being done is finished first."""
        await self.toolbox.aclose()
        closing = [part.aclose() for part in (self._keeper, self._mcp) if part is not None]
        await asyncio.gather(*closing)

    # --- for each request -------------------------------------------------------------------------------------

    def tools(self) -> ToolsSchema | None:
        """What the model may call now."""
        own = self._forms.own_tools
        schema = schema_of(
            [
                *(tool for name, tool in self._by_name.items() if name not in own),
                *self._forms.on_offer(),
            ]
        )
        if self._history is not None:
            reserve(self._history, self._agent, schema, self.toolbox.acts)
        return schema

    def note(self, reply_id: int) -> str:
        """Return where the goals stand, for the end of a request: what comes before stays the same for a cache."""
        if not self._has_model or self._keeper is None:
            return ""
        parts = (self._keeper.note(reply_id), self._forms.note())
        return "\n".join(part for part in parts if part)

    def _refresh(self, context: LLMContext) -> None:
        """A form may stand at another step now."""
        schema = self.tools()
        context.set_tools(NOT_GIVEN if schema is None else schema)
        if self.eyes is not None:
            self.eyes.attach(context)

    # --- between the parts ------------------------------------------------------------------------------------

    async def _submit(self, tool: str, values: dict[str, Any], ctx: ToolContext, reply_id: int | None) -> Any:
        guarded = self._by_name.get(tool)
        if guarded is None:
            raise ToolError("that cannot be done at the moment")
        return await guarded.call(values, ctx, reply_id)

    def _done(self, tool: str, values: Mapping[str, Any]) -> None:
        self._forms.tool_done(tool)
        if self._keeper is not None:
            self._keeper.tool_done(tool, values)

    def _form_begun(self, turn_id: int, form: str) -> None:
        if self._keeper is not None:
            self._keeper.want(turn_id, self._intent_of(form))

    def _known(self, form: str) -> Mapping[str, str]:
        goal = self.goals.of(self._intent_of(form))
        return goal.values if goal is not None and goal.status in ("open", "waiting") else {}

    def _intent_of(self, form: str) -> str:
        tool = next((f.tool for f in self._agent.forms if f.name == form), None)
        return next((intent.name for intent in self._agent.intents if intent.tool == tool), form)
