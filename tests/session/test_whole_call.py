"""A call as `run_session` holds it, with the room played and the vendors simulated: what the store has afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pydantic import SecretStr

from repartee.goals import Goal, Goals
from repartee.session import channel, session
from repartee.session.fence import Fence
from repartee.session.record import SOUNDING
from repartee.session.resuming import goals_to_json, resume_of
from repartee.session.room import RoomHooks
from repartee.session.spec import SessionSpec
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import EventRow, Store, TurnRow
from tests.billing import compare
from tests.session.rig import RATE, Loudspeaker

GREETING = "Hello, this is the bakery."
AGENT = f"""
name: Bakery
persona: You sell bread.
greeting: {GREETING}
models: {{stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "openai:gpt-4o-mini-tts"}}
answers:
  - {{id: parking, ask: ["Is there parking?"], say: There is parking behind the house.}}
"""


class Passing(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)


class Room:
    """Stands in for the LiveKit room: the caller's side is played by calling the hooks."""

    made: list[Room]

    def __init__(self, *_: object, hooks: RoomHooks, caller_identity: str | None, **__: object) -> None:
        self.hooks = hooks
        self.client: Any = SimpleNamespace(
            participant=None, caller=caller_identity, inlet=None, is_caller=lambda _: True
        )
        self.sink = Loudspeaker()
        self.made.append(self)

    def input(self) -> FrameProcessor:
        return Passing()

    def output(self) -> FrameProcessor:
        return Passing()


class Caller:
    """One call to the agent, by typing."""

    def __init__(self, simulator: Simulator, folder: Path, rooms: list[Room]) -> None:
        self._rooms = rooms
        agent = folder / "agent.yaml"
        agent.write_text(AGENT, encoding="utf-8")
        self.settings = Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
            update={
                "openai_api_key": SecretStr("k"),
                "openai_base_url": f"{simulator.url}/v1",
                "state_dir": folder,
                "database_url": SecretStr(f"sqlite:///{folder / 'calls.db'}"),
            }
        )
        self.spec = SessionSpec("call-1", "room-1", "ws://x", "t", "agent", agent, "ann", folder, None)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.fence = Fence()

    async def __aenter__(self) -> Caller:
        stop = self.stop = asyncio.Event()
        taking = session.run_session(
            self.spec, self.settings, stop, lambda name, data: self.told.append((name, data)), self.fence
        )
        before = len(self.told)
        self._running = asyncio.create_task(taking)
        await self.until(lambda: len(self.told) > before)
        self.hooks.caller_ready("ann")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hooks.call_over("caller_left")
        await asyncio.wait_for(self._running, 20)

    @property
    def hooks(self) -> RoomHooks:
        return self._rooms[-1].hooks

    @property
    def marks(self) -> list[str]:
        return (self.spec.data_dir / "calls" / "call-1.jsonl").read_text(encoding="utf-8").splitlines()

    def times(self, name: str) -> int:
        return sum(f'"{name}"' in mark for mark in self.marks)

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not what():
                if self._rooms:
                    self._rooms[-1].sink.play(100)
                if self._running.done():
                    self._running.result()
                await asyncio.sleep(0.001)

    async def listen(self, duration_ms: int) -> None:
        """Hear so much of what is being said."""
        sink, left = self._rooms[-1].sink, duration_ms * RATE // 1000
        async with asyncio.timeout(20):
            while left > 0:
                before = sink.queue
                sink.play(20)
                left -= before - sink.queue
                await asyncio.sleep(0)

    async def ask(self, text: str) -> None:
        """Type, and hear the answer to its end."""
        finished = self.times("reply.finished")
        self.hooks.chat(text)
        await self.until(lambda: self.times("reply.finished") > finished)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as running:
        yield running


def rooms_of_calls(monkeypatch: pytest.MonkeyPatch, kind: type[Room] = Room) -> list[Room]:
    """Have calls take place in rooms of the tests; return those that are made."""
    rooms: list[Room] = []
    monkeypatch.setattr(Room, "made", rooms, raising=False)
    monkeypatch.setattr(channel, "RoomTransport", kind)
    monkeypatch.setattr(channel, "RoomSink", lambda *_: rooms[-1].sink)
    return rooms


def every_vendor(simulator: Simulator) -> dict[str, Any]:
    """Return the settings with which the simulator stands for the vendors of voices as well."""
    return {
        "elevenlabs_api_key": SecretStr("k"),
        "cartesia_api_key": SecretStr("k"),
        "elevenlabs_base_url": simulator.url,
        "cartesia_base_url": simulator.url,
    }


@contextlib.asynccontextmanager
async def scripted(folder: Path, script: str) -> AsyncIterator[Simulator]:
    """A simulator whose model says what a script has."""
    file = folder / "script.yaml"
    file.write_text(script, encoding="utf-8")
    async with Simulator.start(SimulatorConfig(profile="instant", script=file)) as running:
        yield running


@pytest.fixture
def caller(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    return Caller(simulator, tmp_path, rooms_of_calls(monkeypatch))


def stored(caller: Caller) -> Store:
    return Store.open(caller.settings.store_url)


async def test_the_store_has_the_call_its_turns_and_the_ledger_s_bill(
    caller: Caller, simulator: Simulator
) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("Is there parking?")
        await call.ask("What does a loaf of bread cost?")
        audible = call.times("reply.audible")
        call.hooks.chat("Tell me about all of your cakes, please")
        await call.until(lambda: call.times("reply.audible") > audible)
        await call.listen(400)
        await call.ask("Stop, that is enough")
    bill = caller.told[-1][1]["bill"]
    store = stored(caller)
    (summary,) = store.calls()
    assert (summary.call.agent, summary.call.room, summary.call.reason) == ("Bakery", "room-1", "caller_left")
    assert summary.call.caller_id is None, "no token says who calls"
    assert summary.call.agent_version
    assert summary.call.call_s == pytest.approx(bill["call_s"])

    greeting, parking, loaf, cakes, stop = store.turns("call-1")
    assert (greeting.turn_id, greeting.heard_text) == (0, GREETING)
    assert parking.user_text == "Is there parking?"
    assert parking.heard_text == "There is parking behind the house."
    assert "bread cost" in loaf.user_text
    assert loaf.heard_text
    assert not loaf.unheard_text
    assert loaf.latency_ms is not None
    assert {"reply.started", "reply.first_text", "reply.audible"} <= set(loaf.timings)
    assert cakes.heard_text, "it was cut off in the middle"
    assert cakes.unheard_text
    assert stop.heard_text
    tiers = [event.data["tier"] for event in store.events("call-1") if event.kind == "reply.tier"]
    assert tiers == ["cached", "large", "large", "large"]

    rows = store.usage_rows(call_id="call-1")
    assert {row.usage.stage for row in rows} == {"llm", "tts"}
    total = sum((row.cost or Decimal(0) for row in rows), Decimal(0))
    told = sum((Decimal(stage["usd"]) for stage in bill["stages"].values()), Decimal(0))
    assert total == told > 0
    assert store.spent("Bakery", summary.call.started_at) == told
    assert sum(stage["requests"] for stage in bill["stages"].values()) == len(rows)
    assert not bill["unknown_prices"]
    assert not store.unpriced()
    with suppress(TimeoutError):  # the simulator books what was cut a moment later
        async with asyncio.timeout(5):
            while compare(rows, simulator.desk.bill).problems:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
    assert not compare(rows, simulator.desk.bill).problems
    store.close()


async def test_a_caller_whom_the_token_names_can_have_the_call_forgotten_while_it_goes_on(
    caller: Caller,
) -> None:
    async with caller as call:
        call.hooks.identified("user/42")
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("My name is Ann")
        assert "forgotten" in await call.hooks.rpc["repartee.forget"]("")
        await call.ask("And I live in Rome")
    store = stored(caller)
    (summary,) = store.calls()
    assert summary.call.caller_id is None
    turns = store.turns("call-1")
    assert len(turns) == 3
    assert {turn.user_text + turn.heard_text + turn.unheard_text for turn in turns} == {""}
    assert store.usage_rows(call_id="call-1"), "the bill stays"
    store.close()


async def test_a_caller_whom_the_token_names_is_in_the_record(caller: Caller) -> None:
    async with caller as call:
        call.hooks.identified("user/42")
        await call.until(lambda: call.times("reply.finished"))
    store = stored(caller)
    (summary,) = store.calls(caller_id="user/42")
    assert summary.call.call_id == "call-1"
    store.close()


# --- a call that changes hands ----------------------------------------------------------------------------------


async def test_while_a_reply_is_heard_the_store_knows_how_far(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        audible = call.times("reply.audible")
        call.hooks.chat("Tell me about all of your cakes, please")
        await call.until(lambda: call.times("reply.audible") > audible)
        store = stored(caller)
        async with asyncio.timeout(10):
            # A thread writes it, twice in a second; the greeting is the first.
            while len(turns := store.turns("call-1")) < 2 or not turns[-1].heard_text:
                await call.listen(20)
                await asyncio.sleep(0.02)
            last = turns[-1]
        assert SOUNDING in last.timings
        assert last.unheard_text
        cut = resume_of(store, "call-1")
        assert cut.rest == last.unheard_text
        assert cut.turns[-1] == ("Tell me about all of your cakes, please", last.heard_text)
    assert SOUNDING not in store.turns("call-1")[-1].timings
    assert resume_of(store, "call-1").rest == "", "what the caller cut short is not said again"
    store.close()


async def test_another_agent_says_the_rest_and_knows_what_was_said(
    caller: Caller, simulator: Simulator
) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask("What does a loaf of bread cost?")
    store = stored(caller)
    goals = Goals((Goal(3, "order", "open", {"what": "bread"}, ("when",)),))
    cut = TurnRow("call-1", 2, "And a cake?", "A cake costs", "twelve euros.", timings={SOUNDING: 9000.0})
    store.write([cut, EventRow("call-1", 9000.0, "goals", goals_to_json(goals))])
    resume = resume_of(store, "call-1")
    assert (resume.rest, resume.goals, resume.next_turn_id) == ("twelve euros.", goals, 3)
    assert resume.started_at is not None
    elapsed_ms = (datetime.now(UTC) - resume.started_at).total_seconds() * 1000
    caller.spec = replace(caller.spec, resume=resume, identity="agent-2", takeovers=1)
    finished = caller.times("reply.finished")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished") > finished)
        await call.ask("Thank you, that is dear")
    turns = store.turns("call-1")
    assert [turn.turn_id for turn in turns] == [0, 1, 2, 3, 4]
    assert turns[2] == cut, "what was is not written over"
    assert turns[3].heard_text == "Sorry, we were cut off for a moment. twelve euros."
    assert turns[4].user_text == "Thank you, that is dear"
    assert turns[4].started_at_ms is not None
    assert turns[4].started_at_ms >= elapsed_ms, "the call's clock goes on"
    told = simulator.desk.bill.entries[-1]
    asked = [entry for entry in simulator.desk.bill.entries if entry.stage == "llm"][-1]
    assert "twelve euros" in asked.told
    (summary,) = store.calls()
    assert summary.call.started_at == resume.started_at
    assert told
    store.close()


async def test_a_question_that_was_left_open_is_answered(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
    store = stored(caller)
    store.write([TurnRow("call-1", 1, "What does a loaf of bread cost?")])
    resume = resume_of(store, "call-1")
    assert resume.unanswered == "What does a loaf of bread cost?"
    caller.spec = replace(caller.spec, resume=resume, identity="agent-2", takeovers=1)
    finished = caller.times("reply.finished")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished") >= finished + 2)
    sorry, answer = store.turns("call-1")[-2:]
    assert sorry.heard_text == "Sorry, we were cut off for a moment."
    assert "bread cost" in answer.user_text
    assert answer.heard_text
    store.close()


NOTES = '''
from __future__ import annotations
from repartee import ToolContext, tool

@tool(side_effect=True)
def note(what: str, ctx: ToolContext) -> str:
    """Write down."""
    with (ctx.data_dir / "notes").open("a") as notes:
        notes.write(what + "\\n")
    return f"{what} is noted."
'''
NOTING = "[{when: 'write down (.+)', call: note, with: {what: '{0}'}}, {after: note, say: All right.}]"


async def test_what_a_tool_did_is_not_done_again_by_the_next_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(tmp_path, NOTING) as simulator:
        caller = Caller(simulator, tmp_path, rooms_of_calls(monkeypatch))
        (tmp_path / "tools.py").write_text(NOTES, encoding="utf-8")
        caller.spec.agent_path.write_text(AGENT + "tools: tools.py\n", encoding="utf-8")
        caller.spec = replace(caller.spec, epoch=1)
        async with caller as call:
            await call.until(lambda: call.times("reply.finished"))
            await call.ask("Please write down rye")
        store = stored(caller)
        # As if it had died after the act and before the answer.
        store.write([TurnRow("call-1", 2, "Please write down rye")])
        resume = resume_of(store, "call-1")
        store.close()
        assert [(act.tool, act.done, act.result) for act in resume.acts] == [("note", True, "rye is noted.")]
        caller.spec = replace(caller.spec, resume=resume, identity="agent-2", epoch=2, takeovers=1)
        finished = caller.times("reply.finished")
        async with caller as call:
            await call.until(lambda: call.times("reply.finished") >= finished + 2)
        assert caller.times("tool.repeated") == 1
    assert (tmp_path / "notes").read_text().split() == ["rye"]


async def test_an_agent_that_is_fenced_off_leaves_without_ending_the_call(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        call.fence.lost.set()
        call.stop.set()
        await asyncio.wait_for(asyncio.shield(call._running), 20)
    assert caller.told[-1][1]["reason"] == "handed_over"
    store = stored(caller)
    (summary,) = store.calls()
    assert summary.call.ended_at is None
    store.close()
