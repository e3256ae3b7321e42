"""Whole calls whose vendors fail, on real sockets: what the caller hears, and what is told of it afterwards."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from repartee.agent import load_agent
from repartee.providers import choose_ladder
from repartee.providers.prepared_voice import prepare_voice
from repartee.providers.shared import FileJournal
from repartee.session import performing
from repartee.session.fixed_texts import prepared_texts
from repartee.session.lines import lines_for
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from tests.session.test_whole_call import Caller, rooms_of_calls, stored

LINES = lines_for("en")
AGENT = """
name: Bakery
persona: You sell bread.
greeting: Hello, this is the bakery.
models: {{llm: {llm}, tts: {tts}}}
"""
TWO_MODELS = "['openai:gpt-4.1-mini', 'openai:gpt-4o-mini']"
ONE_MODEL = "['openai:gpt-4.1-mini']"
OPENAI_VOICE = "['openai:gpt-4o-mini-tts']"
QUESTION = "What does a loaf of bread cost?"
ANSWER = "You said: what does a loaf of bread cost. That is case number"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as running:
        yield running


class Bakery(Caller):
    """A caller of an agent whose vendors fail."""

    async def __aenter__(self) -> Bakery:
        await super().__aenter__()
        return self

    def models(self, llm: str = ONE_MODEL, tts: str = OPENAI_VOICE) -> Bakery:
        self.spec.agent_path.write_text(AGENT.format(llm=llm, tts=tts), encoding="utf-8")
        return self

    def marked(self, name: str) -> list[dict[str, Any]]:
        marks = [json.loads(line) for line in self.marks]
        return [{k: v for k, v in mark.items() if k != "at_ms"} for mark in marks if mark["name"] == name]

    async def speaks_with(self, voice: str) -> None:
        """Have one voice only, whose fixed lines were made ahead."""
        self.models(tts=f"['{voice}']")
        agent = load_agent(self.spec.agent_path)
        ladder = await choose_ladder(self.settings, agent)
        await prepare_voice(self.settings, agent, ladder, prepared_texts(agent, ladder))

    def troubles(self) -> list[tuple[str, str]]:
        return [(mark["stage"], mark["why"]) for mark in self.marked("provider.failed") if "stage" in mark]


@pytest.fixture
def caller(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bakery:
    rooms = rooms_of_calls(monkeypatch)
    bakery = Bakery(simulator, tmp_path, rooms)
    bakery.settings = bakery.settings.model_copy(
        update={
            "standby": False,
            "cartesia_api_key": SecretStr("k"),
            "cartesia_base_url": simulator.url.replace("http", "ws"),
            "elevenlabs_api_key": SecretStr("k"),
            "elevenlabs_base_url": simulator.url.replace("http", "ws"),
        }
    )
    return bakery


def heard(call: Caller) -> str:
    """What was heard of the newest turn."""
    store = stored(call)
    turn = store.turns("call-1")[-1]
    store.close()
    return turn.heard_text


async def test_a_model_that_fails_is_asked_elsewhere_and_nobody_hears_of_it(
    caller: Bakery, simulator: Simulator
) -> None:
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("llm", "error", 1))
        await call.ask(QUESTION)
    assert ANSWER in heard(caller)
    assert caller.troubles() == [("llm", "error")]
    assert caller.marked("provider.switched") == [
        {
            "name": "provider.switched",
            "stage": "llm",
            "before": "openai:gpt-4.1-mini",
            "now": "openai:gpt-4o-mini",
            "why": "error",
        }
    ]
    assert caller.told[-1][1]["providers"] == [("openai", "llm", "error", 1)]
    store = stored(caller)
    kinds = [event.kind for event in store.events("call-1")]
    assert {"provider.failed", "provider.switched"} <= set(kinds), "the record has it"
    store.close()


async def test_an_answer_that_is_cut_is_gone_on_with_and_no_word_is_said_twice(
    caller: Bakery, simulator: Simulator
) -> None:
    """The simulated model begins its answer anew when it is asked to go on, as models do."""
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("llm", "cut", 1))
        await call.ask(QUESTION)
    said = heard(caller)
    assert said.count("You said") == 1, said
    assert said.endswith("Is there anything else?")
    assert caller.troubles() == [("llm", "cut")]


async def test_an_answer_nobody_goes_on_with_ends_with_a_line(caller: Bakery, simulator: Simulator) -> None:
    async with caller.models() as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults += [Fault("llm", "cut", 1), Fault("llm", "error", 9)]
        await call.ask(QUESTION)
    said = heard(caller)
    assert "You said" in said
    assert said.endswith(LINES["lost_thread"])
    assert caller.marked("provider.exhausted") == [{"name": "provider.exhausted", "stage": "llm"}]


async def test_no_model_at_all_ends_in_a_line(caller: Bakery, simulator: Simulator) -> None:
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("llm", "error", 9))
        await call.ask(QUESTION)
    assert heard(caller) == LINES["trouble"]


async def test_models_that_never_answer_end_in_a_line_before_the_turn_s_time_is_over(
    caller: Bakery, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "REPLY_S", 2.0)
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("llm", "stall", 99))
        began_s = time.monotonic()
        call.hooks.chat(QUESTION)
        await call.until(lambda: call.times("line"))
        assert time.monotonic() - began_s < 4.0, "the vendor would have said something after ten seconds"
        await call.until(lambda: call.times("reply.finished") > 1)
    assert heard(caller) == LINES["trouble"]
    assert {why for _, why in caller.troubles()} == {"timeout"}


async def test_a_model_that_stalls_is_left_for_one_that_answers(
    caller: Bakery, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("llm", "stall", 1))
        await call.ask(QUESTION)
    assert ANSWER in heard(caller)
    assert caller.troubles() == [("llm", "timeout")]


@pytest.mark.parametrize(
    "first", ["openai:gpt-4o-mini-tts", "cartesia:sonic-3", "elevenlabs:eleven_flash_v2_5"]
)
@pytest.mark.parametrize("kind", ["error", "cut", "stall", "rate_limit"])
async def test_a_voice_that_fails_is_followed_by_another_that_says_the_rest(
    caller: Bakery, simulator: Simulator, first: str, kind: str
) -> None:
    then = "openai:tts-1" if not first.startswith("openai") else "cartesia:sonic-3"
    async with caller.models(tts=f"['{first}', '{then}']") as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("tts", kind, 1))
        await call.ask(QUESTION)
        await call.ask("And a cake?")
        async with asyncio.timeout(20):
            while kind != "rate_limit" and len(call.marked("provider.switched")) < 2:
                await call.ask("And a roll?")  # its socket was not back yet
    store = stored(caller)
    turns = store.turns("call-1")
    store.close()
    assert ANSWER in turns[1].heard_text
    assert turns[1].heard_text.count("You said") == 1
    assert turns[1].heard_text.endswith("Is there anything else?")
    assert "you said: and a cake" in turns[2].heard_text.lower()
    why = {"stall": "timeout", "rate_limit": "limited"}.get(kind, kind)
    if first.startswith("elevenlabs") and kind == "rate_limit":
        why = "error"  # its socket ends, and does not say why
    assert ("tts", why) in caller.troubles()
    switched = [mark["now"] for mark in caller.marked("provider.switched")]
    assert switched[0] == then
    if kind != "rate_limit":  # that asks to be left alone for a second
        assert switched == [then, first]


@pytest.mark.parametrize("voice", ["cartesia:sonic-3", "elevenlabs:eleven_flash_v2_5"])
async def test_the_voice_that_stands_by_can_be_interrupted(
    caller: Bakery, simulator: Simulator, voice: str
) -> None:
    async with caller.models(tts=f"['{voice}', 'openai:tts-1']") as call:
        await call.until(lambda: call.times("reply.finished"))
        audible = call.times("reply.audible")
        simulator.desk.faults.append(Fault("tts", "error", 1))
        call.hooks.chat(QUESTION)
        await call.until(lambda: call.times("reply.audible") > audible)
        await call.listen(300)
        await call.ask("Stop")
    store = stored(caller)
    turns = store.turns("call-1")
    store.close()
    assert set(caller.troubles()) == {
        ("tts", "error")
    }  # once more where its socket is not back for the next reply
    assert "Is there anything else?" not in turns[1].heard_text
    assert "you said: stop" in turns[2].heard_text.lower()
    assert turns[2].heard_text.count("You said") == 1, "nothing of the reply before is left"


@pytest.mark.parametrize(
    "voice", ["cartesia:sonic-3", "elevenlabs:eleven_flash_v2_5", "openai:gpt-4o-mini-tts"]
)
async def test_without_any_voice_the_line_that_was_made_ahead_is_heard(
    caller: Bakery, simulator: Simulator, voice: str
) -> None:
    await caller.speaks_with(voice)
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults.append(Fault("tts", "error", 99))
        await call.ask(QUESTION)
    # The answer may begin with the very words of a filler, which are kept as well.
    assert heard(caller).removeprefix("Let me see. ") == LINES["trouble"]
    assert ("tts", "error") in caller.troubles()


@pytest.mark.parametrize("voice", ["cartesia:sonic-3", "openai:gpt-4o-mini-tts"])
async def test_a_voice_that_is_lost_in_the_middle_leaves_what_was_heard(
    caller: Bakery, simulator: Simulator, voice: str
) -> None:
    await caller.speaks_with(voice)
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        simulator.desk.faults += [Fault("tts", "cut", 1), Fault("tts", "error", 99)]
        await call.ask(QUESTION)
    said = heard(caller)
    assert said.endswith(LINES["trouble"])
    before = said.removesuffix(LINES["trouble"]).strip(" …")
    assert before, "what was heard was heard"
    assert "Is there anything else?" not in said


async def test_what_an_interruption_cut_off_is_nobody_s_failure(
    caller: Bakery, simulator: Simulator, tmp_path: Path
) -> None:
    async with caller.models() as call:
        await call.until(lambda: call.times("reply.finished"))
        for _ in range(3):
            audible = call.times("reply.audible")
            call.hooks.chat(QUESTION)
            await call.until(lambda before=audible: call.times("reply.audible") > before)  # type: ignore[misc]
            await call.listen(60)
        await call.ask("Stop")
    assert caller.times("reply.cancelled") >= 3
    assert caller.troubles() == []
    kinds = {found.kind for found in FileJournal(tmp_path / "providers").unread()}
    assert kinds <= {"done", "slow"}


async def test_what_one_call_finds_out_another_process_knows(
    caller: Bakery, simulator: Simulator, tmp_path: Path
) -> None:
    async with caller.models(llm=TWO_MODELS) as call:
        await call.until(lambda: call.times("reply.finished"))
        for _ in range(3):
            simulator.desk.faults.append(Fault("llm", "error", 2))
            await call.ask(QUESTION)
    kinds = [
        found.kind for found in FileJournal(tmp_path / "providers").unread() if found.key.operation == "chat"
    ]
    assert kinds.count("failed") >= 5
    breaker = next(mark for mark in caller.marked("provider.breaker") if mark["operation"] == "chat")
    assert (breaker["before"], breaker["now"]) == ("closed", "open")
