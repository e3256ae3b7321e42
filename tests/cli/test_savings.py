"""`repartee costs --savings`: calls of a store, held again on the simulator."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from repartee.cli.savings import asked
from repartee.settings import Settings
from repartee.store import CallEnd, EventRow, LedgerRow, Row, Store, TurnRow
from tests.cli.conftest import Repartee
from tests.store.filling import START, call, ledger

FILE = """
name: Desk
persona: You are the desk.
greeting: Hello
cache: {by_meaning: false}
routing: {small: 'openai:gpt-4.1-nano'}
answers: [{id: hours, ask: ['When are you open?'], say: From eight to six.}]
"""
SAID = {
    "When are you open?": "From eight to six.",
    "Is there a playground?": "Yes, there is one in the yard.",
    "What is the difference between the two?": "The one is longer than the other.",
}
pytestmark = pytest.mark.usefixtures("store")


def paid(request_id: str, stage: str, model: str, cost: str | None, **more: Any) -> LedgerRow:
    provider, name = model.split(":")
    return ledger(request_id, "one", cost, agent="Desk", stage=stage, provider=provider, model=name, **more)


def kept(*bill: LedgerRow) -> list[Row]:
    turns = [
        TurnRow("one", number, text, answer, started_at_ms=number * 5000.0)
        for number, (text, answer) in enumerate(SAID.items(), 1)
    ]
    return [
        call("one", agent="Desk"),
        *turns,
        CallEnd("one", "caller_left", START + timedelta(minutes=1)),
        *bill,
    ]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REPARTEE_{name.upper()}", raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "desk.yaml").write_text(FILE)
    monkeypatch.setenv("REPARTEE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("REPARTEE_AGENT", str(tmp_path / "desk.yaml"))
    # No request may leave: whoever is asked in earnest is not there.
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.chdir(tmp_path)
    opened = Store.open(f"sqlite:///{tmp_path / 'repartee.db'}", spool=tmp_path / "spool")
    yield opened
    opened.close()


def test_the_same_calls_are_held_with_and_without_what_saves(
    repartee: Repartee, store: Store, tmp_path: Path
) -> None:
    store.write(
        kept(
            paid("1", "llm", "openai:gpt-4.1-mini", "0.001"),
            paid("2", "llm", "openai:gpt-4.1-nano", "0.0001"),
            paid("3", "tts", "openai:tts-1", "0.001", quantities={"characters": Decimal(60)}),
            paid("4", "stt", "openai:whisper-1", "0.002", quantities={"audio_s": Decimal(20)}),
        )
    )
    shown = repartee("costs", "--savings", "--csv", "s.csv", "--plot", "s.svg")
    assert "1 call of Desk, 3 turns, held again:" in shown
    rows = {row["what"]: row for row in csv.DictReader((tmp_path / "s.csv").open())}
    plain, cached = rows["answered with nothing saved"], rows["answered with the cache"]
    saving, sent = rows["answered with cache and routing"], rows["heard, what the voice gate sent"]
    assert [line["model_requests"] for line in (plain, cached, saving)] == ["3", "2", "2"]
    assert int(plain["characters"]) == sum(len(answer) for answer in SAID.values())
    assert int(plain["characters"]) - int(cached["characters"]) == len("From eight to six.")
    assert Decimal(plain["cost_usd"]) > Decimal(cached["cost_usd"]) > Decimal(saving["cost_usd"]) > 0
    assert (sent["audio_s"], sent["cost_usd"], sent["saved"]) == ("20.000", "0.002000000", "0.6667")
    together = rows["together, with everything saved"]
    assert Decimal(together["cost_usd"]) == Decimal(saving["cost_usd"]) + Decimal("0.002")
    assert "once for each machine and voice, before the first call: " in shown
    assert "cache and routing tts" in (tmp_path / "s.svg").read_text()


@pytest.mark.parametrize(
    ("rows", "arguments", "said"),
    [
        ([], (), "no call of 'Desk' there has words to hold it again"),
        ([call("x", agent="Sales")], (), "hold it again; there are: Sales"),
        ([call("x", agent="Sales")], ("--agent", "Sales"), "is the file of 'Desk', not of 'Sales'"),
        (kept(), (), "the language model of these calls was your own: nothing was paid"),
        (
            kept(paid("1", "llm", "openai:gpt-4.1-mini", "0.001")),
            (),
            "the voice of these calls was your own: nothing was paid",
        ),
    ],
)
def test_what_cannot_be_held_again_is_said(
    repartee: Repartee, store: Store, rows: list[Row], arguments: tuple[str, ...], said: str
) -> None:
    store.write(rows)
    assert said in repartee("costs", "--savings", *arguments, code=2)


def test_a_turn_in_which_something_was_arranged_is_told() -> None:
    turns = [
        TurnRow("one", 0, heard_text="Hello"),
        TurnRow("one", 1, "I want to book.", "On which day?", started_at_ms=1000.0),
        TurnRow("one", 2, "Is there parking?", "Yes.", "Behind the house.", started_at_ms=5000.0),
        TurnRow("one", 3, "Mhm", started_at_ms=9000.0),
    ]
    event = EventRow("one", 6000.0, "reply.tier", {"tier": "large", "why": "open goal", "not_cached": ""})
    found = asked(turns, [event])
    assert [(turn.text, turn.answer, turn.standing.open_goal) for turn in found] == [
        ("I want to book.", "On which day?", False),
        ("Is there parking?", "Yes. Behind the house.", True),
    ]
