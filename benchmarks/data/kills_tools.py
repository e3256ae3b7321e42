"""What the agent of `repartee bench load --mode kills` can do: each note is a line of its own in a file."""

from __future__ import annotations

import json

from repartee import ToolContext, tool


@tool(side_effect=True)
def note(case: int, ctx: ToolContext) -> str:
    """Write a case into the book.

    Args:
        case: Its number.
    """
    with (ctx.data_dir / "notes.jsonl").open("a", encoding="utf-8") as book:
        book.write(json.dumps([ctx.call_id, case]) + "\n")
    return f"case {case} is noted"
