"""A whole call whose caller speaks another language, and whose voice is changed: by a tool, by RPC, by language."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from repartee.errors import ToolError
from repartee.simulator.providers import Simulator
from tests.session.test_whole_call import Caller, every_vendor, rooms_of_calls, scripted, stored

GREETING = "Hello from the desk."
SCRIPT = """
- {when: termin, say: "Gerne, am Dienstag um neun."}
- {when: danke, say: "Bitte, gern geschehen."}
- {when: colleague, call: connect, with: {to: billing}}
- {after: connect, say: "This is billing, what is it about?"}
- {when: invoice, say: "It is thirty euros."}
- {when: back, say: "As you like."}
"""
TOOLS = '''
from repartee.agent import ToolContext, tool


@tool(side_effect=True)
async def connect(to: str, ctx: ToolContext) -> str:
    """Speak as somebody else."""
    ctx.set_voice(to)
    return "done"
'''
VOICES = {
    "openai": ("openai:gpt-4o-mini-tts", "alloy", "verse", "onyx"),
    "elevenlabs": ("elevenlabs:eleven_flash_v2_5", "ann", "bob", "eva"),
    "cartesia": ("cartesia:sonic-3", "ann", "bob", "eva"),
}
ASKED = "Ich hätte gerne einen Termin am Dienstag."


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    async with scripted(tmp_path, SCRIPT) as running:
        yield running


@pytest.fixture
def vendor() -> str:
    return "openai"


@pytest.fixture
def caller(simulator: Simulator, vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    calling = Caller(simulator, tmp_path, rooms_of_calls(monkeypatch))
    model, first, second, german = VOICES[vendor]
    (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
    models = {"stt": "openai:gpt-4o-mini-transcribe", "llm": "openai:gpt-4.1-mini", "tts": model}
    agent: dict[str, Any] = {
        "name": "Desk",
        "persona": "You are the desk.",
        "greeting": GREETING,
        "models": models,
        "voice": {vendor: first},
        "voices": {"billing": {vendor: second}},
        "languages": {"de": {"voice": {vendor: german}}},
        "tools": "tools.py",
        "cache": {"voice": False},
    }
    (tmp_path / "agent.yaml").write_text(json.dumps(agent), encoding="utf-8")
    calling.settings = calling.settings.model_copy(update=every_vendor(simulator))
    return calling


def spoken_by(simulator: Simulator, name: str) -> str:
    entries = (entry for entry in simulator.desk.bill.entries if entry.stage == "tts")
    return " ".join(entry.text for entry in entries if entry.voice == name)


@pytest.mark.parametrize("vendor", VOICES)
async def test_the_call_goes_on_in_the_caller_s_language_and_its_voice(
    caller: Caller, simulator: Simulator, vendor: str
) -> None:
    _, first, _, german = VOICES[vendor]
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask(ASKED)
        await call.ask("Danke.")
        assert call.times("language.changed") == 1
    assert spoken_by(simulator, first) == GREETING
    assert spoken_by(simulator, german) == "Gerne, am Dienstag um neun. Bitte, gern geschehen."
    store = stored(caller)
    heard = [turn.heard_text for turn in store.turns("call-1")]
    store.close()
    assert heard == [GREETING, "Gerne, am Dienstag um neun.", "Bitte, gern geschehen."]


@pytest.mark.parametrize("vendor", VOICES)
async def test_a_tool_changes_the_voice_from_the_next_reply_on(
    caller: Caller, simulator: Simulator, vendor: str
) -> None:
    _, first, second, _ = VOICES[vendor]
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("Can I talk to your colleague?")
        await call.ask("What is my invoice?")
        answer = json.loads(await call.hooks.rpc["repartee.voice"]("default"))
        await call.ask("Please go back")
    assert answer == {"voice": "default", "voices": ["default", "billing"]}
    assert spoken_by(simulator, second) == "It is thirty euros."
    assert spoken_by(simulator, first).endswith("This is billing, what is it about? As you like.")


async def test_a_caller_can_choose_only_what_there_is(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        with pytest.raises(ToolError, match="there is no voice 'nova'"):
            await call.hooks.rpc["repartee.voice"]("nova")
        assert json.loads(await call.hooks.rpc["repartee.voice"](""))["voice"] == "default"
        assert call.times("voice.changed") == 0
