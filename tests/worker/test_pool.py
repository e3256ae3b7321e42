"""Session processes: warm before they are needed, gone when they are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from repartee.errors import CapacityError
from repartee.settings import Settings
from repartee.worker.pool import Child, Pool
from tests.conftest import FRONT_DESK


async def test_processes_are_ready_before_a_call_and_gone_after_close(plain_settings: Settings) -> None:
    pool = Pool(plain_settings.model_copy(update={"warm_processes": 2}), FRONT_DESK, lambda _: None)
    try:
        await pool.start()
        children = list(pool._idle)
        assert len(children) == 2
        assert all(child.ready.done() and child.process.is_alive() for child in children)
    finally:
        await pool.close()
    assert all(child.exited.done() for child in children)


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
    gone: list[Child] = []
    pool = Pool(plain_settings, FRONT_DESK, gone.append)
    starting = asyncio.create_task(pool.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await pool.close()
    assert not pool._idle
    assert not pool.live
