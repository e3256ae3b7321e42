"""The level in a call: taken when nobody speaks, given back whole, told on the timeline, and what it changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from repartee.conversation import (
    Conversation,
    Idle,
    Policies,
    Speaking,
    Speculating,
    Thinking,
    Turn,
    UserTurn,
)
from repartee.conversation.degradation import Level, policies_at
from repartee.conversation.state import Ended
from repartee.events import CallerJoined, Event, HelpLost
from repartee.session.degrading import Degrading, LoadReporter
from repartee.session.ears import asked_at_ms
from repartee.telemetry.load import LoadBoard
from tests.session.rig import Ask, Call
from tests.session.test_call import NOW, said


class Core:
    """Stands in for the bridge."""

    def __init__(self) -> None:
        self.policies = Policies()
        self.events: list[Event] = []

    def submit(self, event: Event) -> None:
        self.events.append(event)


def hold(mine: LoadReporter, level: Level) -> None:
    """The worker says this level, and nothing else: an answer that is on its way now would be of before."""
    if mine._task is not None:
        mine._task.cancel()
    mine.level = level


def reporter(folder: Path, pinned: int | None = None) -> LoadReporter:
    return LoadReporter(LoadBoard(folder), pinned)


async def test_a_level_is_taken_only_when_nobody_speaks(tmp_path: Path) -> None:
    core = Core()
    marks: list[tuple[str, dict[str, object]]] = []
    mine = reporter(tmp_path)
    degrading = Degrading(mine, lambda name, **values: marks.append((name, values)), lambda: 0.0)
    degrading.start(core)
    try:
        hold(mine, Level.PLAIN)
        for state in (UserTurn(Turn(1)), Thinking(1, None), Speaking(1), Ended("stopped")):
            degrading.observe(Conversation(state))
            assert degrading.level is Level.NORMAL, f"taken in {state}"
        degrading.observe(Conversation(Idle()))
        assert degrading.level is Level.PLAIN
        assert degrading.small()
        assert degrading.plain()
        assert core.policies == policies_at(Level.PLAIN, Policies())
        hold(mine, Level.NORMAL)
        degrading.observe(Conversation(Idle()))
        assert core.policies == Policies(), "given back whole"
        assert marks == [("level", {"level": 3, "before": 0}), ("level", {"level": 0, "before": 3})]
    finally:
        degrading.close()


async def test_processes_hear_the_level_and_tell_their_load(tmp_path: Path) -> None:
    mine, board, core = reporter(tmp_path), LoadBoard(tmp_path), Core()
    board.tell_level(int(Level.DOWN), ("down",))
    degrading = Degrading(mine, lambda *_, **__: None, lambda: 7.0)
    degrading.start(core)
    mine.first_token(350.0)
    try:
        async with asyncio.timeout(10):
            while not core.events:  # noqa: ASYNC110 - the level comes through a file
                await asyncio.sleep(0.01)
        (load,) = board.loads()
        assert [ms for _, ms in load.first_tokens] == [350.0]
    finally:
        degrading.close()
    assert core.events == [HelpLost(7.0)]
    assert board.loads() == [], "a process without calls tells nothing"
    assert mine.level is Level.NORMAL, "and its next call, hours later, does not begin with what was true now"


async def test_first_tokens_of_the_large_model_are_read_off_the_timeline(tmp_path: Path) -> None:
    mine = reporter(tmp_path)
    degrading = Degrading(mine, lambda *_, **__: None, lambda: 0.0)
    for reply_id, (tier, tool) in enumerate(
        [("large", False), ("small", False), ("cached", False), ("large", True)]
    ):
        at = reply_id * 1000.0
        degrading.marked("reply.started", at, {"reply_id": reply_id})
        degrading.marked("reply.tier", at, {"reply_id": reply_id, "tier": tier})
        if tool:
            degrading.marked("tool.started", at + 100, {"reply_id": reply_id})
        degrading.marked("reply.first_text", at + 400, {"reply_id": reply_id})
    assert [ms for _, ms in mine._first_tokens] == [400.0]


async def test_a_lean_call_makes_no_audio_before_the_turn_is_over(tmp_path: Path) -> None:
    mine = reporter(tmp_path)
    async with Call(Ask("Right.")) as call:
        degrading = Degrading(mine, call.mark, call.clock)
        degrading.start(call.bridge)
        call.degrading = degrading
        call.connect()
        try:
            hold(mine, Level.LEAN)
            said(call, "I need an appointment", probability=0.8)
            await call.until(lambda: isinstance(call.state, Speculating))
            await call.settle()
            assert call.model.asked, "the words are made ahead of time"
            assert not call.voice.spoken, "and no audio of them"
            call.now_ms = 2000
            await call.until(lambda: isinstance(call.state, Thinking))
            await call.play_until(lambda: isinstance(call.state, Idle))
        finally:
            degrading.close()
    assert call.voice.spoken == ["Right."]
    assert ("level", {"level": 1, "before": 0}) in call.marks


async def test_a_level_that_comes_in_the_middle_of_a_reply_waits_for_its_end(tmp_path: Path) -> None:
    mine = reporter(tmp_path)
    async with Call(Ask("From eight to six."), policies=NOW) as call:
        degrading = Degrading(mine, call.mark, call.clock)
        degrading.start(call.bridge)
        call.degrading = degrading
        call.connect()
        try:
            call.happen(CallerJoined(0))
            await call.until(lambda: isinstance(call.state, Speaking))
            hold(mine, Level.PLAIN)
            await call.play(200)
            assert not degrading.plain()
            await call.play_until(lambda: isinstance(call.state, Idle))
            said(call, "When are you open?")
            await call.until(lambda: isinstance(call.state, Speaking))
            assert degrading.plain()
        finally:
            degrading.close()


async def test_that_help_is_lost_is_told_once(tmp_path: Path) -> None:
    names: list[str] = []
    async with Call() as call:
        degrading = Degrading(
            reporter(tmp_path), lambda name, **_: call.bridge.parts.timeline.mark(name), call.clock
        )
        call.bridge.parts.timeline.listeners.append(lambda name, *_: names.append(name))
        degrading.start(call.bridge)
        try:
            call.happen(CallerJoined(0))
            await call.until(lambda: isinstance(call.state, Speaking))
            degrading._changed(Level.DOWN)
            degrading._changed(Level.DOWN)
            await call.play_until(lambda: bool(call.ended))
        finally:
            degrading.close()
    assert call.ended == ["trouble"]
    assert names.count("help.lost") == 1


def test_the_fuller_the_machine_the_less_often_the_end_of_turn_is_asked_for() -> None:
    asked = [asked_at_ms(level) for level in Level]
    assert asked[Level.NORMAL][0] == asked[Level.LEAN][0], "a clear end is found as soon as ever"
    assert len(asked[Level.NORMAL]) == 3 * len(asked[Level.LEAN]) == 3 * len(asked[Level.SMALL])
    assert not any(asked[Level.PLAIN :])


@pytest.mark.parametrize("level", [Level.NORMAL, Level.LEAN])
def test_a_model_that_hears_for_itself_is_told_of_an_end_at_once(level: Level) -> None:
    usual, at_once = asked_at_ms(level), asked_at_ms(level, at_once=True)
    assert at_once[0] < usual[0]
    assert at_once[1:] == usual[1:]
    assert not asked_at_ms(Level.PLAIN, at_once=True)
