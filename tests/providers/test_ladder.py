"""Which providers a call runs on, and what is said when that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from repartee.agent import Agent, load_agent
from repartee.errors import ConfigError
from repartee.providers import check_keys, choose_ladder
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from tests.conftest import FRONT_DESK

KEY = SecretStr("k")


def agent(models: str = "", folder: Path | None = None) -> Agent:
    if not models:
        return load_agent(FRONT_DESK)
    assert folder is not None
    file = folder / "a.yaml"
    file.write_text(f"name: A\npersona: x\ngreeting: Hi\nmodels: {{{models}}}\n")
    return load_agent(file)


def with_keys(settings: Settings, *names: str) -> Settings:
    nothing = {"llm_base_url": "http://127.0.0.1:9/v1"}
    return settings.model_copy(update=nothing | {f"{name}_api_key": KEY for name in names})


@pytest.mark.parametrize(
    ("keys", "rungs"),
    [
        ((), ("on-device", "answers", "on-device")),
        (("openai",), ("openai", "openai", "openai")),
        (("openai", "elevenlabs"), ("openai", "openai", "elevenlabs")),
        (("openai", "elevenlabs", "cartesia"), ("openai", "openai", "cartesia")),
        (("cartesia",), ("on-device", "answers", "cartesia")),
    ],
)
async def test_keys_decide(plain_settings: Settings, keys: tuple[str, ...], rungs: tuple[str, ...]) -> None:
    ladder = await choose_ladder(with_keys(plain_settings, *keys), agent())
    assert (ladder.stt.provider, ladder.llm.provider, ladder.tts.provider) == rungs
    for rung in (ladder.stt, ladder.llm, ladder.tts):
        if rung.provider in ("on-device", "answers"):
            assert rung.lost, "what is lost is said"
            assert rung.climb, "and how to get it"


async def test_the_agent_file_decides_before_keys(plain_settings: Settings, tmp_path: Path) -> None:
    settings = with_keys(plain_settings, "openai", "cartesia")
    wished = agent("stt: openai-realtime:gpt-realtime-whisper, tts: openai:tts-1", tmp_path)
    ladder = await choose_ladder(settings, wished)
    assert (ladder.stt.provider, ladder.tts.provider, ladder.tts.model) == (
        "openai-realtime",
        "openai",
        "tts-1",
    )


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("llm: openai:gpt-4.1", "needs OPENAI_API_KEY"),
        ("tts: elevenlabs:eleven_flash_v2_5", "needs ELEVENLABS_API_KEY"),
        ("stt: cartesia:ink", "models.stt cannot be 'cartesia'; choose one of: openai"),
        ("llm: local:llama3.2", "no model answers at http://127.0.0.1:9/v1"),
    ],
)
async def test_a_wish_that_cannot_be(
    plain_settings: Settings, tmp_path: Path, models: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await choose_ladder(with_keys(plain_settings), agent(models, tmp_path))


async def test_a_local_model_is_found(plain_settings: Settings) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "llama3.2"}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        ladder = await choose_ladder(plain_settings.model_copy(update={"llm_base_url": url}), agent())
    finally:
        await runner.cleanup()
    assert (ladder.llm.provider, ladder.llm.model) == ("local", "llama3.2")


@pytest.mark.parametrize("vendor", ["openai", "elevenlabs", "cartesia"])
async def test_a_key_that_is_refused_stops_the_start(plain_settings: Settings, vendor: str) -> None:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        base = {
            "openai_base_url": f"{simulator.url}/v1",
            "elevenlabs_base_url": simulator.url.replace("http", "ws"),
            "cartesia_base_url": simulator.url.replace("http", "ws"),
        }
        good = with_keys(plain_settings, vendor).model_copy(update=base)
        await check_keys(good, await choose_ladder(good, agent()))
        wrong = good.model_copy(update={f"{vendor}_api_key": SecretStr("wrong")})
        with pytest.raises(ConfigError, match=f"refuses {vendor.upper()}_API_KEY"):
            await check_keys(wrong, await choose_ladder(wrong, agent()))


async def test_a_vendor_that_does_not_answer_does_not(plain_settings: Settings) -> None:
    away = with_keys(plain_settings, "openai").model_copy(update={"openai_base_url": "http://127.0.0.1:9/v1"})
    await check_keys(away, await choose_ladder(away, agent()))


async def test_a_small_model_needs_its_key_or_its_server(plain_settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: A\npersona: x\ngreeting: Hi\nrouting: {small: 'openai:gpt-4.1-nano'}\n")
    ladder = await choose_ladder(with_keys(plain_settings, "openai"), load_agent(file))
    assert ladder.small is not None
    assert (ladder.small.provider, ladder.small.model) == ("openai", "gpt-4.1-nano")
    file.write_text("name: A\npersona: x\ngreeting: Hi\nrouting: {small: 'local:tiny'}\n")
    with pytest.raises(
        ConfigError, match=r"routing\.small asks for 'local:tiny', but no such model answers at"
    ):
        await choose_ladder(with_keys(plain_settings, "openai"), load_agent(file))
    file.write_text("name: A\npersona: x\ngreeting: Hi\nrouting: {small: 'cartesia:x'}\n")
    with pytest.raises(
        ConfigError, match=r"a\.yaml:4: routing\.small cannot be 'cartesia'; choose one of: openai"
    ):
        load_agent(file)


@pytest.mark.parametrize(
    ("keys", "cache", "wanted"),
    [
        (("openai",), "{}", True),
        (("openai",), "{by_meaning: false}", False),
        (("openai",), "{answers: false}", False),
        (("openai",), "{answers: false, learn: true}", True),
        ((), "{}", False),
    ],
)
async def test_the_sentence_model_is_started_where_the_cache_can_use_it(
    plain_settings: Settings, tmp_path: Path, keys: tuple[str, ...], cache: str, wanted: bool
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        f"name: A\npersona: x\ngreeting: Hi\ncache: {cache}\nanswers: [{{id: a, ask: [Q], say: A}}]\n"
    )
    ladder = await choose_ladder(with_keys(plain_settings, *keys), load_agent(file))
    assert ladder.meaning is wanted
    assert ladder.needs_speech_host is (not keys), "the sentence model alone needs no recogniser and no voice"
