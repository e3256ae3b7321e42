"""A call with a real agent's tools: Pipecat's own model service, scripted, around the real toolbox."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService

from repartee.agent import ToolContext, load_agent
from repartee.conversation import Endpointing, Policies
from repartee.providers.answers import _settings
from repartee.providers.tool_calls import register
from repartee.session.agenda import Agenda
from tests.session.rig import Call

NOW = Policies(endpointing=Endpointing(min_silence_ms=0, max_silence_ms=0, digits_ms=0))
HEAD = "name: A\npersona: You are A.\ngreeting: Hello.\ntools: tools.py\n"


@dataclass
class Does:
    """What the model does when it is asked: say something, then call these."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class CallingModel(LLMService):
    """A Pipecat model service that follows a script; tools run as Pipecat runs them."""

    def __init__(self, script: list[Does]) -> None:
        super().__init__(settings=_settings())
        self.script = script
        self.asked: list[list[dict[str, Any]]] = []
        self.offered: list[set[str]] = []
        self._ids = itertools.count(1)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self.asked.append([dict(message) for message in frame.context.get_messages()])  # type: ignore[arg-type]
        tools = getattr(frame.context.tools, "standard_tools", [])
        self.offered.append({tool.name for tool in tools})
        does = self.script.pop(0)
        await self.push_frame(LLMFullResponseStartFrame())
        for word in does.text.split():
            await self.push_frame(LLMTextFrame(word + " "))
        calls = [
            FunctionCallFromLLM(name, f"call_{next(self._ids)}", arguments, frame.context)
            for name, arguments in does.calls
        ]
        await self.run_function_calls(calls)
        await self.push_frame(LLMFullResponseEndFrame())


def write(folder: Path, tools: str, more: str = "") -> Path:
    (folder / "tools.py").write_text(f"from __future__ import annotations\nfrom repartee import *\n{tools}")
    file = folder / "agent.yaml"
    file.write_text(HEAD + more)
    return file


class Marks(list[tuple[str, dict[str, Any]]]):
    """The timeline."""

    def __call__(self, name: str, **values: Any) -> None:
        self.append((name, values))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [values for mark, values in self if mark == name]


def call_with(agent_file: Path, *script: Does, policies: Policies = NOW) -> tuple[Call, CallingModel, Marks]:
    """Return a call with this agent, its model, and its timeline."""
    model, marks = CallingModel(list(script)), Marks()
    agent = load_agent(agent_file)

    def agenda(call: Call) -> Agenda:
        context = ToolContext("call-1", "ann", agent_file.parent)
        agenda = Agenda(agent, call.permits, context, marks, call.clock, has_model=True)
        for tool in agenda.tools_guarded:
            register(model, tool, context)  # in a call the provider kit does it
        return agenda

    make: Callable[..., Call] = Call
    return make(policies=policies, agenda=agenda, model=model), model, marks
