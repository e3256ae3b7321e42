"""Self-hosted real-time voice agents: `tool` marks a function an agent may call."""

import os

# ONNX Runtime reports its use to its maker, from native code, unless it finds this when it is loaded; so here, before
# anything can load it, and in the environment, for every process that is started from this one.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from repartee.agent import Agent, ToolContext, load_agent, tool
from repartee.errors import ToolError

__all__ = ["Agent", "ToolContext", "ToolError", "load_agent", "tool"]
