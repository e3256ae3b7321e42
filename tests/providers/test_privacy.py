"""A private agent: which settings it refuses, what it runs on, and the seal of its processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from repartee.agent import Agent, load_agent
from repartee.errors import ConfigError
from repartee.machine import is_loopback
from repartee.providers import choose_ladder
from repartee.providers.privacy import allowed_hosts, check_private, check_sealed
from repartee.settings import Settings
from tests.conftest import FRONT_DESK

KEYS = {f"{vendor}_api_key": SecretStr("k") for vendor in ("openai", "elevenlabs", "cartesia")}


@pytest.fixture
def private(tmp_path: Path) -> Agent:
    file = tmp_path / "agent.yaml"
    (tmp_path / "tools.py").write_text(FRONT_DESK.with_name("tools.py").read_text())
    file.write_text(FRONT_DESK.read_text() + "\nprivacy: on-device\n")
    return load_agent(file)


def url(text: str) -> SecretStr:
    return SecretStr(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"llm_base_url": "http://gpu.example:8000/v1"}, "LLM_BASE_URL is at 'gpu.example'"),
        (
            {"database_url": url("postgresql://u:secret@10.0.0.4/calls")},
            "REPARTEE_DATABASE_URL is at '10.0.0.4'",
        ),
        (
            {"database_url": url("postgresql://u@/calls?host=db.example")},
            "REPARTEE_DATABASE_URL is at 'db.example'",
        ),
        (
            {"redis_url": url("rediss://:secret@cache.example:6379/0")},
            "REPARTEE_REDIS_URL is at 'cache.example'",
        ),
        ({"otel_endpoint": "https://traces.example"}, "OTEL_EXPORTER_OTLP_ENDPOINT is at 'traces.example'"),
    ],
)
async def test_a_part_elsewhere_is_named(
    plain_settings: Settings, private: Agent, changes: dict[str, Any], said: str
) -> None:
    settings = plain_settings.model_copy(update=changes)
    with pytest.raises(ConfigError, match="privacy: on-device lets nothing") as error:
        await choose_ladder(settings, private)
    assert said in str(error.value)
    assert "secret" not in str(error.value)
    check_private(settings, load_agent(FRONT_DESK))  # of others nothing is asked


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"llm_base_url": "http://[::1]:8080/v1"},
        {"database_url": url("postgresql://u@localhost/calls")},
        {"database_url": url("postgresql://u@/calls?host=/var/run/postgresql")},
        {"redis_url": url("unix:///run/redis.sock")},
        {"redis_url": url("redis://127.0.0.1:6379")},
        {"livekit_url": "wss://media.example"},
    ],
)
def test_parts_on_this_machine_and_the_media_server_are_allowed(
    plain_settings: Settings, private: Agent, changes: dict[str, Any]
) -> None:
    check_private(plain_settings.model_copy(update=changes), private)


def test_a_database_that_the_environment_names_is_seen(
    plain_settings: Settings, private: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(ConfigError, match=r"'db\.example'"):
        check_private(plain_settings.model_copy(update={"database_url": url("postgresql:///calls")}), private)


def test_a_call_stays_private_whoever_has_it(private: Agent) -> None:
    other = load_agent(FRONT_DESK)
    check_sealed((other, other), sealed=False)
    check_sealed((private, other), sealed=True)
    with pytest.raises(ConfigError, match="calls may be passed to 'Riverside Clinic', which is private"):
        check_sealed((other, private), sealed=True)
    with pytest.raises(ConfigError, match="was set to on-device while the worker ran; start it again"):
        check_sealed((private,), sealed=False)


async def test_keys_that_are_there_are_not_used(plain_settings: Settings, private: Agent) -> None:
    settings = plain_settings.model_copy(update={**KEYS, "llm_base_url": "http://127.0.0.1:9/v1"})
    ladder = await choose_ladder(settings, private)
    assert [ladder.rungs(stage) for stage in ("stt", "llm", "tts")] == [
        (ladder.stt,),
        (ladder.llm,),
        (ladder.tts,),
    ]
    assert (ladder.stt.provider, ladder.llm.provider, ladder.tts.provider) == (
        "on-device",
        "answers",
        "on-device",
    )
    assert (ladder.stt.climb, ladder.llm.climb, ladder.tts.climb) == (None, "`ollama run llama3.2`", None)


async def test_a_local_model_is_used_but_none_that_its_server_passes_on(
    plain_settings: Settings, private: Agent
) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "gpt-oss:120b-cloud"}, {"id": "llama3.2:3b"}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        base = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ladder = await choose_ladder(
            plain_settings.model_copy(update={**KEYS, "llm_base_url": base}), private
        )
    finally:
        await runner.cleanup()
    assert (ladder.llm.provider, ladder.llm.model) == ("local", "llama3.2:3b")


def test_hosts_that_are_allowed(plain_settings: Settings) -> None:
    assert allowed_hosts(plain_settings) == ()
    there = {"livekit_url": "wss://Media.example:443", "jwt_jwks": "https://id.example/keys"}
    settings = plain_settings.model_copy(update=there)
    assert allowed_hosts(settings) == ("media.example",)
    assert allowed_hosts(settings, issuer=True) == ("media.example", "id.example")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("LOCALHOST", True),
        ("a.localhost", False),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("128.0.0.1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_what_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) == here


def sealed(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that is sealed: sealing cannot be undone."""
    program = "from repartee.providers.seal import *\nimport socket, sys, asyncio\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )


LEAKS = """
def http():
    import httpx
    httpx.get("http://198.51.100.7/")

async def http_async():
    import httpx
    async with httpx.AsyncClient() as client:
        await client.get("https://vendor.example/")

def standard():
    import urllib.request
    urllib.request.urlopen("http://198.51.100.7/")

datagram = socket.socket(type=socket.SOCK_DGRAM)
leaks = {
    "address": lambda: socket.create_connection(("198.51.100.7", 80), 1),
    "name": lambda: socket.create_connection(("vendor.example", 80), 1),
    "six": lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    "sendto": lambda: datagram.sendto(b"x", ("198.51.100.7", 9)),
    "sendmsg": lambda: datagram.sendmsg([b"x"], [], 0, ("198.51.100.7", 9)),
    "lookup": lambda: socket.gethostbyname("vendor.example"),
    "asyncio": lambda: asyncio.run(asyncio.open_connection("198.51.100.7", 80)),
    "standard": standard,
    "http": http,
    "http_async": lambda: asyncio.run(http_async()),
}
seal(["media.example"])
for name, leak in leaks.items():
    try:
        leak()
    except Exception as error:
        print(name, "lets this process connect to this machine only" in str(error))
    else:
        print(name, "leaked")
"""


def test_a_sealed_process_reaches_nobody() -> None:
    done = sealed(LEAKS)
    told = [line for line in done.stdout.splitlines() if "privacy.refused" in line]
    tried = [line.split() for line in done.stdout.splitlines() if "privacy.refused" not in line]
    assert len(tried) == 10, done.stderr
    assert {answer for _, answer in tried} == {"True"}, tried
    assert len(told) == 3, "each host is told once"


async def test_a_sealed_process_reaches_this_machine(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    sockets = await asyncio.start_unix_server(lambda _, writer: writer.close(), tmp_path / "s")
    port = server.sockets[0].getsockname()[1]
    async with server, sockets:
        done = await asyncio.to_thread(
            sealed,
            f"""
            seal()
            for host in ("127.0.0.1", "localhost"):
                socket.create_connection((host, {port}), 5).close()
            asyncio.run(asyncio.open_connection("127.0.0.1", {port}))
            asyncio.run(asyncio.open_unix_connection({str(tmp_path / "s")!r}))
            print(sealed())
            """,
        )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_hosts_that_are_named_are_reached() -> None:
    done = sealed(
        """
        asked = []
        socket.getaddrinfo = lambda name, port: asked.append(name) or [(2, 1, 6, "", ("198.51.100.9", 0))]
        seal(["198.51.100.7", "Media.example"])
        for address, reached in (("198.51.100.7", True), ("198.51.100.9", True), ("198.51.100.8", False)):
            made = socket.socket(type=socket.SOCK_DGRAM)
            try:
                made.connect((address, 9))
            except SealedError:
                assert not reached, address
            except OSError:  # no network: what matters is that it was tried
                assert reached, address
            else:
                assert reached, address
        print(set(asked))
        """
    )
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "{'media.example'}")


def test_the_models_runtime_is_told_to_report_to_nobody() -> None:
    program = "import repartee.telemetry, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "1\n"
