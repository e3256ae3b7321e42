"""Self-hosted real-time voice agents: `tool` marks a function an agent may call."""

from repartee.agent import Agent, ToolContext, load_agent, tool
from repartee.errors import ToolError

__all__ = ["Agent", "ToolContext", "ToolError", "load_agent", "tool"]
