"""The database at a worker's start: what dead calls left comes in, old words go, audio made ahead is billed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from repartee.agent import load_agent
from repartee.cli.kept_calls import bill_of_no_call, erase_daily, kept_calls
from repartee.errors import ConfigError, StoreError
from repartee.providers import Ladder, Rung
from repartee.providers.prepared_voice import preparing_voice
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import CallRow, CallWriter, Store, TurnRow
from tests.billing import compare
from tests.conftest import FRONT_DESK

NOW = datetime.now(UTC)


@pytest.fixture
def settings(plain_settings: Settings, tmp_path: Path) -> Settings:
    return plain_settings.model_copy(update={"state_dir": tmp_path, "keep_days": 30})


def call(call_id: str, began: datetime) -> list[CallRow | TurnRow]:
    return [CallRow(call_id, "desk", "v", "room", began), TurnRow(call_id, 1, user_text="Hello")]


async def until(what: object) -> None:
    assert callable(what)
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(what):  # noqa: ASYNC110 - another thread announces nothing
            await asyncio.sleep(0.01)


async def test_files_go_with_the_words_of_their_calls(settings: Settings) -> None:
    store = Store.open(settings.store_url, spool=settings.spool_dir)
    store.write([*call("old", NOW - timedelta(days=31)), *call("new", NOW)])
    for folder, name in (
        (settings.timelines_dir, "{}.jsonl"),
        (settings.recordings_dir, "{}.flac"),
        (settings.recordings_dir, "{}.1234.jpg"),
    ):
        folder.mkdir(exist_ok=True)
        for call_id in ("old", "new", "unknown"):
            (folder / name.format(call_id)).write_text("{}\n", encoding="utf-8")
    async with kept_calls(settings, worker=True):
        await until(lambda: len(list(settings.recordings_dir.iterdir())) == 4)
        await until(lambda: len(list(settings.timelines_dir.iterdir())) == 2)
    left = {file.stem for file in settings.timelines_dir.iterdir()}
    assert left == {"new", "unknown"}, "the database may have been away while that call was made"
    store.close()


async def test_what_a_dead_call_left_is_there_and_old_words_are_not(settings: Settings) -> None:
    store = Store.open(settings.store_url, spool=settings.spool_dir)
    store.write(call("old", NOW - timedelta(days=31)))

    def away(_: object) -> None:
        raise OperationalError("", {}, Exception("away"))

    writer = CallWriter("dead", away, settings.spool_dir)
    for row in call("dead", NOW):
        writer.begin(row) if isinstance(row, CallRow) else writer.turn(row)
    assert not await asyncio.to_thread(writer.close, 5.0)
    async with kept_calls(settings, worker=True) as kept:
        assert [turn.user_text for turn in kept.store.turns("dead")] == ["Hello"]
        await until(lambda: store.turns("old")[0].user_text == "")
        assert store.turns("dead")[0].user_text == "Hello"
    store.close()


async def test_it_is_erased_again_every_day_whatever_the_database_says(settings: Settings) -> None:
    class Sometimes:
        asked = 0

        def purge(self, before: datetime) -> int:
            self.asked += 1
            assert timedelta(days=29) < NOW - before < timedelta(days=31)
            raise StoreError("away")

    store = Sometimes()
    erasing = asyncio.create_task(erase_daily(store, settings, every_s=0.001))  # type: ignore[arg-type]
    await until(lambda: store.asked > 2)
    erasing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await erasing


async def test_without_a_database_or_with_wrong_prices_nothing_starts(
    settings: Settings, tmp_path: Path
) -> None:
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://u:p@127.0.0.1:9/x")})
    with pytest.raises(StoreError, match="does not answer"):
        async with kept_calls(nowhere, worker=True):
            raise AssertionError
    (tmp_path / "prices.yaml").write_text("providers: 3", encoding="utf-8")
    wrong = settings.model_copy(update={"prices": tmp_path / "prices.yaml"})
    with pytest.raises(ConfigError, match=r"prices\.yaml"):
        async with kept_calls(wrong, worker=True):
            raise AssertionError


async def test_audio_made_ahead_is_on_the_bill_of_no_call(settings: Settings) -> None:
    agent = load_agent(FRONT_DESK)
    rungs = (Rung("stt", "openai", "m", ""), Rung("llm", "openai", "m", ""))
    ladder = Ladder(*rungs, Rung("tts", "openai", "gpt-4o-mini-tts", ""))
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        there = settings.model_copy(
            update={"openai_api_key": SecretStr("k"), "openai_base_url": f"{simulator.url}/v1"}
        )
        async with kept_calls(there, worker=True) as kept:
            async with (
                bill_of_no_call(kept, agent.name) as bill,
                preparing_voice(there, agent, ladder, ["Hello there.", "One moment."], bill),
            ):
                await until(lambda: len(list((there.state_dir / "voices").glob("*.pcm"))) == 2)
            rows = kept.store.usage_rows()
        compared = compare(rows, simulator.desk.bill)
    assert [(row.call_id, row.agent, row.usage.purpose) for row in rows] == [
        (None, agent.name, "warm_up")
    ] * 2
    assert not compared.problems
    assert compared.ours == compared.theirs > 0
