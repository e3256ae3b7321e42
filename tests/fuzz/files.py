"""Readers of files: agent files, price tables, journals of the store, and what MCP servers say of their tools."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from repartee.agent import load_agent
from repartee.agent.describe import check_template, read_docstring, without_references
from repartee.errors import ConfigError
from repartee.providers.prices import load_prices
from repartee.store.journal import left_behind
from repartee.store.rows import Record, clean, decode
from tests.fuzz.made import changed, lines, text, values, words
from tests.fuzz.target import Target

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(tempfile.mkdtemp(prefix="repartee-fuzz-"))
AGENT = """\
name: Desk
language: en
persona: You are the desk.
greeting: Hello.
voice: {openai: alloy, speed: 1.1}
models: {stt: "openai:whisper-1", llm: "openai:gpt-4.1-mini"}
answers:
  - {id: parking, ask: ["Is there parking?"], say: "Yes."}
intents:
  - {name: hours, description: Hours., examples: ["When are you open?"]}
turn_taking: {sensitivity: low, min_silence_ms: 300}
limits: {max_call_s: 600, tool_calls: 3, confirm: all}
memory: {turns: 4, tokens: 3000, summary: extractive}
keep: {transcripts: off, consent: "This is kept."}
budget: {call_usd: "0.5", actions: [end]}
mcp:
  - {name: x, url: "https://x.example/mcp", headers: {Authorization: "Bearer ${KEY}"}}
"""
PRICES = """\
version: "2026-09-29"
providers:
  openai:
    whisper-1: {per_minute: 0.006, date: 2026-09-29, source: "https://x.example"}
    gpt: {per_million_tokens: {in: 0.4, cached: 0.1, out: 1.6}}
  on-device:
    "*": {free: true}
"""
YAML = (
    ": ", "- ", "{", "}", "[", "]", "!!python/object:os.system", "!!binary", "&a ", "*a", "<<: *a", "? ", "|", ">",
    "%YAML", "---", "...", "'", '"', "\t", "#", "true", "null", "0x1F", "1e999", ".nan", ".inf", "2026-13-45",
    "12:30:45", "~", "=",
)  # fmt: skip
ROWS = [
    {
        "kind": "turn",
        "revision": 1,
        "row": {"call_id": "c", "turn_id": 1, "user_text": "Hi", "timings": {"a": 1.0}},
    },
    {"kind": "event", "revision": 2, "row": {"call_id": "c", "at_ms": 1.0, "kind": "x", "data": {"a": 1}}},
    {"kind": "call", "revision": 3, "row": {"call_id": "c", "agent": "a", "agent_version": "1", "room": "r"}},
]


def agent(made: str | bytes) -> None:
    file = _written("agent.yaml", made)
    with contextlib.suppress(ConfigError):
        load_agent(file)


def prices(made: str | bytes) -> None:
    file = _written("prices.yaml", made)
    with contextlib.suppress(ConfigError):
        load_prices(file)


def row(line: bytes) -> None:
    try:
        record = decode(line)
    except ValueError:
        return
    assert isinstance(record, Record)
    clean(record.row)


def spool(made: list[bytes]) -> None:
    folder = FOLDER / "spool"
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_bytes(b"\n".join(made))
    for _, records in left_behind(folder):
        assert all(isinstance(record, Record) for record in records)


def schema(case: tuple[Any, str, str]) -> None:
    given, template, doc = case
    if isinstance(given, dict):
        with contextlib.suppress(ConfigError, RecursionError):
            flat = without_references(given)
            check_template("it", template, flat.get("properties") or ())
    read_docstring(doc)


def _written(name: str, made: str | bytes) -> Path:
    file = FOLDER / name
    file.write_bytes(made.encode("utf-8", "surrogatepass") if isinstance(made, str) else made)
    return file


TARGETS = [
    Target(
        "agent files",
        st.one_of(
            changed([AGENT], YAML), changed([AGENT], YAML), text, st.binary(max_size=200), st.just("[" * 3000)
        ),
        agent,
        6,
    ),
    Target(
        "price tables",
        st.one_of(changed([PRICES], YAML), changed([PRICES], YAML), text, st.binary(max_size=200)),
        prices,
        16,
    ),
    Target("rows of a journal", lines(*ROWS), row, 60),
    Target("journals left behind", st.lists(lines(*ROWS), max_size=6), spool, 12),
    Target(
        "schemas of servers' tools",
        st.tuples(
            st.one_of(
                values,
                st.fixed_dictionaries(
                    {"type": st.just("object"), "properties": st.dictionaries(words, values, max_size=3)},
                    optional={"$defs": values, "required": values, "$ref": words},
                ),
            ),
            words,
            text,
        ),
        schema,
        25,
    ),
]
