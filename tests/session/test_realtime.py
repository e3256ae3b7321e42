"""A model that hears and speaks itself, in a call without a room: against the simulator's socket, tools and bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repartee.agent import Agent, load_agent
from repartee.conversation import Endpointing, Speaking, Speculating, Speculation, UserTurn, Yielding
from repartee.providers import realtime_model
from repartee.session.gate import FADE_MS
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.conversation_items import Item
from repartee.simulator.providers.desk import Fault
from repartee.simulator.providers.library import Heard
from repartee.simulator.providers.profiles import Spread
from repartee.simulator.providers.replies import Replies, Reply
from tests.billing import Comparison, compare
from tests.conftest import FRONT_DESK
from tests.session.billing import QUICK, BilledCall
from tests.session.test_whole_call import Caller, rooms_of_calls, scripted

MODEL = "gpt-realtime"
LONG = (
    "There is one workshop on the first day, " + "and there is one more after that, " * 6 + "and that is all."
)


PATIENT = replace(
    QUICK, endpointing=Endpointing(min_silence_ms=400, max_silence_ms=400, digits_ms=0, prelude_ms=0)
)
BY_SOUND = replace(PATIENT, speculation=Speculation(by_sound=True))


class Room(Replies):
    """What is said in it is set by the test, what the model is shown is kept."""

    def __init__(self) -> None:
        super().__init__(None)
        self.words = "are you open on friday"
        self.answers: dict[str, str] = {}
        self.asked: list[list[dict[str, Any]]] = []
        self.cuts_ms: list[int] = []

    def answer(self, messages: list[dict[str, Any]]) -> Reply:
        self.asked.append(messages)
        said = str(next(m["content"] for m in reversed(messages) if m["role"] == "user"))
        return Reply(self.answers[said]) if said in self.answers else super().answer(messages)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The newest conversation, without what the model is told to be."""
        return [(message["role"], message["content"]) for message in self.asked[-1][1:]]


@pytest.fixture
def agent() -> Agent:
    return load_agent(FRONT_DESK).model_copy(update={"tools": ()})


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    room, cut = Room(), Item.cut

    def noted(item: Item, audio_end_ms: int) -> None:
        room.cuts_ms.append(audio_end_ms)
        cut(item, audio_end_ms)

    monkeypatch.setattr(Item, "cut", noted)
    return room


@pytest.fixture
async def simulator(room: Room, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        simulator.desk.replies = room

        async def recognise(*_: Any) -> Heard:
            return Heard(room.words, tuple(room.words.split()), complete=True)

        monkeypatch.setattr(simulator.desk, "recognise", recognise)
        yield simulator


async def greeted(call: BilledCall) -> None:
    call.join()
    await call.until(lambda: isinstance(call.state, Speaking))
    await call.until_idle()


async def begin(call: BilledCall, room: Room, words: str) -> None:
    """Say something and wait until the answer sounds."""
    room.words = words
    await call.say(0.6)
    await call.until(lambda: isinstance(call.state, Speaking))


async def made_ready(call: BilledCall) -> None:
    """Wait until an answer is made ready that is not to be heard yet."""
    await call.until(lambda: isinstance(call.state, Speculating) and call.gate.has_audio(call.last_reply_id))


async def ask(call: BilledCall, room: Room, words: str) -> str:
    """Say something and hear the answer to its end; return what was heard."""
    await begin(call, room, words)
    await call.until_idle()
    return str(call.history.entries[-1]["content"])


def models(simulator: Simulator) -> list[tuple[str, str]]:
    return [(entry.model, entry.outcome) for entry in simulator.desk.bill.entries if entry.stage == "llm"]


async def test_what_was_said_is_answered_by_the_model_itself(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        heard = await ask(call, room, "are you open on friday")
        again = await ask(call, room, "and on monday")
    assert "You said: are you open on friday" in heard
    assert models(simulator) == [(MODEL, "ok"), (MODEL, "ok")]
    assert sum(entry.stage == "tts" for entry in simulator.desk.bill.entries) == 1, "the greeting alone"
    assert room.shown == [
        ("assistant", "Hello, how can I help?"),
        ("user", "are you open on friday"),
        ("assistant", heard),
        ("user", "and on monday"),
    ]
    assert "You said: and on monday" in again


async def test_the_ledger_is_the_vendors_bill(simulator: Simulator, room: Room, agent: Agent) -> None:
    room.answers["and on monday"] = LONG
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        await ask(call, room, "are you open on friday")
        await call.say(0.6)
        await call.until(lambda: isinstance(call.state, Speaking))
        await ask(call, room, "and on monday")

        def compared() -> Comparison:
            return compare(call.rows, simulator.desk.bill)

        with suppress(TimeoutError):  # the simulator books what was cut a moment later
            await call.until(lambda: not compared().problems, timeout_s=3)
    one = compared()
    assert not one.problems, "\n".join(one.problems)
    assert one.ours == one.theirs == call.ledger.bill.cost > 0
    sound = [row.usage.quantities for row in call.rows if row.usage.model == MODEL]
    assert all(used["audio_tokens_in"] > 0 and used["audio_tokens_out"] > 0 for used in sound)
    assert not call.ledger.bill.unknown


async def test_an_answer_that_is_cut_off_is_cut_at_the_vendor_to_the_millisecond_that_was_heard(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    room.answers["what is there to see"] = LONG
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        await begin(call, room, "what is there to see")
        reply_id = call.last_reply_id
        await call.until(lambda: call.gate.heard(reply_id).count(" ") > 5)
        room.words = "and on monday"
        await call.say(0.6, pause=False)
        await call.until(lambda: isinstance(call.state, Yielding))
        ((_, heard_ms),) = [(one.item_id, one.heard_ms) for one in call.gate.heard_of_items(reply_id)]
        await call.pause(0.6)
        await call.until(lambda: call.last_reply_id > reply_id and isinstance(call.state, Speaking))
        await call.until_idle()
        remembered = next(
            str(m["content"]) for m in call.history.entries if str(m.get("content")).endswith("…")
        )
    (cut_ms,) = room.cuts_ms
    assert heard_ms - 1 <= cut_ms <= heard_ms + FADE_MS, "the voice was fading out when it was looked at"
    roles = [role for role, _ in room.shown]
    assert roles == ["assistant", "user", "assistant", "user"]
    cut = room.shown[2][1]
    assert LONG.startswith(cut)
    assert cut
    assert abs(len(cut.split()) - len(remembered.rstrip("…").split())) <= 1
    assert room.shown[3] == ("user", "and on monday")


async def test_a_backchannel_does_not_stop_it_and_is_no_part_of_the_conversation(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    room.answers["what is there to see"] = LONG
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        await begin(call, room, "what is there to see")
        reply_id = call.last_reply_id
        room.words = "mhm"
        await call.say(0.3)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.until_idle()
        assert call.history.entries[-1]["content"] == LONG
        assert call.last_reply_id == reply_id
        await ask(call, room, "and on monday")
    assert room.cuts_ms == []
    assert [text for role, text in room.shown if role == "user"] == ["what is there to see", "and on monday"]


async def test_a_held_answer_that_is_not_wanted_is_forgotten_at_the_vendor(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    async with BilledCall(simulator, agent, realtime=MODEL, policies=PATIENT) as call:
        await greeted(call)
        room.words = "are you open"
        await call.say(0.6)
        await made_ready(call)
        held = call.last_reply_id
        room.words = "on friday"
        await call.say(0.6, pause=False)  # they go on: nothing of it was heard
        await call.until(lambda: isinstance(call.state, UserTurn))
        await call.pause(0.6)
        await call.until(lambda: call.last_reply_id > held and isinstance(call.state, Speaking))
        await call.until_idle()
    assert room.shown == [("assistant", "Hello, how can I help?"), ("user", "are you open on friday")]
    assert room.cuts_ms == []
    assert sum(model == MODEL for model, _ in models(simulator)) == 2, "what was thrown away was billed"


async def test_an_answer_is_begun_on_the_sound_before_its_words_are_known(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    simulator.desk.profile = replace(simulator.desk.profile, stt=Spread(300, 300))
    async with BilledCall(simulator, agent, realtime=MODEL, policies=BY_SOUND) as call:
        await greeted(call)
        room.words = "are you open on friday"
        await call.say(0.6)
        await made_ready(call)
        assert isinstance(call.state, Speculating)
        assert not call.state.turn.words_known
        held = call.last_reply_id
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.until_idle()
        assert call.last_reply_id == held, "the words make no other answer of it"
        said = [str(m["content"]) for m in call.history.entries]
    assert said[1] == "are you open on friday"
    assert "You said: are you open on friday" in said[2]


async def test_a_noise_that_was_answered_on_its_sound_is_neither_heard_nor_kept(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    simulator.desk.profile = replace(simulator.desk.profile, stt=Spread(300, 300))
    async with BilledCall(simulator, agent, realtime=MODEL, policies=BY_SOUND) as call:
        await greeted(call)
        room.words = ""
        await call.say(0.3)
        await made_ready(call)
        await call.until_idle()
        assert len(call.history.entries) == 1
        simulator.desk.profile = replace(simulator.desk.profile, stt=Spread(0, 0))
        heard = await ask(call, room, "and on monday")
    assert room.shown == [("assistant", "Hello, how can I help?"), ("user", "and on monday")]
    assert "You said: and on monday" in heard


async def test_a_model_that_is_lost_before_the_words_are_known_costs_no_answer(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    simulator.desk.profile = replace(simulator.desk.profile, stt=Spread(300, 300))
    async with BilledCall(simulator, agent, realtime=MODEL, policies=BY_SOUND) as call:
        await greeted(call)
        simulator.desk.faults.append(Fault("llm", "error", 1))
        heard = await ask(call, room, "are you open on friday")
    assert "You said: are you open on friday" in heard
    assert models(simulator) == [(MODEL, "failed"), ("gpt-4.1-mini", "ok")]


@pytest.mark.parametrize("kind", ["error", "rate_limit", "stall"])
async def test_a_model_that_fails_is_relieved_by_the_others_for_the_rest_of_the_call(
    simulator: Simulator, room: Room, agent: Agent, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_model, "FIRST_S", 0.3)
    monkeypatch.setattr(realtime_model, "LEAST_S", 0.3)
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        simulator.desk.faults.append(Fault("llm", kind, 1))
        first = await ask(call, room, "are you open on friday")
        second = await ask(call, room, "and on monday")
    assert "You said: are you open on friday" in first, "the caller is answered, and hears of nothing"
    assert "You said: and on monday" in second
    assert [model for model, outcome in models(simulator) if outcome == "ok"] == ["gpt-4.1-mini"] * 2
    assert [name for name, _ in call.marks if name == "provider.realtime_lost"] == ["provider.realtime_lost"]


async def test_a_model_that_fails_in_the_middle_is_apologised_for_in_the_plain_voice(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    room.answers["what is there to see"] = LONG
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        simulator.desk.faults.append(Fault("llm", "cut", 1))
        await begin(call, room, "what is there to see")
        await call.until_idle()
        said, _, apology = str(call.history.entries[-1]["content"]).partition("… ")
        after = await ask(call, room, "and on monday")
    assert LONG.startswith(said)
    assert 20 < len(said) < len(LONG)
    assert "technical problem" in apology
    assert "You said: and on monday" in after


async def test_a_vendor_that_is_not_there_leaves_the_call_to_the_others(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    call = BilledCall(simulator, agent, realtime=MODEL)
    call.talking.base_url = "ws://127.0.0.1:9/v1/realtime"  # type: ignore[attr-defined]
    async with call:
        await greeted(call)
        heard = await ask(call, room, "are you open on friday")
    assert "You said: are you open on friday" in heard
    assert models(simulator) == [("gpt-4.1-mini", "ok")]


async def test_a_socket_that_ends_between_two_turns_is_not_missed(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    async with BilledCall(simulator, agent, realtime=MODEL) as call:
        await greeted(call)
        first = await ask(call, room, "are you open on friday")
        await call.talking._websocket.close()  # type: ignore[attr-defined]
        await call.until(lambda: not call.talking.usable)
        await ask(call, room, "and on monday")
    assert models(simulator) == [(MODEL, "ok"), ("gpt-4.1-mini", "ok")]
    assert room.shown == [
        ("assistant", "Hello, how can I help?"),
        ("user", "are you open on friday"),
        ("assistant", first),
        ("user", "and on monday"),
    ], "who goes on knows as much"


async def test_answers_are_asked_to_be_short_when_they_must_be(
    simulator: Simulator, room: Room, agent: Agent
) -> None:
    short = False
    async with BilledCall(simulator, agent, realtime=MODEL, shorter=lambda: short) as call:
        await greeted(call)
        await ask(call, room, "are you open on friday")
        short = True
        await ask(call, room, "and on monday")
    told = [str(messages[0]["content"]) for messages in room.asked]
    assert ["one short sentence, in the language" in instructions for instructions in told] == [False, True]
    assert all(instructions.startswith(agent.instruction) for instructions in told)


TOOLS = '''
from repartee.agent import tool

BOOKED = []


@tool(side_effect=True, confirm="Shall I book {day}?")
def book(day: str) -> str:
    """Book a day."""
    BOOKED.append(day)
    return f"{day} is booked"
'''
SCRIPT = """
- {when: friday, call: book, with: {day: Friday}}
- {when: "yes", call: book, with: {day: Friday}}
- {after: book, say: It is done.}
"""


async def test_a_tool_that_asks_first_acts_after_the_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = rooms_of_calls(monkeypatch)
    async with scripted(tmp_path, SCRIPT) as simulator:
        caller = Caller(simulator, tmp_path, rooms)
        (tmp_path / "tools.py").write_text(TOOLS, encoding="utf-8")
        caller.spec.agent_path.write_text(
            "name: A\npersona: You are A.\ngreeting: Hello.\ntools: tools.py\n"
            "models: {realtime: 'openai:gpt-realtime'}\n",
            encoding="utf-8",
        )
        async with caller as call:
            await call.until(lambda: call.times("reply.finished"))
            await call.ask("Book me for Friday, please")
            asked, done = call.times("tool.asked"), call.times("tool.started")
            await call.ask("Yes")
            acted = call.times("tool.started")
        models = [(e.model, e.text) for e in simulator.desk.bill.entries if e.stage == "llm"]
    assert (asked, done, acted) == (1, 0, 1), "nothing is done before the yes"
    assert {model for model, _ in models} == {MODEL}
    assert [text.split("(")[0] for _, text in models] == ["book", "book", "It is done."]
