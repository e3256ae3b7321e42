"""Every finding that can be provoked here is found, with a fix."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console

from repartee.agent import Agent, load_agent
from repartee.cli.doctor import Finding, _skew, doctor
from repartee.providers.keys import Question
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig


async def findings(settings: Settings) -> tuple[bool, dict[str, list[Finding]]]:
    said = io.StringIO()
    good = await doctor(settings, Console(file=said, width=400), as_json=True)
    found: dict[str, list[Finding]] = {}
    for item in json.loads(said.getvalue()):
        found.setdefault(item["what"], []).append(Finding(**item))
    return good, found


def with_(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="instant")) as started:
        yield started


async def test_a_machine_that_is_well(plain_settings: Settings) -> None:
    good, found = await findings(plain_settings)
    assert {"python", "machine", "agent", "disk", "database", "prices", "udp", "keys"} <= set(found)
    assert all(finding.state != "wrong" for of in found.values() for finding in of), found
    assert good
    assert found["hearing"][0].fix == "export OPENAI_API_KEY=..."


async def test_the_agent_file_is_read_once(plain_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def load(path: Path) -> Agent:
        read.append(path)
        return load_agent(path)

    monkeypatch.setattr("repartee.cli.doctor.load_agent", load)
    await findings(plain_settings)
    assert read == [plain_settings.agent]


async def test_what_people_read(plain_settings: Settings) -> None:
    said = io.StringIO()
    await doctor(with_(plain_settings, livekit_url="ws://127.0.0.1:9"), Console(file=said, width=400))
    assert "WRONG livekit    ws://127.0.0.1:9 is set, its key is not" in said.getvalue()
    assert "set LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in said.getvalue()


async def test_a_livekit_that_does_not_answer(plain_settings: Settings) -> None:
    access = {
        "livekit_url": "ws://127.0.0.1:9",
        "livekit_api_key": "k",
        "livekit_api_secret": SecretStr("s" * 32),
    }
    good, found = await findings(with_(plain_settings, **access))
    assert not good
    assert "no LiveKit server answers at ws://127.0.0.1:9" in found["livekit"][0].says


async def test_an_agent_file_that_is_not_there(plain_settings: Settings, tmp_path: Path) -> None:
    good, found = await findings(with_(plain_settings, agent=tmp_path / "none.yaml"))
    assert not good
    assert found["agent"][0].state == "wrong"
    assert found["python"][0].state == "ok", "the rest is looked at all the same"
    wrong = [finding for of in found.values() for finding in of if finding.state == "wrong"]
    assert len(wrong) == 1, "and the file's mistake is told once"


async def test_a_database_that_does_not_answer(plain_settings: Settings) -> None:
    url = SecretStr("postgresql://nobody:secret@127.0.0.1:9/none")
    good, found = await findings(with_(plain_settings, database_url=url))
    assert not good
    assert found["database"][0].state == "wrong"
    assert "secret" not in found["database"][0].says


async def test_a_disk_that_cannot_be_written_to(plain_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, found = await findings(with_(plain_settings, state_dir=tmp_path / "file" / "state"))
    assert found["disk"][0].state == "wrong"
    assert "REPARTEE_STATE_DIR" in found["disk"][0].fix


async def test_keys_are_asked(plain_settings: Settings, simulator: Simulator) -> None:
    keys = {
        name.lower(): SecretStr(value) if name.endswith("_KEY") else value
        for name, value in simulator.environment.items()
    }
    keys |= {"elevenlabs_api_key": SecretStr("one"), "cartesia_api_key": SecretStr("two")}
    _, found = await findings(with_(plain_settings, **keys))
    taken = {finding.says.split()[0]: finding.state for finding in found["keys"]}
    assert taken == dict.fromkeys(("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "CARTESIA_API_KEY"), "ok")


async def test_a_vendor_that_is_not_reached(plain_settings: Settings) -> None:
    key = {"openai_api_key": SecretStr("sk-nothing"), "openai_base_url": "http://127.0.0.1:9/v1"}
    good, found = await findings(with_(plain_settings, **key))
    assert not good
    assert "127.0.0.1 does not answer (ConnectError)" in found["keys"][0].says


async def test_a_taken_port_is_a_note(plain_settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        good, found = await findings(with_(plain_settings, port=taken.getsockname()[1]))
    assert good
    assert "set REPARTEE_PORT" in found["port"][0].says


@pytest.mark.parametrize(("off_s", "words"), [(-120, "ahead of"), (120, "behind")])
def test_a_wrong_clock(off_s: float, words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=off_s), usegmt=True)
    (finding,) = _skew(httpx.Response(200, headers={"date": date}), "LiveKit")
    assert words in finding.says
    assert finding.state == "wrong"


def test_a_right_clock() -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    assert _skew(httpx.Response(200, headers={"date": date}), "LiveKit") == []
    assert _skew(httpx.Response(200), "LiveKit") == []


def test_a_key_is_refused_only_when_it_is_not_known() -> None:
    assert Question.refused(httpx.Response(401, text="invalid api key"))
    assert not Question.refused(httpx.Response(401, text='{"status": "missing_permissions"}'))
    assert not Question.refused(httpx.Response(500))
