"""Agents: one YAML file and ordinary Python tools."""

from repartee.agent.cache import Cache, Routing
from repartee.agent.definition import Answer, Limits, Models, Slot, TurnTaking, Voice
from repartee.agent.loader import Agent, agent_json_schema, load_agent, members_of, team_of
from repartee.agent.memory import MemorySection
from repartee.agent.tools import Tool, ToolContext, tool

__all__ = [
    "Agent",
    "Answer",
    "Cache",
    "Limits",
    "MemorySection",
    "Models",
    "Routing",
    "Slot",
    "Tool",
    "ToolContext",
    "TurnTaking",
    "Voice",
    "agent_json_schema",
    "load_agent",
    "members_of",
    "team_of",
    "tool",
]
