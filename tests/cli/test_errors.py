"""Bad input at the command line: one sentence, a way out, a non-zero exit."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from repartee.cli.instance import own_environment
from repartee.cli.up import _check_state_dir, _serve_http
from repartee.errors import ConfigError
from repartee.settings import Settings
from tests.conftest import FRONT_DESK


def repartee(*arguments: str, folder: Path, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "repartee.cli", *arguments],
        env=own_environment(FRONT_DESK, folder / "state", variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        yield str(probe.getsockname()[1])


def test_a_taken_port(tmp_path: Path, taken: str) -> None:
    code, said = repartee("up", folder=tmp_path, REPARTEE_PORT=taken)
    assert code == 2
    assert f"port {taken} for the page is taken; stop what uses it, or set REPARTEE_PORT" in said


async def test_a_port_that_is_taken_in_the_meantime(taken: str, plain_settings: Settings) -> None:
    settings = plain_settings.model_copy(update={"host": "127.0.0.1", "port": int(taken)})
    with pytest.raises(ConfigError, match=f"port {taken} for the page is taken; stop what uses it"):
        await _serve_http(settings, FastAPI(), asyncio.Event())


def test_a_taken_livekit_port(tmp_path: Path, taken: str) -> None:
    code, said = repartee("up", folder=tmp_path, REPARTEE_LIVEKIT_PORT=taken)
    assert code == 2
    assert "set REPARTEE_LIVEKIT_PORT to another port" in said


def test_no_livekit_server(tmp_path: Path) -> None:
    environment = {"PATH": os.path.dirname(sys.executable), "REPARTEE_CACHE_DIR": str(tmp_path)}  # noqa: PTH120
    code, said = repartee("up", folder=tmp_path, **environment)
    assert code == 2
    assert "livekit-server is not installed; run `make setup`, or set LIVEKIT_URL" in said


def test_a_livekit_server_that_is_not_there(tmp_path: Path) -> None:
    away = {"LIVEKIT_URL": "ws://127.0.0.1:9", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s" * 40}
    code, said = repartee("up", folder=tmp_path, **away)
    assert code == 4
    assert "no LiveKit server answers at ws://127.0.0.1:9; check LIVEKIT_URL" in said


def test_a_missing_agent_file(tmp_path: Path) -> None:
    code, said = repartee("up", "--agent", "nobody.yaml", folder=tmp_path)
    assert code == 2
    assert "nobody.yaml: there is no such agent file" in said


def test_a_number_that_is_none(tmp_path: Path) -> None:
    code, said = repartee("up", folder=tmp_path, REPARTEE_MAX_CALLS="many")
    assert code == 2
    assert "REPARTEE_MAX_CALLS" in said.upper()


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = repartee("up", folder=tmp_path, REPARTEE_STATE_DIR=str(tmp_path / "file" / "state"))
    assert code == 2
    assert "cannot be made" in said
    assert "set REPARTEE_STATE_DIR" in said


def test_a_full_disk(plain_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5 * 2**20})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(ConfigError, match="has 5 MB left, 100 are needed"):
        _check_state_dir(plain_settings)


def test_a_call_without_a_server(tmp_path: Path) -> None:
    import soundfile as sf

    sf.write(tmp_path / "a.wav", [0.0] * 100, 16_000)
    code, said = repartee("call", "--url", "http://127.0.0.1:9", "a.wav", folder=tmp_path)
    assert code == 4
    assert "no server answers at http://127.0.0.1:9; start one with `make run`" in said


def test_a_recording_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("hello")
    code, said = repartee("call", "a.wav", folder=tmp_path)
    assert code == 2
    assert "a.wav is no sound file that can be read" in said


def test_serve_needs_a_livekit_server(tmp_path: Path) -> None:
    code, said = repartee("serve", folder=tmp_path)
    assert code == 2
    assert "set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["call", "a.wav"], "there is no file a.wav"),
        (["call"], "nothing to say: give at least one recording"),
        (["say", " "], "nothing to say: give a text"),
        (["calls", "show", "no-such-call"], "there is no call 'no-such-call'"),
        (["models", "pull", "whisper-smal"], "did you mean 'whisper-small'?"),
        (["client", "flutr"], "did you mean 'flutter'?"),
        (["clal"], "Did you mean 'call', 'calls'?"),
        (["up", "--port", "99999"], "less than or equal to 65535"),
        (["simulate", "--profile", "fsat"], "there is no profile 'fsat'; did you mean 'fast'?"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    code, text = repartee(*words, folder=tmp_path)
    assert code == 2
    assert said in text


def test_check_tells_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: A\npersna: x\n")
    code, said = repartee("check", "a.yaml", folder=tmp_path)
    assert code == 2
    assert "a.yaml:2: unknown key 'persna'; did you mean 'persona'?" in said


@pytest.mark.parametrize("command", [["simulate", "--faults"], ["faults"]])
def test_a_plan_of_faults_that_is_wrong(tmp_path: Path, command: list[str]) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("faults:\n  - stal: {for_s: 1}\n")
    code, said = repartee(*command, str(plan), folder=tmp_path)
    assert code == 2
    assert f"{plan}:2: there is no 'stal' in a fault; did you mean 'stall'?" in said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"REPARTEE_API_KEYS": "rpt_a_key_in_the_wrong_place"},
            "REPARTEE_API_KEYS: entry 1 is not NAME=SHA256",
        ),
        ({"REPARTEE_JWT_SECRET": "x" * 40}, "REPARTEE_JWT_AUDIENCE is missing"),
        ({"REPARTEE_TRUSTED_PROXIES": "proxy"}, "'proxy' is no address or network"),
    ],
)
def test_keys_that_do_not_work_are_said_before_anything_starts(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    code, text = repartee("up", folder=tmp_path, **variables)
    assert code != 0
    assert said in text
    assert "rpt_a_key" not in text, "what may be a key is not printed"


def test_a_key_s_name_is_checked(tmp_path: Path) -> None:
    code, text = repartee("key", "a b", folder=tmp_path)
    assert code != 0
    assert "a key's name is 1 to 64 letters" in text
