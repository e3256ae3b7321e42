"""What the agent can do. A typed function with a docstring is a tool; the model sees both."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from repartee import ToolContext, ToolError, tool

MAX_MESSAGES = 200


@tool(side_effect=True, confirm="I note for you, {name}: {about}. Shall I pass that on?")
def take_message(ctx: ToolContext, name: str, about: str) -> str:
    """Take a message for the team.

    Args:
        name: Who calls.
        about: What it is about, in a sentence.
    """
    file = ctx.data_dir / "messages.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    if len(lines) >= MAX_MESSAGES:
        raise ToolError("the message box is full")
    message = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "from": name, "about": about}
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(message) + "\n")
    return "noted"
