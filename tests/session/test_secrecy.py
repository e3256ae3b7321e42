"""A whole call at the most talkative: no key and nothing that was said is in the log, whoever writes there."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from loguru import logger as loguru_logger
from pydantic import SecretStr

from repartee.settings import Settings
from repartee.simulator.providers import Simulator
from repartee.simulator.providers.desk import Fault
from repartee.telemetry.calling import calling
from repartee.telemetry.redaction import LibraryFilter, Redactor, where
from repartee.worker.logs import quiet_pipecat, set_up_logs
from tests.session.test_whole_call import GREETING, Caller, caller, simulator, stored

__all__ = ["caller", "simulator"]

KEY = "sk-proj-verysecretkeyofthiscall1234567890"
PASSWORD = "hunter2hunter2"
SAID = ("My name is Zebulon Quackenbush", "my card is 4242 4242 4242 4242", "zebulon@quackenbush.example")
LOGGERS = (
    "openai",
    "httpx",
    "httpx2",
    "httpcore",
    "websockets",
    "aiohttp",
    "asyncio",
    "livekit",
    "mcp",
    "sqlalchemy",
)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything this process would write to its log, with every library told to say all it can."""
    out = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    set_up_logs("debug", (KEY, PASSWORD), in_call=True)
    quiet_pipecat()
    root.setLevel(logging.DEBUG)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield out
    loguru_logger.remove()
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def fail(text: str) -> None:
    raise ValueError(text)


def files_of(folder: Path) -> dict[Path, bytes]:
    """What a call has left, but the audio of fixed texts."""
    files = (file for file in folder.rglob("*") if file.is_file() and "voices" not in file.parts)
    return {file: file.read_bytes() for file in files}


def words_of(text: str) -> list[str]:
    return [word.strip(".,!?") for word in text.lower().split() if len(word) > 4]


async def talk(caller: Caller, simulator: Simulator) -> None:
    """Say much, and have what can break break."""
    async with caller as call:
        call.hooks.identified("user/zebulon")
        await call.until(lambda: call.times("reply.finished"))
        for said in SAID:
            await call.ask(said)
        simulator.desk.faults.append(Fault("llm", "error", 2))
        call.hooks.chat("and now the Quackenbush machinery breaks")
        await call.until(lambda: call.times("provider.failed"))
        await call.until(lambda: call.times("reply.finished") >= len(SAID) + 2)
        logging.getLogger("openai._base_client").warning(
            "Request options: %s", {"messages": SAID, "key": KEY}
        )
        logging.getLogger("pipecat").error("Error processing frame: %s", SAID[0])
        loguru_logger.error(f"error processing TranscriptionFrame {SAID[0]}")
        try:
            fail(SAID[1])
        except ValueError:
            loguru_logger.exception(f"unexpected {SAID[1]}")
            logging.getLogger("asyncio").exception("Task exception was never retrieved %s", SAID[2])


async def test_a_whole_call_leaves_nothing_in_the_log(
    log: io.StringIO, caller: Caller, simulator: Simulator
) -> None:
    caller.settings = caller.settings.model_copy(
        update={"openai_api_key": SecretStr(KEY), "log_level": "debug"}
    )
    with calling("call-1"):
        await talk(caller, simulator)
    written = log.getvalue()
    assert "message withheld" in written, "the libraries did try"
    assert "ValueError at test_secrecy.py:" in written, "where something broke is told"
    assert "openai._base_client" in written
    for secret in (KEY, PASSWORD, KEY[10:]):
        assert secret not in written
    store = stored(caller)
    texts = [text for turn in store.turns("call-1") for text in (turn.user_text, turn.heard_text)]
    store.close()
    assert len(texts) > 6, "there was a conversation"
    told = written.lower()
    for text in (*texts, *SAID):
        assert not text or text.lower() not in told, text
    for word in ("zebulon", "quackenbush", "4242"):
        assert word not in told.replace("user/zebulon", "")
    assert GREETING.lower() not in told
    lines = [json.loads(line) for line in written.splitlines()]
    assert {line["call_id"] for line in lines} == {"call-1"}
    failed = [
        line for line in lines if line["event"] == "provider.failed" or "pipecat" in line.get("says", "")
    ]
    assert all(line["turn_id"] >= len(SAID) for line in failed), "they are about the newest turn"
    assert {line["level"] for line in lines} >= {"warning", "error"}


async def test_the_files_of_a_call_hold_no_word_of_it_either(caller: Caller) -> None:
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask(SAID[0])
    marks = (caller.spec.data_dir / "calls" / "call-1.jsonl").read_text(encoding="utf-8").lower()
    assert "reply.finished" in marks
    for word in ("zebulon", "quackenbush", *words_of(GREETING)):
        assert word not in marks


@pytest.mark.parametrize(
    ("keep", "user", "heard"),
    [("on", SAID[1], GREETING), ("redacted", "my card is [card]", GREETING), ("off", "", "")],
)
async def test_transcripts_are_kept_as_the_agent_file_says(
    caller: Caller, keep: str, user: str, heard: str
) -> None:
    agent = caller.spec.agent_path
    agent.write_text(agent.read_text(encoding="utf-8") + f"keep: {{transcripts: {keep}}}\n", encoding="utf-8")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
        await call.ask(SAID[1])
    store = stored(caller)
    greeting, turn = store.turns("call-1")
    rows = store.usage_rows(call_id="call-1")
    store.close()
    assert greeting.heard_text == heard
    assert turn.user_text == user
    assert turn.latency_ms is not None, "figures are kept whatever becomes of the words"
    assert rows
    if keep != "on":
        left = files_of(caller.settings.state_dir)
        assert any(file.suffix == ".db" for file in left)
        assert not [file for file, data in left.items() if b"4242 4242" in data]


async def test_a_recorded_caller_is_told_first(caller: Caller) -> None:
    agent = caller.spec.agent_path
    agent.write_text(agent.read_text(encoding="utf-8") + "record: true\n", encoding="utf-8")
    async with caller as call:
        await call.until(lambda: call.times("reply.finished"))
    store = stored(caller)
    greeting = store.turns("call-1")[0]
    events = [event.kind for event in store.events("call-1")]
    store.close()
    assert greeting.heard_text == f"This call is recorded. {GREETING}"
    assert "consent.line" in events


class TestRedactor:
    @pytest.mark.parametrize(
        ("line", "kept"),
        [
            (f"the key {KEY} was refused", "the key [secret] was refused"),
            ("Authorization: Bearer abc.def-123456", "Authorization: [secret] [secret]"),
            ("sent bearer abcdef123456 to it", "sent bearer [secret] to it"),
            (
                "at wss://x/rtc?access_token=eyJhbGciOi.eyJ2aWRlbyI6.c2ln&a=1",
                "at wss://x/rtc?access_token=[secret]&a=1",
            ),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abc_-1 expired", "token [secret] expired"),
            (f"postgresql://me:{PASSWORD}@db.example/x", "postgresql://me:[secret]@db.example/x"),
            ("postgresql://me:other-one@db.example/x", "postgresql://me:[secret]@db.example/x"),
            ('{"xi-api-key": "0123456789abcdef"}', '{"xi-api-key": "[secret]"}'),
            ("api_key='0123456789'", "api_key='[secret]'"),
            ("made rpt_Zm9vYmFyYmF6cXV4cXV1eA", "made [secret]"),
            ("reply 12 took 350 ms, 3 tokens", "reply 12 took 350 ms, 3 tokens"),
            ("call.started room=call-0a1b2c", "call.started room=call-0a1b2c"),
        ],
    )
    def test_what_is_taken_out(self, line: str, kept: str) -> None:
        assert Redactor((KEY, PASSWORD, "k")).text(line) == kept

    def test_every_part_of_a_line_is_looked_at(self) -> None:
        redactor = Redactor((KEY,))
        line = redactor.processor(
            None,
            "info",
            {
                "event": KEY,
                "a": {"b": [KEY, (KEY,), {KEY}]},
                KEY: 1,
                "n": 3,
                "e": ValueError(KEY),
                "raw": KEY.encode(),
            },
        )
        assert KEY not in json.dumps(line)
        assert line["n"] == 3

    def test_an_exception_is_a_type_and_a_place(self) -> None:
        try:
            fail(SAID[0])
        except ValueError:
            line = Redactor().processor(None, "error", {"event": "x", "exc_info": True})
        assert line["error"] == "ValueError"
        assert str(line["where"]).startswith("test_secrecy.py:")
        assert SAID[0] not in json.dumps(line)

    def test_a_server_s_libraries_are_heard_without_secrets(self) -> None:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, __file__, 1, "bad %s", (KEY,), None)
        assert LibraryFilter(Redactor((KEY,)), in_call=False).filter(record)
        assert record.getMessage() == "bad [secret]"
        quiet = logging.LogRecord("httpx", logging.INFO, __file__, 1, "POST %s", (KEY,), None)
        assert not LibraryFilter(Redactor(()), in_call=False).filter(quiet)

    def test_a_message_that_does_not_fit_its_arguments_is_no_crash(self) -> None:
        record: Any = logging.LogRecord("uvicorn", logging.ERROR, __file__, 1, "%d %s", ("x",), None)
        assert LibraryFilter(Redactor(), in_call=True).filter(record)

    def test_where_is_nowhere_without_a_trace(self) -> None:
        assert where(None) == ""


def test_settings_know_their_secrets() -> None:
    settings = Settings(_env_file=None).model_copy(  # type: ignore[call-arg]
        update={
            "openai_api_key": SecretStr(KEY),
            "database_url": SecretStr(f"postgresql://me:{PASSWORD}@db.example/x"),
        }
    )
    assert {KEY, PASSWORD} <= set(settings.secrets)
