"""Callers between calls: who vouches for them, what is kept and shown, what forgetting leaves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from repartee.agent import MemorySection
from repartee.conversation.history import History
from repartee.conversation.memory import Memory
from repartee.conversation.notes import Budget
from repartee.errors import ReparteeError
from repartee.session.callers import (
    CALLER_ID,
    FORGET_METHOD,
    MEMORY_METHOD,
    RPC_BYTES,
    CallerMemory,
    earlier_lines,
    vouched_id,
)
from repartee.session.inlet import Inlet
from repartee.session.room import RoomClient, RoomHooks
from repartee.store import CallerFact

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ON = MemorySection(between_calls=True)


class StoreError(ReparteeError):
    pass


class Store:
    """Keeps callers in a dictionary, as the store's caller API does."""

    def __init__(self) -> None:
        self.kept: dict[str, list[CallerFact]] = {}
        self.broken = False
        self.threads: set[int] = set()

    def caller_facts(self, caller_id: str) -> list[CallerFact]:
        self.threads.add(threading.get_ident())
        if self.broken:
            raise StoreError("the database does not answer")
        return list(self.kept.get(caller_id, ()))

    def remember_caller(self, caller_id: str, facts: Iterable[Any]) -> None:
        self.threads.add(threading.get_ident())
        if self.broken:
            raise OSError("the disk is gone")
        known = self.kept.setdefault(caller_id, [])
        for fact in facts:
            known[:] = [old for old in known if (old.kind, old.text) != (fact.kind, fact.text)] + [fact]

    def forget_caller(self, caller_id: str) -> int:
        return len(self.kept.pop(caller_id, ()))


class OneCall:
    """One call of a caller."""

    def __init__(
        self, store: Store | None, call_id: str, section: MemorySection = ON, now: datetime = NOW
    ) -> None:
        self.marks: list[str] = []
        self.callers = CallerMemory(
            section, store, call_id, lambda: now, lambda name, **_: self.marks.append(name)
        )
        self.history = self.callers.history = History(Memory(Budget()))

    async def connect(self, caller_id: str | None) -> None:
        loading = asyncio.create_task(self.callers.run())
        if caller_id is not None:
            self.callers.identified(caller_id)
            await asyncio.wait_for(loading, 10)
        else:
            await asyncio.sleep(0)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)

    def say(self, *exchanges: tuple[str, str]) -> None:
        for user, agent in exchanges:
            self.history.remember_user(user)
            self.history.remember_heard(agent)

    @property
    def shown(self) -> str:
        first = self.history.messages("Hello?")[0]
        return str(first["content"]) if "earlier calls" in str(first["content"]) else ""


SAID = (
    ("My name is Jennifer Smith.", "Good day."),
    ("No, it's Smyth.", "Mrs Smyth."),
    ("My order number is 48213, and the boiler rattles badly at night.", "I see."),
    ("Let's take Friday at ten.", "Friday at ten."),
)


async def test_a_second_call_knows_what_the_first_was_told() -> None:
    store = Store()
    first = OneCall(store, "call-1")
    await first.connect("ann")
    first.say(*SAID)
    await first.callers.keep()
    second = OneCall(store, "call-2")
    await second.connect("ann")
    assert "caller: Jennifer Smyth" in second.shown
    assert "number, order number: 48213" in second.shown
    assert "decision (24 November 2026): Let's take Friday at ten." in second.shown
    assert "the boiler rattles" in second.shown
    assert "Smith" not in second.shown
    assert first.marks == ["caller.remembered", "caller.kept"]
    assert threading.get_ident() not in store.threads, "the store is never waited for on the event loop"


async def test_another_caller_and_one_without_an_id_know_nothing() -> None:
    store = Store()
    first = OneCall(store, "call-1")
    await first.connect("ann")
    first.say(*SAID)
    await first.callers.keep()
    for caller_id in ("bob", None):
        other = OneCall(store, "call-2")
        await other.connect(caller_id)
        assert other.shown == ""
    nobody = OneCall(store, "call-3")
    await nobody.connect(None)
    nobody.say(*SAID)
    await nobody.callers.keep()
    assert set(store.kept) == {"ann"}


async def test_off_by_default() -> None:
    store = Store()
    call = OneCall(store, "call-1", MemorySection())
    await call.connect("ann")
    call.say(*SAID)
    await call.callers.keep()
    assert store.kept == {}
    assert not call.callers.keeps


async def test_a_store_that_fails_fails_no_call() -> None:
    store = Store()
    store.broken = True
    call = OneCall(store, "call-1")
    await call.connect("ann")
    call.say(*SAID)
    await call.callers.keep()
    assert call.marks == []


async def test_forget_me_erases_and_keeps_nothing_of_this_call_either() -> None:
    store = Store()
    first = OneCall(store, "call-1")
    await first.connect("ann")
    first.say(*SAID)
    await first.callers.keep()
    second = OneCall(store, "call-2")
    await second.connect("ann")
    second.say(*SAID)
    answer = json.loads(await second.callers.forget(""))
    assert answer["forgotten"] is True
    assert answer["erased"] == 4
    assert store.kept == {}
    assert second.shown == ""
    second.say(("My policy number is KX 7741.", "Thank you."))
    await second.callers.keep()
    assert store.kept == {}
    assert json.loads(await second.callers.tell(""))["kept_between_calls"] is False


async def test_what_is_remembered_is_told_and_fits_a_message() -> None:
    call = OneCall(Store(), "call-1")
    await call.connect("ann")
    call.say(*SAID)
    told = json.loads(await call.callers.tell(""))
    assert {"kind": "name", "about": "caller", "text": "Jennifer Smyth"} in told["facts"]
    assert told["kept_between_calls"] is True
    call.history.know_earlier(
        tuple(f"Line {number} of what was said, at some length." for number in range(2000))
    )
    assert len((await call.callers.tell("")).encode()) <= RPC_BYTES


def kept(kind: str, text: str, days: int, call_id: str = "c1") -> CallerFact:
    return CallerFact(kind, text, NOW - timedelta(days=days), call_id)


def test_the_newest_of_a_thing_counts_and_old_things_are_passed_over() -> None:
    facts = [
        kept("name:caller", "Jennifer Smith", 200),
        kept("phone:caller", "111 1111", 80, "c1"),
        kept("question", "Is the hall free?", 80, "c1"),
        kept("phone:caller", "222 2222", 20, "c2"),
        kept("question", "Is there a ramp?", 20, "c2"),
        kept("summary", "User: The boiler rattles.\nAgent: We come.", 20, "c2"),
    ]
    lines = earlier_lines(facts, NOW - timedelta(days=90), 500)
    assert lines == (
        "phone, caller: 222 2222",
        "question (4 November 2026): Is there a ramp?",
        "call of 4 November 2026: User: The boiler rattles. Agent: We come.",
    )
    assert earlier_lines(facts, NOW - timedelta(days=90), 10) == ("phone, caller: 222 2222",)


class TestWhoVouches:
    @pytest.mark.parametrize("given", ["ann", "+4930123456", "user/42", "a.b@c.example"])
    def test_the_signer_of_the_token(self, given: str) -> None:
        assert vouched_id({CALLER_ID: given}, may_change=False) == given

    def test_not_a_participant_who_may_change_attributes(self) -> None:
        assert vouched_id({CALLER_ID: "ann"}, may_change=True) is None

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\nb", "äöü\x00"])
    def test_nor_a_text_that_is_no_id(self, given: str) -> None:
        assert vouched_id({CALLER_ID: given}, may_change=False) is None


class TestRoom:
    """The room's client, without a room."""

    def client(self, identified: list[str]) -> RoomClient:
        client = RoomClient.__new__(RoomClient)
        ignore: Any = lambda *_: None  # noqa: E731
        client._hooks = RoomHooks(ignore, ignore, ignore, ignore, ignore, identified=identified.append)
        client._caller_identity, client._caller, client._lobby = None, None, None
        client._listened_to = False
        return client

    def participant(self, *, may_change: bool, identity: str = "caller-1") -> Any:
        return SimpleNamespace(
            identity=identity,
            kind=rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
            attributes={CALLER_ID: "ann"},
            permissions=SimpleNamespace(can_update_metadata=may_change),
        )

    async def test_the_caller_is_identified_once_when_they_come(self) -> None:
        identified: list[str] = []
        client = self.client(identified)
        client._on_joined(self.participant(may_change=False))
        client._on_joined(self.participant(may_change=False))
        client._on_joined(self.participant(may_change=False, identity="other"))
        assert identified == ["ann"]

    async def test_that_they_have_come_is_told_once(self) -> None:
        came = list[str]()
        client = self.client([])
        client._hooks = replace(client._hooks, entered=lambda: came.append("came"))
        client._on_joined(self.participant(may_change=False))
        client._on_joined(self.participant(may_change=False))
        assert came == ["came"]

    async def test_one_who_could_have_written_it_is_not(self) -> None:
        identified: list[str] = []
        self.client(identified)._on_joined(self.participant(may_change=True))
        assert identified == []

    async def test_only_the_caller_may_ask(self) -> None:
        client = self.client([])
        client._caller = "caller-1"
        client.inlet = Inlet(client.is_caller)

        async def answer(_: str) -> str:
            return "known"

        method = client._for_caller(answer)
        ask: Any = SimpleNamespace(caller_identity="caller-1", payload="")
        assert await method(ask) == "known"
        ask.caller_identity = "other"
        with pytest.raises(rtc.RpcError):
            await method(ask)


def test_the_methods_have_the_documented_names() -> None:
    assert (MEMORY_METHOD, FORGET_METHOD, CALLER_ID) == (
        "repartee.memory",
        "repartee.forget",
        "repartee.caller_id",
    )
