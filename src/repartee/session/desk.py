"""What one agent of a call can do and what it is about for them: tools, forms, goals, MCP servers, agents to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from repartee.agent import Agent, Tool, ToolContext
from repartee.errors import ToolError
from repartee.goals import Goals
from repartee.providers.intents import TopicReader
from repartee.providers.tool_calls import register
from repartee.session.forms import FormDesk
from repartee.session.intents import GoalKeeper, OnGoals
from repartee.session.mcp import McpSource
from repartee.session.remote import RemoteAgents
from repartee.session.toolbox import Toolbox
from repartee.session.tools import ReplyWatcher
from repartee.settings import variable


class Desk:
    """One agent's part in a call.

    Args:
        agent: Its tools, intents, forms and servers.
        toolbox: Runs the tools of all agents of the call.
        context: What tools may know of the call.
        mark: Marks the timeline.
        has_model: A language model talks.
        passing: The functions that pass the call on.
        hops: How many agents of others have passed on what the call is about.
    """

    def __init__(
        self,
        agent: Agent,
        toolbox: Toolbox,
        context: ToolContext,
        mark: Callable[..., None],
        *,
        has_model: bool,
        passing: Iterable[Any] = (),
        hops: int = 0,
    ) -> None:
        self.agent = agent
        self._toolbox = toolbox
        self._context = context
        self._mark = mark
        self._has_model = has_model
        self._remotes = RemoteAgents(agent, variable, hops)
        tools = (*agent.tools, *(self._remotes.tools if has_model else ()))
        self.tools_guarded = tuple(toolbox.guard(tool) for tool in tools)
        """The agent's tools, as they run in this call."""
        self._by_name: dict[str, Any] = {tool.name: tool for tool in self.tools_guarded}
        self.forms = FormDesk(agent.forms if has_model else (), self._submit, self._form_begun, self._known)
        self._passing = tuple(passing) if has_model else ()
        toolbox.acts |= self.forms.submitting | {function.name for function in self._passing}
        self.keeper: GoalKeeper | None = None
        """Keeps the goals; there once connected."""
        self._mcp: McpSource | None = None
        self._llm: Any = None
        """The model while this agent has the call."""
        self._registered: set[str] = set()
        self._started = False
        self.told = ""
        """What this agent was told when the call was passed to them, for the end of each request."""

    @property
    def goals(self) -> Goals:
        """Where the goals stand."""
        return self.keeper.goals if self.keeper is not None else Goals()

    @property
    def watchers(self) -> tuple[ReplyWatcher, ...]:
        """Who follows the life of replies while this agent has the call."""
        return (self.forms, self.keeper) if self.keeper is not None else (self.forms,)

    @property
    def offers(self) -> bool:
        """Whether a return to a goal is to be offered."""
        return self.keeper is not None and self.keeper.offers

    def connect(self, reader: TopicReader | None, listeners: Iterable[OnGoals]) -> None:
        """Take what finds topics, and who wants to know of goals; once."""
        self.keeper = GoalKeeper(self.agent, reader, self._mark)
        for listener in listeners:
            self.keeper.on_change(listener)
        if self.agent.mcp and self._has_model:
            taken = {*self._by_name, *(function.name for function in self._functions)}
            folder = self.agent.path.parent
            self._mcp = McpSource(self.agent.mcp, folder, variable, taken, self._mark, self._add)

    @property
    def _functions(self) -> tuple[Any, ...]:
        return (*self.forms.tools, *self._passing)

    def sit_down(self, llm: Any, *, tools_known: bool) -> None:
        """Have the call: the model may call what this agent can do.

        Args:
            llm: The model.
            tools_known: The tools of the agent's file are registered already.
        """
        self._llm = llm
        self._registered = set(self._by_name)
        if not tools_known:
            for tool in self._by_name.values():
                register(llm, tool, self._context)
        for function in self._functions:
            self._register(function)

    def get_up(self) -> None:
        """Give the call away: the model may call nothing of this agent's any more."""
        llm, self._llm = self._llm, None
        for name in self._registered:
            llm.unregister_function(name)
        self._registered = set()

    def start(self) -> None:
        """Begin to read turns and to connect servers, if that has not begun."""
        if self._started:
            return
        self._started = True
        if self.keeper is not None:
            self.keeper.start()
        if self._mcp is not None:
            self._mcp.start()

    async def aclose(self) -> None:
        """End what runs beside the call."""
        parts = (self.keeper, self._mcp, self._remotes)
        closing = [part.aclose() for part in parts if part is not None]
        await asyncio.gather(*closing)

    def on_offer(self) -> list[Any]:
        """Return what the model may call now."""
        own = self.forms.own_tools
        tools = [tool for name, tool in self._by_name.items() if name not in own]
        return [*tools, *self.forms.on_offer(), *self._passing]

    def note(self, reply_id: int) -> str:
        """Return where the goals stand, for the end of a request."""
        if not self._has_model or self.keeper is None:
            return ""
        parts = (self.told, self.keeper.note(reply_id), self.forms.note())
        return "\n".join(part for part in parts if part)

    def tool_done(self, tool: str, values: Mapping[str, Any]) -> None:
        """A tool has succeeded."""
        self.forms.tool_done(tool)
        if self.keeper is not None:
            self.keeper.tool_done(tool, values)

    # --- between the parts ------------------------------------------------------------------------------------

    def _add(self, tools: list[Tool]) -> None:
        """A server has brought tools."""
        for tool in tools:
            guarded = self._toolbox.guard(tool)
            self._by_name[tool.name] = guarded
            if self._llm is not None:
                self._register(guarded)

    def _register(self, function: Any) -> None:
        register(self._llm, function, self._context)
        self._registered.add(function.name)

    async def _submit(self, tool: str, values: dict[str, Any], ctx: ToolContext, reply_id: int | None) -> Any:
        guarded = self._by_name.get(tool)
        if guarded is None:
            raise ToolError("that cannot be done at the moment")
        return await guarded.call(values, ctx, reply_id)

    def _form_begun(self, turn_id: int, form: str) -> None:
        if self.keeper is not None:
            self.keeper.want(turn_id, self._intent_of(form))

    def _known(self, form: str) -> Mapping[str, str]:
        goal = self.goals.of(self._intent_of(form))
        return goal.values if goal is not None and goal.status in ("open", "waiting") else {}

    def _intent_of(self, form: str) -> str:
        tool = next((f.tool for f in self.agent.forms if f.name == form), None)
        return next((intent.name for intent in self.agent.intents if intent.tool == tool), form)
