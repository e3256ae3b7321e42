"""What the commands about calls, costs and callers show, on a store that is filled."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from repartee.settings import Settings
from repartee.store import CallerFact, EventRow, Store, TurnRow
from repartee.store.journal import Journal
from repartee.store.rows import Record, encode
from tests.cli.conftest import Repartee
from tests.store.filling import START, fill

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REPARTEE_{name.upper()}", raising=False)
    monkeypatch.setenv("REPARTEE_STATE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    opened = Store.open(f"sqlite:///{tmp_path / 'repartee.db'}", spool=tmp_path / "spool")
    fill(opened)
    opened.remember_caller("ann", [CallerFact("name", "Ann Lee", START, "aa11")])
    yield opened
    opened.close()


def test_calls_are_listed(repartee: Repartee) -> None:
    head, *lines = repartee("calls").splitlines()
    assert head.split() == ["started", "agent", "caller", "length", "turns", "cost", "ended", "id"]
    assert [line.split()[-1] for line in lines] == ["cc33", "bb22", "aa11"]
    assert "ann       1:00      1    $0.0017  caller left  aa11" in lines[2]
    assert "$0.0004+?" in lines[1]
    assert "no end" in lines[0]
    assert repartee("calls", "--since", "2026-10-01", "--agent", "sales").count("\n") == 2
    assert repartee("calls", "--since", "1m") == "no such calls\n"


def test_whom_to_call_back_is_listed(repartee: Repartee, store: Store) -> None:
    assert repartee("calls", "--callbacks") == "no such calls\n"
    store.write([EventRow("bb22", 9000.0, "callback.wanted")])
    _, line = repartee("calls", "--callbacks").splitlines()
    assert line.split()[-1] == "bb22"


def test_calls_as_json(repartee: Repartee) -> None:
    listed = json.loads(repartee("calls", "--json", "--limit", "1"))
    assert [(entry["call_id"], entry["turn_count"], entry["cost_usd"]) for entry in listed] == [
        ("cc33", 0, "0.0001")
    ]


def test_a_call_is_shown_with_what_was_heard_and_what_was_not(repartee: Repartee, store: Store) -> None:
    store.write([EventRow("aa11", 2500.0, "tool", {"name": "[red]book"})])
    shown = repartee("calls", "show", "aa")
    assert "3 requests, $0.0017, of it $0.0002 for what was not heard" in shown
    assert "1  480 ms, $0.0017\n" in shown
    assert "caller  Are you open on Sunday?\n" in shown
    assert "agent   No, we are [not heard: closed on Sundays.]\n" in shown
    assert '2.5 s  tool  {"name": "[red]book"}' in shown
    assert "1  no answer, $0.0004 and 1 unknown price" in repartee("calls", "show", "bb22")
    detail = json.loads(repartee("calls", "show", "aa11", "--json"))
    assert [request["usage"]["quantities"] for request in detail["requests"]][2] == {"characters": "60"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calls", "show", "aa12"), "there is no call 'aa12'; did you mean 'aa11'?"),
        (("calls", "show", ""), "3 calls begin with ''; write more of the id: cc33, bb22, aa11"),
        (("calls", "--agent", "sale"), "there is no call of an agent 'sale'; did you mean 'sales'?"),
        (("calls", "--since", "yesterday"), "'yesterday' is no time; write it as 30m, 12h, 7d, 2026-09-30"),
        (("costs", "--by", "dya"), "--by cannot be 'dya'; did you mean 'day'?"),
        (("costs", "--csv", "nowhere/a.csv"), "nowhere/a.csv cannot be written: No such file or directory"),
        (("costs", "--plot", "nowhere/a.svg"), "nowhere/a.svg cannot be written"),
        (("costs", "--savings"), "there is no such agent file"),
        (("forget", "anna"), "nothing is kept of a caller 'anna'; did you mean 'ann'?"),
        (("export", "x"), "nothing is kept of a caller 'x'; there are: ann, bob"),
        (("export", "ann", "--out", "nowhere/a.json"), "nowhere/a.json cannot be written"),
    ],
)
def test_mistakes_are_told_with_a_way_out(repartee: Repartee, arguments: tuple[str, ...], said: str) -> None:
    assert said in repartee(*arguments, code=2)


def test_a_database_that_is_none(repartee: Repartee, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPARTEE_DATABASE_URL", "mysql://desk:hunter2@db/calls")
    said = repartee("calls", code=2)
    assert "'mysql' is no database for calls; use sqlite:///" in said
    monkeypatch.setenv("REPARTEE_DATABASE_URL", "postgresql://desk:hunter2@127.0.0.1:9/calls")
    said = repartee("costs", code=7)
    assert "does not answer" in said
    assert "hunter2" not in said


def test_costs_and_their_total(repartee: Repartee) -> None:
    shown = repartee("costs")
    assert "2026-09-30  front-desk  llm    openai:gpt-4.1-mini" in shown
    assert "2  3,000 + 50 tokens" in shown
    assert "$0.0008     25%" in shown
    (total,) = [line for line in shown.splitlines() if line.startswith("all ")]
    assert total.split()[1] == "6"
    assert "$0.0022 + 1 UNKNOWN      9%  $0.0006 + ?" in total


def test_what_the_voice_gate_saved_is_in_the_table_the_file_and_the_drawing(
    repartee: Repartee, tmp_path: Path
) -> None:
    files = ("--csv", str(tmp_path / "costs.csv"), "--plot", str(tmp_path / "costs.svg"))
    shown = repartee("costs", "--by", "stage", "--agent", "sales", *files)
    (line,) = [line for line in shown.splitlines() if line.startswith("stt ")]
    # 8 of 120 seconds were sent, for 0.0004: the other 112 would have been fourteen times as much.
    assert "0.1 of 2.0 min" in line
    assert line.split()[-1] == "$0.0056"
    (voice,) = [line for line in repartee("costs", "--by", "stage").splitlines() if line.startswith("tts ")]
    assert voice.split()[-1] == "-"
    rows = {row["stage"]: row for row in csv.DictReader((tmp_path / "costs.csv").open())}
    assert (rows["stt"]["gate_saved_usd"], rows["llm"]["gate_saved_usd"]) == ("0.0056", "")
    drawing = (tmp_path / "costs.svg").read_text()
    assert "stt silence that was not sent: 0.005600000" in drawing
    assert "stroke-dasharray" in drawing


def test_an_unknown_price_is_said_loudly_and_never_a_zero(repartee: Repartee) -> None:
    shown = repartee("costs", "--by", "provider")
    (line,) = [line for line in shown.splitlines() if line.startswith("openai:gpt-9 ")]
    assert line.split()[-5:] == ["1", "UNKNOWN", "-", "-", "-"]
    assert "in no sum above, because their price is not known: 1 request\n  openai:gpt-9  1 request" in shown
    assert "UNKNOWN" not in repartee("costs", "--by", "provider", "--agent", "front-desk")


def test_costs_as_a_file(repartee: Repartee, tmp_path: Path) -> None:
    repartee("costs", "--by", "call", "--by", "stage", "--csv", str(tmp_path / "costs.csv"))
    rows = list(csv.DictReader((tmp_path / "costs.csv").open()))
    assert [(row["call"], row["stage"]) for row in rows] == [
        ("aa11", "llm"),
        ("aa11", "tts"),
        ("bb22", "llm"),
        ("bb22", "stt"),
        ("cc33", "llm"),
    ]
    assert (rows[0]["cost_usd"], rows[0]["wasted_usd"], rows[0]["usd_per_minute"]) == (
        "0.0008",
        "0.0002",
        "0.0008",
    )
    assert (rows[2]["cost_usd"], rows[2]["unknown_prices"], rows[2]["usd_per_minute"]) == ("", "1", "")
    assert rows[3]["audio_s"] == "8"


def test_costs_as_a_drawing(repartee: Repartee, tmp_path: Path) -> None:
    repartee("costs", "--plot", str(tmp_path / "costs.svg"))
    drawing = ElementTree.parse(tmp_path / "costs.svg")  # noqa: S314 - we wrote it
    svg = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in drawing.iter(f"{svg}text")]
    assert {
        "Cost by day, USD; pale: nobody heard it",
        "2026-09-30",
        "2026-10-01",
        "llm",
        "tts",
        "stt",
    } <= set(texts)
    shown = [
        (title.text, float(bar.get("height", "nan")))
        for bar in drawing.iter(f"{svg}rect")
        for title in bar.iter(f"{svg}title")
    ]
    heights = dict(shown)
    # The same scale for all: 0.0009 of voice is one and a half times 0.0006 of the model.
    assert heights["2026-09-30 tts: 0.000900000"] == pytest.approx(
        1.5 * heights["2026-09-30 llm: 0.000600000"], rel=0.01
    )
    assert heights["2026-09-30 llm: 0.000200000"] > 0


def test_a_caller_is_forgotten_after_a_yes(
    repartee: Repartee, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert "Aborted" in repartee("forget", "ann", code=1)
    assert store.caller_facts("ann")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = repartee("forget", "ann")
    assert "Erase 1 fact about 'ann' and what was said in 1 call?" in said
    assert "forgot 'ann': 4 rows erased" in said
    assert store.caller_facts("ann") == []
    assert "no words are kept" in repartee("calls", "show", "aa11")
    assert "nothing is kept of a caller 'ann'" in repartee("export", "ann", code=2)


def test_what_a_crashed_call_left_behind_is_forgotten_too(
    repartee: Repartee, store: Store, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "spool")
    journal.append([encode(Record(TurnRow("aa11", 2, "my number is 555"), 10))], sync=False)
    journal.close()
    repartee("forget", "ann", "--yes")
    assert [turn.user_text for turn in store.turns("aa11")] == ["", "", ""]
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_caller_is_exported(repartee: Repartee, tmp_path: Path) -> None:
    exported = json.loads(repartee("export", "ann"))
    assert exported["facts"][0]["text"] == "Ann Lee"
    assert (
        repartee("export", "ann", "--out", str(tmp_path / "ann.json")) == f"wrote {tmp_path / 'ann.json'}\n"
    )
    assert json.loads((tmp_path / "ann.json").read_text()) == exported


def test_old_words_are_erased(repartee: Repartee, store: Store) -> None:
    store.write([TurnRow("new", 1, "hello")])
    said = repartee("calls", "purge")
    assert "older than 30 days:" in said
    assert store.turns("new")[0].user_text == "hello"
    assert repartee("calls", "purge", "--keep-days", "36500") == "older than 36500 days: 0 rows erased\n"


def test_an_empty_store(tmp_path: Path, repartee: Repartee, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPARTEE_STATE_DIR", str(tmp_path / "new"))
    assert repartee("calls") == "no calls yet\n"
    assert repartee("costs") == "nothing was paid for yet\n"
