"""Acts of a call that changes hands: none is done twice, whenever its agent dies."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from repartee.conversation import Idle
from repartee.errors import StoreError
from repartee.session.act_book import ActBook
from repartee.session.resuming import resume_of
from repartee.session.spec import PastAct
from repartee.store import Act, Acts, CallRow, EventRow, Store
from tests.session.desk import CallingModel, Does, Marks, call_with, write
from tests.session.test_tools import turn

TOOLS = '''
@tool(side_effect=True)
def note(ctx: ToolContext, what: str) -> str:
    """Write down."""
    if what == "nothing":
        raise ToolError("there is no such thing")
    with (ctx.data_dir / "notes").open("a") as notes:
        notes.write(what + "\\n")
    return f"{what} is noted."

@tool(side_effect=True, undoes="note")
def strike(ctx: ToolContext) -> str:
    """Strike everything out."""
    return "Struck out."
'''
NOTE = Does(calls=[("note", {"what": "rye"})])
STRIKE = Does(calls=[("strike", {})])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store.open(f"sqlite:///{tmp_path / 'repartee.db'}", spool=tmp_path / "spool")
    yield opened
    opened.close()


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return write(tmp_path, TOOLS)


async def asked(
    agent: Path, store: Any, epoch: int, *script: Does, past: tuple[PastAct, ...] = ()
) -> tuple[CallingModel, Marks]:
    """The user asks an agent of this epoch for a note, once for each two steps of the script."""
    call, model, marks = call_with(agent, *script)
    assert call.agenda is not None
    acts: Any = store if isinstance(store, _Away) else Acts(store)
    call.agenda.toolbox.book = ActBook(acts, "call-1", epoch, past)
    async with call:
        for number in range(len(script) // 2):
            await turn(call, "Write down rye, please", number + 1)
        await call.play_until(lambda: isinstance(call.state, Idle))
    return model, marks


def notes(agent: Path) -> list[str]:
    file = agent.parent / "notes"
    return file.read_text().split() if file.exists() else []


def past_of(store: Store, result: str | None = None) -> tuple[PastAct, ...]:
    return tuple(PastAct(act.key, act.tool, act.done, result) for act in Acts(store).of_call("call-1"))


async def test_the_next_agent_is_told_what_came_of_it(agent: Path, store: Store) -> None:
    await asked(agent, store, 1, NOTE, Does("Done."))
    model, marks = await asked(agent, store, 2, NOTE, Does("Done."), past=past_of(store, "rye is noted."))
    assert notes(agent) == ["rye"]
    assert model.asked[1][-1]["content"] == "rye is noted."
    assert len(marks.named("tool.repeated")) == 1


async def test_what_was_begun_and_never_confirmed_is_not_begun_again(agent: Path, store: Store) -> None:
    await asked(agent, store, 1, NOTE, Does("Done."))
    (known,) = past_of(store)
    cut = PastAct(known.key, known.tool, done=False)
    model, marks = await asked(agent, store, 2, NOTE, Does("I am not sure."), past=(cut,))
    assert notes(agent) == ["rye"]
    assert "not known whether it was done" in str(model.asked[1][-1]["content"])
    assert [mark["why"] for mark in marks.named("tool.refused")] == ["unknown"]


async def test_of_two_agents_that_both_think_they_have_the_call_one_acts(agent: Path, store: Store) -> None:
    await asked(agent, store, 2, NOTE, Does("Done."))
    _, marks = await asked(agent, store, 1, NOTE, Does("I am not sure."))
    assert notes(agent) == ["rye"]
    assert [mark["why"] for mark in marks.named("tool.refused")] == ["unknown"]


async def test_what_was_undone_in_the_meantime_is_done_again(agent: Path, store: Store) -> None:
    await asked(agent, store, 1, NOTE, Does("Done."))
    script = STRIKE, Does("Struck out."), NOTE, Does("Done.")
    await asked(agent, store, 2, *script, past=past_of(store, "rye is noted."))
    assert notes(agent) == ["rye", "rye"]


async def test_a_tool_that_did_nothing_leaves_nothing(agent: Path, store: Store) -> None:
    await asked(agent, store, 1, Does(calls=[("note", {"what": "nothing"})]), Does("There is none."))
    assert Acts(store).of_call("call-1") == []


class _Away:
    """A store that is away."""

    def __getattr__(self, _: str) -> Any:
        def fail(*_: object) -> None:
            raise StoreError("it is away")

        return fail


async def test_a_store_that_is_away_holds_up_no_act(agent: Path) -> None:
    await asked(agent, _Away(), 1, NOTE, Does("Done."))
    assert notes(agent) == ["rye"]


def test_what_is_known_of_a_call_says_what_was_done_and_what_came_of_it(store: Store) -> None:
    store.write([CallRow("call-1", "A", "1", "room", datetime.now(UTC))])
    acts = Acts(store)
    for key in ("told", "ran", "cut"):
        acts.begin("call-1", key, "note", 1)
    acts.done("call-1", "told")
    ended: dict[str, Any] = {"tool": "note", "outcome": "done", "result": "noted.", "key": "ran"}
    failed = {"tool": "note", "outcome": "failed", "result": "no", "key": "cut"}
    store.write([EventRow("call-1", 1.0, "tool", ended)])
    store.write([EventRow("call-1", 2.0, "tool", failed)])
    assert acts.of_call("call-1")[0] == Act("told", "note", True)
    assert resume_of(store, "call-1").acts == (
        PastAct("told", "note", True),
        PastAct("ran", "note", True, "noted."),
        PastAct("cut", "note", False),
    )
