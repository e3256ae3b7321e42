"""The tables of a chaos run, in Markdown."""

from __future__ import annotations

from typing import Any

from repartee.simulator.chaos.cases import CASES
from repartee.simulator.systems import OURS

Row = dict[str, Any]
NAMES = {"pipecat": "Pipecat 1.14", "livekit": "LiveKit Agents 1.8.9"}


def tables(report: dict[str, Any]) -> str:
    """Return the tables: what each fault did to us, and what the caller saw of it with each system."""
    rows: dict[tuple[str, str], Row] = {(row["system"], row["case"]): row for row in report["rows"]}
    order = [case.name for case in CASES]
    mine = sorted(
        (row for row in rows.values() if row["system"] == OURS), key=lambda row: order.index(row["case"])
    )
    kept = sum(row["verdict"] == "held" for row in mine)
    latency = report["profile"].removeprefix("fixed:")
    text = f"""
{len(mine)} faults, each in the second of three turns of a real call; in {kept} of them every promise is kept. Vendors
at {latency} ms (transcript, first token, first audio), {report["machine"]}.

| fault | seen by the caller | added silence, s | heard again after, s | lost | said twice | |
|---|---|---|---|---|---|---|
"""
    text += "".join(_line(row) for row in mine)
    if any(row.get("cut_said_again") for row in mine):
        text += "\n*cut*: the part in which the voice broke off was said again from its beginning, once.\n"
    return text + _against(rows, order)


def _line(row: Row) -> str:
    parts = row["details"]["during"]["heard"] + row["lost"]
    verdict = {"held": "kept", "expected": f"not yet: {row['expected']}", "broken": "**not kept**"}[
        row["verdict"]
    ]
    return (
        f"| {row['what']} | {row['seen']} | {_number(row['added_silence_s'])} | {_number(row['recovery_s'])} "
        f"| {row['lost']} of {parts} | {row['said_twice']}{_cut(row)} | {verdict} |\n"
    )


def _cut(row: Row) -> str:
    return ", *cut*" if row.get("cut_said_again") else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _against(rows: dict[tuple[str, str], Row], order: list[str]) -> str:
    others = list(dict.fromkeys(system for system, _ in rows if system != OURS))
    if not others:
        return ""
    head = " | ".join(["fault", "repartee", *(NAMES.get(name, name) for name in others)])
    text = f"\nThe same faults, as the caller sees them; in brackets the turn after it:\n\n| {head} |\n"
    text += "|---" * (len(others) + 2) + "|\n"
    for case in order:
        if not any((name, case) in rows for name in others):
            continue
        found = [rows.get((name, case)) for name in (OURS, *others)]
        what = next(row["what"] for row in found if row is not None)
        text += f"| {what} | {' | '.join(_cell(row) for row in found)} |\n"
    return text


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    later = "" if row["next_turn"] == "answered" else f" ({row['next_turn']})"
    twice = f", {row['said_twice']} parts twice" if row["said_twice"] else ""
    return f"{row['seen']}{twice}{_cut(row)}{later}"
