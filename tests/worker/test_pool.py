"""Session processes: warm before they are needed, shared out among calls, gone when they are not wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from repartee.errors import CapacityError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker.pool import MAX_GROWN_MB, Pool
from repartee.worker.process import Call, Child
from tests.conftest import FRONT_DESK

SHORT_S = 30.0


def spec_of(call_id: str, folder: Path) -> SessionSpec:
    """A call into a room that nobody answers at: it lasts until its attempts to connect are used up."""
    return SessionSpec(
        call_id, "room", "ws://127.0.0.1:9", "t", "agent", FRONT_DESK, None, folder, "http://127.0.0.1:9"
    )


async def test_processes_are_ready_before_a_call_and_gone_after_close(plain_settings: Settings) -> None:
    settings = plain_settings.model_copy(update={"session_processes": 2, "warm_processes": 1})
    pool = Pool(settings, FRONT_DESK, lambda _: None)
    try:
        await pool.start()
        children = list(pool._children)
        assert len(children) == 3, "two for calls, a spare one for calls whose process dies"
        assert all(child.ready.done() and child.process.is_alive() for child in children)
    finally:
        await pool.close()
    assert all(child.exited.done() for child in children)


async def test_calls_are_shared_out_and_the_spare_process_is_kept(plain_settings: Settings) -> None:
    update = {"session_processes": 2, "warm_processes": 1, "max_calls": 4}
    settings = plain_settings.model_copy(update=update)
    pool = Pool(settings, FRONT_DESK, lambda _: None)
    try:
        await pool.start()
        for number in range(4):
            await pool.take(spec_of(f"call-{number}", settings.state_dir))
        assert [child.served for child in pool._children] == [2, 2, 0]
        await pool.take(spec_of("one more", settings.state_dir))
        assert [child.served for child in pool._children] == [2, 2, 1]
    finally:
        await pool.close()


async def test_a_killed_process_loses_its_calls_only_and_is_replaced(plain_settings: Settings) -> None:
    over: list[Call] = []
    settings = plain_settings.model_copy(update={"session_processes": 2, "warm_processes": 0})
    pool = Pool(settings, FRONT_DESK, over.append)
    try:
        await pool.start()
        one = await pool.take(spec_of("one", settings.state_dir))
        two = await pool.take(spec_of("two", settings.state_dir))
        assert one.child is not two.child
        pid = one.child.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(one.child.exited, SHORT_S)
        assert [(call.spec.call_id, call.outcome, call.exit_code) for call in over] == [("one", None, -9)]
        assert set(pool.live) == {"two"}
        async with asyncio.timeout(SHORT_S):
            await asyncio.wait([task for task in pool._tasks if task.get_name() == f"watch {pid}"])
            await asyncio.gather(*pool._starting)
            again = await pool.take(replace(one.spec, takeovers=1))
        assert len(pool._children) == 2
        assert again.child is not one.child
    finally:
        await pool.close()


async def test_a_process_that_hangs_is_killed(plain_settings: Settings) -> None:
    over: list[Call] = []
    settings = plain_settings.model_copy(update={"session_processes": 1, "warm_processes": 0})
    pool = Pool(settings, FRONT_DESK, over.append)
    try:
        await pool.start()
        call = await pool.take(spec_of("one", settings.state_dir))
        pid = call.child.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert await asyncio.wait_for(call.child.exited, SHORT_S) == -signal.SIGKILL
        assert [call.outcome for call in over] == [None]
    finally:
        await pool.close()


async def test_a_call_that_fails_harms_no_other_of_its_process(plain_settings: Settings) -> None:
    over: asyncio.Queue[Call] = asyncio.Queue()
    settings = plain_settings.model_copy(update={"session_processes": 1, "warm_processes": 0})
    pool = Pool(settings, FRONT_DESK, over.put_nowait)
    try:
        await pool.start()
        bad = replace(spec_of("bad", settings.state_dir), agent_path=settings.state_dir / "none.yaml")
        call = await pool.take(bad)
        assert await asyncio.wait_for(over.get(), SHORT_S) is call
        assert call.outcome == "failed"
        assert "none.yaml" in call.failure
        assert call.child.process.is_alive()
    finally:
        await pool.close()


async def test_with_a_process_for_each_call_it_ends_with_the_call(plain_settings: Settings) -> None:
    over: list[Call] = []
    settings = plain_settings.model_copy(update={"calls_per_process": 1})
    pool = Pool(settings, FRONT_DESK, over.append)
    try:
        await pool.start()
        bad = replace(spec_of("bad", settings.state_dir), agent_path=settings.state_dir / "none.yaml")
        call = await pool.take(bad)
        assert await asyncio.wait_for(call.child.exited, SHORT_S) == 0
        assert [call.outcome for call in over] == ["failed"]
    finally:
        await pool.close()


async def test_an_agent_file_that_is_wrong_is_said(plain_settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: A\n")
    pool = Pool(plain_settings, file, lambda _: None)
    try:
        with pytest.raises(CapacityError, match="'greeting' is missing"):
            await pool.start()
    finally:
        await pool.close()


async def test_a_start_that_is_called_off_leaves_nothing(plain_settings: Settings) -> None:
    gone: list[Call] = []
    pool = Pool(plain_settings, FRONT_DESK, gone.append)
    starting = asyncio.create_task(pool.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await pool.close()
    assert not pool._children
    assert not pool.live


async def test_a_process_that_has_grown_takes_one_more_call_and_is_replaced(plain_settings: Settings) -> None:
    over: list[Call] = []
    settings = plain_settings.model_copy(update={"session_processes": 1, "warm_processes": 0})
    pool = Pool(settings, FRONT_DESK, over.append)
    bad = replace(spec_of("bad", settings.state_dir), agent_path=settings.state_dir / "none.yaml")
    try:
        await pool.start()
        (child,) = pool._children
        child._began_mb = began_mb = 100.0
        child._rests(began_mb + MAX_GROWN_MB - 1)
        assert not (await pool.take(bad)).child.retiring
        child._rests(began_mb + MAX_GROWN_MB)
        assert (await pool.take(replace(bad, call_id="worse"))).child is child
        assert child.retiring
        assert await asyncio.wait_for(child.exited, SHORT_S) == 0
        assert [call.outcome for call in over] == ["failed", "failed"]
    finally:
        await pool.close()


async def test_a_process_without_calls_tells_how_much_memory_it_holds(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Queue[float | None] = asyncio.Queue()
    monkeypatch.setattr(Child, "_rests", lambda _, mb: told.put_nowait(mb))
    pool = Pool(plain_settings.model_copy(update={"session_processes": 1}), FRONT_DESK, lambda _: None)
    try:
        await pool.start()
        at_first_mb = told.get_nowait()  # before any call can have left something behind
        for rests_mb in (at_first_mb, await asyncio.wait_for(told.get(), SHORT_S)):
            if sys.platform == "linux":
                assert rests_mb is not None
                assert 50 < rests_mb < 2000
    finally:
        await pool.close()
