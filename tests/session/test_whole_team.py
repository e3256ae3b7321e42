"""A whole call that is passed on, with simulated vendors: voices, prompts, the record, a process that dies after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repartee.server.call_view import call_view, read_call
from repartee.session.resuming import resume_of
from repartee.simulator.providers import Simulator
from tests.session.test_whole_call import Caller, every_vendor, rooms_of_calls, scripted, stored

LINE = "I'll pass you on to Billing, one moment."
SCRIPT = """
- {when: invoice, as: reception, call: pass_to_billing, with: {summary: Asks about an invoice.}}
- {after: pass_to_billing, as: billing desk, say: "This is billing."}
- {when: sum, as: billing desk, say: "It is thirty euros."}
- {when: sum, as: reception, say: "I do not know."}
"""
TEAM = "team:\n  agents:\n    - {agent: billing.yaml, when: Questions about bills.}\n"
VOICES = {
    "openai": ("openai:gpt-4o-mini-tts", "alloy", "verse"),
    "elevenlabs": ("elevenlabs:eleven_flash_v2_5", "ann", "bob"),
    "cartesia": ("cartesia:sonic-3", "ann", "bob"),
}


def agent(name: str, persona: str, vendor: str, voice: str, more: str = "") -> str:
    models = (
        f'{{stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "{VOICES[vendor][0]}"}}'
    )
    return (
        f"name: {name}\npersona: {persona}\ngreeting: Hello from {name}.\nmodels: {models}\n"
        f"voice: {{{vendor}: {voice}}}\ncache: {{voice: false}}\n{more}"
    )


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
    _, first, second = VOICES[vendor]
    files = {
        "agent": agent("Reception", "You are the reception.", vendor, first, TEAM),
        "billing": agent("Billing", "You are the billing desk.", vendor, second),
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    calling.settings = calling.settings.model_copy(update=every_vendor(simulator))
    return calling


def voices(simulator: Simulator) -> dict[str, str]:
    return {entry.text: entry.voice for entry in simulator.desk.bill.entries if entry.stage == "tts"}


@pytest.mark.parametrize("vendor", VOICES)
async def test_the_other_agent_has_its_own_voice_and_prompt(
    caller: Caller, simulator: Simulator, vendor: str
) -> None:
    _, first, second = VOICES[vendor]
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("I have a question about my invoice")
        await call.ask("What is the sum?")
    store = stored(caller)
    _, passed, answered = store.turns("call-1")
    assert passed.heard_text == f"{LINE} This is billing."
    assert answered.heard_text == "It is thirty euros."
    by = {
        text: name for text, name in voices(simulator).items() if text[:4] in {"I'll", "This", "It i", "Hell"}
    }
    assert {by[text] for text in by if text.startswith(("I'll", "Hello"))} == {first}
    assert {by[text] for text in by if text.startswith(("This", "It is"))} == {second}
    store.close()


async def test_the_record_says_who_had_the_call(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("I have a question about my invoice")
    store = stored(caller)
    data = read_call(store, "call-1")
    assert data is not None
    view: dict[str, Any] = call_view(data)
    assert [(one["giver"], one["to"], one["turn_id"]) for one in view["hand_overs"]] == [
        ("Reception", "Billing", 1)
    ]
    (tool,) = view["tools"]
    assert tool["tool"] == "pass_to_billing"
    assert tool["arguments"] == {"summary": "Asks about an invoice."}
    assert view["call"]["agent"] == "Reception", "the call is theirs who took it"
    store.close()


async def test_what_the_strictest_agent_keeps_is_what_is_kept(caller: Caller, tmp_path: Path) -> None:
    billing = tmp_path / "billing.yaml"
    billing.write_text(billing.read_text(encoding="utf-8") + "keep: {transcripts: off}\n", encoding="utf-8")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("I have a question about my invoice")
    store = stored(caller)
    assert {turn.user_text + turn.heard_text for turn in store.turns("call-1")} == {""}
    (tool,) = [event.data for event in store.events("call-1") if event.kind == "tool"]
    assert tool["arguments"] == {"summary": ""}
    store.close()


async def test_a_process_that_takes_the_call_over_goes_on_with_the_agent_who_had_it(
    caller: Caller, simulator: Simulator
) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("I have a question about my invoice")
    store = stored(caller)
    resume = resume_of(store, "call-1")
    assert (resume.speaker, resume.passed) == ("Billing", 1)
    caller.spec = replace(caller.spec, resume=resume, identity="agent-2", takeovers=1)
    finished = caller.times("reply.finished")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished") > finished)
        await call.ask("What is the sum?")
    assert store.turns("call-1")[-1].heard_text == "It is thirty euros."
    assert voices(simulator)["It is thirty euros."] == "verse"
    store.close()
