"""Two agents that talk to each other: bounded by turns, money and a guard against circles; and a hundred times."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from repartee.agent import Agent, load_agent
from repartee.session.meeting import LoopGuard, MeetingLimits, _Minutes, meet, meet_aloud
from repartee.session.spoken_call import Line
from repartee.session.text_call import TextCall
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.store import Store

MODELS = 'models: {stt: "openai:gpt-4o-mini-transcribe", llm: "openai:gpt-4.1-mini", tts: "openai:gpt-4o-mini-tts"}'
SCRIPT = """
- {when: how can I help, as: a customer, say: "Do you have rye?"}
- {when: rye, as: the baker, say: "Yes, two are left."}
- {when: left, as: a customer, say: "Thank you very much."}
- {when: thank you, as: the baker, say: "You are welcome."}
- {when: welcome, as: a customer, say: "Thank you very much."}
"""


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    for name, persona, greeting in (
        ("baker", "You are the baker.", "Bakery, how can I help?"),
        ("customer", "You are a customer.", "Hello?"),
    ):
        text = f"name: {name}\npersona: {persona}\ngreeting: {greeting}\n{MODELS}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    async with Simulator.start(SimulatorConfig(profile="instant", script=script)) as simulator:
        yield Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
            update={
                "openai_api_key": SecretStr("k"),
                "openai_base_url": f"{simulator.url}/v1",
                "state_dir": tmp_path,
                "database_url": SecretStr(f"sqlite:///{tmp_path / 'calls.db'}"),
            }
        )


def pair(settings: Settings) -> tuple[Agent, Agent]:
    return load_agent(settings.state_dir / "baker.yaml"), load_agent(settings.state_dir / "customer.yaml")


async def test_they_talk_until_they_go_round_in_a_circle(settings: Settings) -> None:
    heard: list[str] = []
    meeting = await meet(
        *pair(settings), settings, on_said=lambda name, text: heard.append(f"{name}: {text}")
    )
    assert heard[:4] == [
        "baker: Bakery, how can I help?",
        "customer: Do you have rye?",
        "baker: Yes, two are left.",
        "customer: Thank you very much.",
    ]
    assert meeting.end == "loop"
    assert heard.count("customer: Thank you very much.") == 3
    store = Store.open(settings.store_url)
    called, calling = meeting.calls
    assert [turn.user_text for turn in store.turns(called)][:2] == [
        "Do you have rye?",
        "Thank you very much.",
    ]
    assert store.turns(calling)[0].user_text == "Bakery, how can I help?"
    bills = [row.cost or Decimal(0) for call in meeting.calls for row in store.usage_rows(call_id=call)]
    assert sum(bills) == meeting.cost > 0
    store.close()


@pytest.mark.parametrize(
    ("limits", "end", "most"),
    [(MeetingLimits(turns=3), "turns", 3), (MeetingLimits(usd=Decimal("0.0000001")), "budget", 2)],
)
async def test_it_is_bounded(settings: Settings, limits: MeetingLimits, end: str, most: int) -> None:
    meeting = await meet(*pair(settings), settings, limits)
    assert (meeting.end, len(meeting.said)) == (end, most)


def test_signs_do_not_hide_a_circle() -> None:
    guard = LoopGuard()
    assert [guard.repeats("a", text) for text in ("Thank you.", "thank you!", "Thank you")] == [
        False,
        False,
        True,
    ]
    assert not guard.repeats("b", "Thank you."), "the other one may say it too"


async def test_what_one_says_the_other_hears_and_then_silence() -> None:
    line, heard, enough = Line(), [], asyncio.Event()

    async def hear(pcm: bytes) -> None:
        heard.append(np.frombuffer(pcm, np.int16))
        if len(heard) == 12:
            enough.set()

    running = asyncio.create_task(line.run(hear))
    await line.write(np.full(24_000 // 10, 9000, np.int16).tobytes())
    line.clear()
    await line.write(np.full(24_000 // 10, -9000, np.int16).tobytes())
    await asyncio.wait_for(line.drain(), 10)
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not any((pcm > 1000).any() for pcm in heard), "what was dropped is not heard"
    assert 4 <= sum((pcm < -1000).any() for pcm in heard) <= 7, "a tenth of a second, in pieces of 20 ms"
    assert np.abs(heard[-1]).max() <= 1, "but for the dither of a change of rates"


async def test_two_who_are_stopped_while_they_speak_leave_nothing_behind(settings: Settings) -> None:
    heard = asyncio.Event()
    meeting = asyncio.create_task(
        meet_aloud(*pair(settings), settings, None, on_said=lambda *_: heard.set()), name="meeting"
    )
    await asyncio.wait_for(heard.wait(), 20)
    meeting.cancel()
    await asyncio.gather(meeting, return_exceptions=True)
    left = {task.get_name() for task in asyncio.all_tasks()}
    assert not left & {"line", "line back", "hung up", "meeting ended", "roomless call"}
    store = Store.open(settings.store_url)
    called = next(call for call in store.calls() if store.turns(call.call.call_id))
    assert store.turns(called.call.call_id)[0].heard_text == "Bakery, how can I help?"
    assert all(call.call.ended_at for call in store.calls())
    store.close()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_hundred_meetings_leave_nothing_behind(settings: Settings) -> None:
    limits = MeetingLimits(turns=6)
    counts: list[tuple[int, int]] = []
    for number in range(100):
        await meet(*pair(settings), settings, limits)
        if number >= 10:
            gc.collect()
            counts.append((len(asyncio.all_tasks()), len(gc.get_objects()) // 1000))
    tasks, objects = zip(*counts, strict=True)
    assert max(tasks) - min(tasks) <= 2
    assert objects[-1] - objects[0] <= 20, "thousands of objects more after ninety meetings"


async def test_a_call_that_is_called_off_as_it_begins_ends(settings: Settings) -> None:
    """Who never entered it does not leave it either: it would talk on by itself."""
    spec, _ = _Minutes(pair(settings), MeetingLimits(), lambda *_: None).specs(settings)
    call = TextCall(spec, settings)
    entering = asyncio.create_task(call.__aenter__())
    async with asyncio.timeout(30):
        while call._running is None:  # noqa: ASYNC110 - it announces nothing before it is connected
            await asyncio.sleep(0)
    entering.cancel()
    assert await asyncio.gather(entering, return_exceptions=True)
    assert call.over
    store = Store.open(settings.store_url)
    assert all(one.call.ended_at for one in store.calls()), "its books are closed"
    store.close()
