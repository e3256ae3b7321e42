"""Tools in a call: asked before they act, once for each intention, cancelled or finished, and never a dead line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from repartee.conversation import Idle, Policies, Speaking, Speculating, Thinking, UserTurn
from repartee.events import SpeechStarted
from repartee.session.consents import Consents
from repartee.session.toolbox import NOBODY, ToolRun, fill
from repartee.session.tools import ToolPermits
from tests.session.desk import CallingModel, Does, Marks, call_with, write
from tests.session.rig import Call
from tests.session.test_call import said

BOOKING = '''
from datetime import date, time
import asyncio
acted, keys, goals = [], [], []

@tool(side_effect=True, confirm="I have {day} at {at} for {name}. Shall I book it?")
def book(ctx: ToolContext, name: str, day: date, at: time) -> str:
    """Book.

    Args:
        name: Whose.
        day: When.
        at: At what time.
    """
    acted.append((name, day.isoformat(), at.isoformat()))
    keys.append(ctx.idempotency_key)
    return f"{name} is booked."

@tool(side_effect=True, undoes="book")
def cancel(name: str) -> str:
    """Cancel."""
    acted.append(("cancel", name))
    return "Cancelled."

@tool
def look_up(name: str) -> str:
    """Look up."""
    return f"{name} is known."
'''
ANN = {"name": "Ann Hill", "day": "2031-03-04", "at": "10:00"}
QUESTION = "I have Tuesday, March 4 at 10 in the morning for Ann Hill. Shall I book it?"
BOOK, BOOK_ELEVEN = Does(calls=[("book", ANN)]), Does(calls=[("book", {**ANN, "at": "11:00"})])


async def turn(call: Call, text: str, segment: int, *, play: bool = True) -> None:
    """The user says something and hears the reply to its end."""
    before = len(call.voice.spoken)
    said(call, text, segment=segment)
    await call.until(lambda: isinstance(call.state, Speaking) or len(call.voice.spoken) > before)
    await call.play_until(lambda: isinstance(call.state, Speaking))
    if play:
        await call.play_until(lambda: isinstance(call.state, Idle))


def acted(call_file: Path) -> list[Any]:
    # The call loaded the module last; its lists are the call's.
    name = next(
        name for name in sys.modules if name.startswith("repartee_agent_tools_") and _is(name, call_file)
    )
    return list(sys.modules[name].acted)


def _is(name: str, agent_file: Path) -> bool:
    return getattr(sys.modules[name], "__file__", "") == str((agent_file.parent / "tools.py").resolve())


@pytest.fixture
def booking(tmp_path: Path) -> Path:
    return write(tmp_path, BOOKING)


async def test_a_tool_that_asks_first_acts_on_a_yes_in_a_later_turn(booking: Path) -> None:
    call, model, marks = call_with(booking, BOOK, BOOK, Does("All done."))
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        assert " ".join(call.voice.spoken) == QUESTION, "in our words, without asking the model again"
        assert acted(booking) == []
        await turn(call, "Yes, please.", 2)
    assert acted(booking) == [("Ann Hill", "2031-03-04", "10:00:00")]
    assert len(model.asked) == 3
    assert "Ann Hill is booked." in str(model.asked[2][-1]["content"])
    assert [m["outcome"] for m in marks.named("tool.finished")] == ["done"]
    roles = [entry["role"] for entry in call.history.entries]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize("answer", ["Hm, what does it cost?", "Yes, but at eleven", "Let me think about it"])
async def test_anything_but_a_yes_asks_again(booking: Path, answer: str) -> None:
    call, _, _ = call_with(booking, BOOK, BOOK)
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        await turn(call, answer, 2)
    assert " ".join(call.voice.spoken) == f"{QUESTION} {QUESTION}"
    assert acted(booking) == []


async def test_a_no_is_told_to_the_model_and_nothing_is_done(booking: Path) -> None:
    call, model, _ = call_with(booking, BOOK, BOOK, Does("As you like."))
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        await turn(call, "No, don't.", 2)
    assert acted(booking) == []
    assert "the user said no" in str(model.asked[2][-1]["content"])


async def test_other_arguments_ask_again_whatever_the_user_said_before(booking: Path) -> None:
    call, _, _ = call_with(booking, BOOK, BOOK_ELEVEN, BOOK_ELEVEN, Does("Done."))
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        await turn(call, "Yes.", 2)
        assert acted(booking) == [], "yes was said to ten, not to eleven"
        assert "at 11 in the morning" in call.voice.spoken[-2]
        await turn(call, "Yes.", 3)
    assert acted(booking) == [("Ann Hill", "2031-03-04", "11:00:00")]


async def test_the_same_turn_s_yes_is_no_yes(booking: Path) -> None:
    call, _, _ = call_with(booking, BOOK, BOOK)
    async with call:
        await turn(call, "Yes, book Ann Hill for Tuesday at ten, yes", 1)
    assert acted(booking) == []


async def test_a_question_that_was_not_heard_was_not_asked(booking: Path) -> None:
    call, _, _ = call_with(booking, BOOK, BOOK)
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1, play=False)
        await call.play(600)
        await turn(call, "Yes, whatever you say.", 2)
    assert acted(booking) == []
    assert " ".join(call.voice.spoken) == f"{QUESTION} {QUESTION}"


async def test_a_yes_before_the_last_words_of_the_question_counts(booking: Path) -> None:
    call, _, _ = call_with(booking, BOOK, BOOK, Does("Done."))
    values_ms = len("I have Tuesday, March 4 at 10 in the morning for Ann Hill. Sha") * 60
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1, play=False)
        await call.play(values_ms)
        await turn(call, "Yes please do that.", 2)
    assert len(acted(booking)) == 1


async def test_it_acts_once_and_a_repeat_is_told_the_first_result(booking: Path) -> None:
    again = Does(calls=[("book", {**ANN, "at": "10:00:00"})])
    call, model, marks = call_with(booking, BOOK, BOOK, again, Does("Done."), again, Does("As I said."))
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        await turn(call, "Yes.", 2)
        await turn(call, "Is it booked? Book it.", 3)
    assert len(acted(booking)) == 1
    assert len(marks.named("tool.repeated")) == 2
    assert model.asked[-1][-1]["content"] == "Ann Hill is booked."


async def test_what_was_undone_may_be_done_again_and_asks_again(booking: Path) -> None:
    undo = Does(calls=[("cancel", {"name": "Ann Hill"})])
    call, _, _ = call_with(
        booking, BOOK, BOOK, Does("Done."), undo, Does("Cancelled."), BOOK, BOOK, Does("Again.")
    )
    async with call:
        for segment, text in enumerate(
            ("Book Ann Hill", "Yes.", "Cancel it", "Book it after all", "Yes, do it."), start=1
        ):
            await turn(call, text, segment)
    assert [entry[0] for entry in acted(booking)] == ["Ann Hill", "cancel", "Ann Hill"]


async def test_a_held_reply_may_ask_and_leaves_no_trace_when_it_is_thrown_away(booking: Path) -> None:
    call, _, _ = call_with(booking, BOOK, Does("Go on, please."), policies=Policies())
    async with call:
        said(call, "Book Ann Hill", probability=0.8)
        await call.until(lambda: isinstance(call.state, Speculating))
        await call.until(lambda: call.gate.has_audio(1))
        call.happen(SpeechStarted(0, 2))
        await call.until(lambda: isinstance(call.state, UserTurn))
        said(call, "for Tuesday", segment=2)
        await call.until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert [entry["role"] for entry in call.history.entries] == ["user", "assistant"]


SLOW = '''
import asyncio
started, let_go, log = asyncio.Event(), asyncio.Event(), []

async def work(what):
    started.set()
    try:
        await let_go.wait()
    except asyncio.CancelledError:
        log.append(f"{what} cancelled")
        raise
    log.append(f"{what} done")
    return f"{what} is done."

@tool(says="One moment, I look that up.", says_after_s=0)
async def look(what: str) -> str:
    """Look something up."""
    return await work(what)

@tool(side_effect=True)
async def send(what: str) -> str:
    """Send something."""
    return await work(what)

@tool(side_effect=True, on_interrupt="cancel")
async def draft(what: str) -> str:
    """Draft something."""
    return await work(what)

@tool(timeout_s=0.01)
async def stuck() -> str:
    """Never ends."""
    await asyncio.Event().wait()

@tool
def broken() -> str:
    """Breaks."""
    raise ValueError("the secret of Ann Hill")

@tool
def sorry() -> str:
    """Says why it cannot."""
    raise ToolError("the desk is closed")
'''


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    return write(tmp_path, SLOW)


def of(call: Call) -> Any:
    assert call.agenda is not None
    return sys.modules[call.agenda.tools_guarded[0].function.__module__]


async def test_a_word_is_said_while_it_takes_long_and_is_nowhere_in_the_context(slow: Path) -> None:
    call, model, marks = call_with(slow, Does(calls=[("look", {"what": "it"})]), Does("Here it is."))
    running: list[str] = []
    assert call.agenda is not None
    call.agenda.toolbox.on_running = running.append
    async with call:
        said(call, "Please look it up")
        await call.until(lambda: call.voice.spoken)
        assert call.voice.spoken == ["One moment, I look that up."]
        await call.play_until(lambda: call.captions.agent and call.gate.quiet(1))
        assert isinstance(call.state, Thinking), "what is said meanwhile is no answer"
        assert call.captions.agent[-1][0].startswith("One moment, I look"), "the caller sees what is said"
        of(call).let_go.set()
        await call.until(lambda: len(model.asked) == 2)
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.history.entries[-1] == {"role": "assistant", "content": "Here it is."}
    assert not any("One moment" in str(message) for asked in model.asked for message in asked)
    assert len(marks.named("tool.aside")) == 1
    assert running == ["look", ""], "clients are told its name, and that it has ended"


async def test_no_word_when_the_model_has_just_said_one(slow: Path) -> None:
    call, _, marks = call_with(slow, Does("Let me see.", [("look", {"what": "it"})]), Does("Here it is."))
    async with call:
        said(call, "Please look it up")
        await call.until(lambda: call.voice.spoken)
        await call.settle()
        of(call).let_go.set()
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert call.voice.spoken == ["Let me see.", "Here it is."]
    assert not marks.named("tool.aside")


async def interrupted(call: Call, model: CallingModel) -> None:
    """The user speaks while the tool of the first reply is running."""
    said(call, "Please do it")
    await call.until(lambda: isinstance(call.state, Thinking) and of(call).started.is_set())
    said(call, "and wait, is there parking?", segment=2)
    await call.until(lambda: len(model.asked) == 2)


@pytest.mark.parametrize("tool", ["look", "draft"])
async def test_an_interruption_cancels_what_may_be_cancelled(slow: Path, tool: str) -> None:
    call, model, _ = call_with(slow, Does(calls=[(tool, {"what": "it"})]), Does("Yes, there is."))
    async with call:
        await interrupted(call, model)
        await call.until(lambda: of(call).log)
        await call.play_until(lambda: isinstance(call.state, Idle))
    assert of(call).log == ["it cancelled"]
    assert not any(entry.get("tool_calls") for entry in call.history.entries)


async def test_what_has_begun_to_act_is_finished_and_remembered(slow: Path) -> None:
    call, model, _ = call_with(
        slow, Does(calls=[("send", {"what": "it"})]), Does("Yes, there is."), Does("Sent.")
    )
    async with call:
        await interrupted(call, model)
        of(call).let_go.set()
        await call.until(lambda: of(call).log)
        await call.play_until(lambda: isinstance(call.state, Idle))
        said(call, "And was it sent?", segment=3)
        await call.until(lambda: len(model.asked) == 3)
    assert of(call).log == ["it done"]
    assert "it is done." in str(model.asked[2]), "the model knows, although the reply was thrown away"


async def test_what_is_being_done_when_the_call_ends_is_finished(slow: Path) -> None:
    call, model, _ = call_with(slow, Does(calls=[("send", {"what": "it"})]))
    async with call:
        said(call, "Please do it")
        await call.until(lambda: model.asked and of(call).started.is_set())
        work = of(call)
        assert call.agenda is not None
        agenda = call.agenda
    work.let_go.set()
    await agenda.aclose()
    assert work.log == ["it done"]


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ("stuck", "that took longer than 0.01 seconds"),
        ("broken", "that did not work because of a technical problem"),
        ("sorry", "the desk is closed"),
    ],
)
async def test_an_error_is_told_so_that_it_can_be_said(slow: Path, tool: str, told: str) -> None:
    call, model, _ = call_with(slow, Does(calls=[(tool, {})]), Does("I am sorry."))
    async with call:
        await turn(call, "Please do it", 1)
    content = str(model.asked[1][-1]["content"])
    assert told in content
    assert "secret" not in content
    assert "you are sorry" in content, "the model is told to apologise"
    assert call.history.entries[-1]["content"] == "I am sorry."


async def test_the_tools_of_a_call_have_a_budget(tmp_path: Path) -> None:
    file = write(tmp_path, BOOKING, "limits:\n  tool_calls: 2\n")
    look = Does(calls=[("look_up", {"name": "Ann"})])
    call, model, marks = call_with(file, look, look, look, Does("That is all."))
    async with call:
        await turn(call, "Look up Ann three times", 1)
    contents = [str(message["content"]) for message in model.asked[-1] if message["role"] == "tool"]
    assert contents[:2] == ["Ann is known."] * 2
    assert "no more can be looked up" in contents[2]
    assert marks.named("tool.refused") == [{"tool": "look_up", "why": "budget"}]


async def test_a_model_that_only_calls_tools_must_speak_in_the_end(booking: Path) -> None:
    look = Does(calls=[("look_up", {"name": "Ann"})])
    call, model, _ = call_with(booking, *([look] * 5), Does("Enough."))
    async with call:
        await turn(call, "Look up Ann", 1)
    assert model.offered[4]
    assert model.offered[5] == set(), "nothing is left to call"


async def test_the_key_is_the_same_for_the_same_and_the_marks_say_nothing_personal(booking: Path) -> None:
    call, _, marks = call_with(booking, BOOK, BOOK, Does("Done."))
    async with call:
        await turn(call, "Book Ann Hill for Tuesday at ten", 1)
        await turn(call, "Yes.", 2)
    (key,) = of(call).keys
    assert len(key) == 32
    assert "Ann" not in str(marks)
    assert isinstance(marks, Marks)


def test_a_question_must_be_heard_up_to_its_last_value() -> None:
    values = {"day": "Friday", "name": "Ann"}
    assert fill("On {day} for {name}. Shall I?", values) == (
        "On Friday for Ann. Shall I?",
        "On Friday for Ann",
    )
    assert fill("Shall I?", values) == ("Shall I?", "Shall I?")


async def test_what_a_tool_was_given_and_what_it_gave_is_told_however_it_ends(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '''
@tool
def look_up(name: str) -> str:
    """Look up."""
    if name == "Bob":
        raise ToolError("there is no Bob")
    return f"{name} is known."
''',
    )
    asks = [Does(calls=[("look_up", {"name": name})]) for name in ("Ann", "Bob")]
    call, _, _ = call_with(file, asks[0], Does("Yes."), asks[1], Does("No."))
    ran: list[ToolRun] = []
    async with call:
        assert call.agenda is not None
        call.agenda.toolbox.on_ran = ran.append
        await turn(call, "Is Ann known?", 1)
        await turn(call, "And Bob?", 2)
    assert [(run.tool, run.outcome, run.arguments, run.result) for run in ran] == [
        ("look_up", "done", {"name": "Ann"}, "Ann is known."),
        ("look_up", "failed", {"name": "Bob"}, "there is no Bob"),
    ]


@pytest.mark.parametrize(("said", "standing"), [("yes please", "agreed"), ("no", "refused"), ("hm", "open")])
def test_an_answer_whose_words_came_after_its_reply_was_begun_counts(said: str, standing: str) -> None:
    permits, consents = ToolPermits(), Consents("en")
    permits.watch(consents)
    permits.open(1, held=False, turn_id=1, text="book me in")
    consents.ask("book", "{}", "friday", permits.live or NOBODY)
    permits.heard(1, "Shall I book Friday?")
    permits.open(2, held=True, turn_id=2)
    permits.release(2, said)
    assert consents.standing("book", "{}", permits.live or NOBODY) == standing
