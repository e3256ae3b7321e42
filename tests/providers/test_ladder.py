"""Which providers a call runs on, and what is said when that cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from repartee.agent import Agent, load_agent
from repartee.errors import ConfigError
from repartee.providers import Ladder, check_keys, choose_ladder
from repartee.providers.ladder import Stage
from repartee.providers.ondevice.registry import VOICES, WHISPERS, Model
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


def order(ladder: Ladder, stage: Stage) -> list[str]:
    return [f"{rung.provider}:{rung.model}" for rung in ladder.rungs(stage)]


async def test_other_vendors_stand_by_and_this_machine_last(plain_settings: Settings) -> None:
    settings = with_keys(plain_settings, "openai", "elevenlabs", "cartesia")
    ladder = await choose_ladder(settings, agent())
    assert order(ladder, "stt") == ["openai:gpt-4o-mini-transcribe", "on-device:tiny.en"]
    assert order(ladder, "llm") == ["openai:gpt-4.1-mini"], "no model answers at LLM_BASE_URL"
    assert [rung.provider for rung in ladder.rungs("tts")] == [
        "cartesia",
        "elevenlabs",
        "openai",
        "on-device",
    ]
    assert not ladder.needs_speech_host
    assert ladder.uses_speech_host
    alone = await choose_ladder(settings.model_copy(update={"standby": False}), agent())
    assert [rung.provider for rung in alone.rungs("tts")] == ["cartesia", "elevenlabs", "openai"]
    assert not alone.uses_speech_host


async def test_a_list_is_the_order_and_nothing_else(plain_settings: Settings, tmp_path: Path) -> None:
    settings = with_keys(plain_settings, "openai", "elevenlabs", "cartesia")
    listed = agent("stt: ['openai:whisper-1', on-device], tts: ['openai:tts-1']", tmp_path)
    ladder = await choose_ladder(settings, listed)
    assert order(ladder, "stt") == ["openai:whisper-1", "on-device:tiny.en"]
    assert order(ladder, "tts") == ["openai:tts-1"]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (
            "models: {stt: 'on-device:large'}",
            "asks for 'large' on this machine; choose one of: base, small, tiny.en",
        ),
        ("models: {stt: 'on-device:smal'}", "did you mean 'small'"),
        ("models: {stt: 'on-device:small'}", "is missing; run `repartee models pull whisper-small`"),
        (
            "voice: {on_device: de_DE-thorsten-medium}",
            "run `repartee models pull piper-de_DE-thorsten-medium`",
        ),
        ("voice: {on_device: en_US-jo-medium}", "did you mean 'en_US-joe-medium'"),
    ],
)
async def test_a_model_of_this_machine_that_is_not_here(
    plain_settings: Settings, tmp_path: Path, wish: str, said: str
) -> None:
    settings = with_keys(plain_settings).model_copy(update={"cache_dir": tmp_path})
    file = tmp_path / "a.yaml"
    file.write_text(f"name: A\npersona: x\ngreeting: Hi\n{wish}\n")
    with pytest.raises(ConfigError, match=re.escape(said)):
        await choose_ladder(settings, load_agent(file))


def fetched(settings: Settings, *models: Model) -> None:
    """Files as a fetch leaves them, but for what is in them."""
    for model in models:
        folder = model.place(settings.models_dir)
        folder.mkdir(parents=True)
        for file in model.files:
            (folder / file.path).touch()


async def test_a_recogniser_that_was_fetched_hears(plain_settings: Settings, tmp_path: Path) -> None:
    settings = with_keys(plain_settings, "openai").model_copy(update={"cache_dir": tmp_path})
    fetched(settings, WHISPERS["small"])
    ladder = await choose_ladder(settings, agent("stt: ['openai:whisper-1', 'on-device:small']", tmp_path))
    assert order(ladder, "stt") == ["openai:whisper-1", "on-device:small"]
    assert ladder.whisper == "small"
    assert (await choose_ladder(settings, agent())).whisper == "tiny.en", "English needs no larger one"


async def test_another_language_is_spoken_here_with_what_was_fetched(
    plain_settings: Settings, tmp_path: Path
) -> None:
    settings = with_keys(plain_settings).model_copy(update={"cache_dir": tmp_path})
    file = tmp_path / "a.yaml"
    file.write_text("name: A\npersona: x\ngreeting: Hallo\nlanguage: de\n")
    without = await choose_ladder(settings, load_agent(file))
    assert without.stt.model == "tiny.en"
    assert "repartee models pull whisper-small" in str(without.stt.climb), "what would help is said"
    fetched(settings, WHISPERS["base"], VOICES["de_DE-thorsten-medium"])
    file.write_text(file.read_text() + "voice: {on_device: de_DE-thorsten-medium}\n")
    alone = await choose_ladder(settings, load_agent(file))
    assert (alone.whisper, alone.own_voice) == ("base", "de_DE-thorsten-medium")
    beside = await choose_ladder(
        with_keys(plain_settings, "openai").model_copy(update={"cache_dir": tmp_path}), load_agent(file)
    )
    assert order(beside, "stt") == ["openai:gpt-4o-mini-transcribe", "on-device:base"]
    assert order(beside, "tts") == ["openai:gpt-4o-mini-tts", "on-device:de_DE-thorsten-medium"]


async def test_this_machine_stands_by_only_in_the_agent_s_language(
    plain_settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: A\npersona: x\ngreeting: Hallo\nlanguage: de\n")
    ladder = await choose_ladder(with_keys(plain_settings, "openai"), load_agent(file))
    assert order(ladder, "stt") == ["openai:gpt-4o-mini-transcribe"]
    assert order(ladder, "tts") == ["openai:gpt-4o-mini-tts"]


async def test_a_model_that_speaks_itself_stands_before_a_voice_of_its_own_name(
    plain_settings: Settings, tmp_path: Path
) -> None:
    settings = with_keys(plain_settings, "openai", "cartesia", "elevenlabs")
    ladder = await choose_ladder(settings, agent("realtime: 'openai:gpt-realtime'", tmp_path))
    assert ladder.realtime is not None
    assert (ladder.realtime.provider, ladder.realtime.model) == ("openai", "gpt-realtime")
    assert order(ladder, "llm")[0] == "openai:gpt-4.1-mini"
    assert order(ladder, "tts")[0] == "openai:gpt-4o-mini-tts", "not a better one: it is to be one voice"


async def test_a_model_that_speaks_itself_needs_its_key(plain_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"models.realtime asks for 'openai:gpt-realtime', which needs OPENAI_"
    ):
        await choose_ladder(plain_settings, agent("realtime: 'openai:gpt-realtime'", tmp_path))


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("stt: ['openai:whisper-1', 'openai-realtime:x']", "a stream cannot be replayed; write it first"),
        (
            "tts: ['openai:tts-1', 'elevenlabs:x']",
            "models.tts asks for 'elevenlabs:x', which needs ELEVENLABS_API_KEY",
        ),
        ("stt: ['openai:whisper-1', 'cartesia:ink']", "models.stt cannot be 'cartesia'"),
    ],
)
async def test_a_list_that_cannot_be(
    plain_settings: Settings, tmp_path: Path, models: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await choose_ladder(with_keys(plain_settings, "openai"), agent(models, tmp_path))


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("llm: []", "models.llm"),
        ("llm: ['openai:a', 'openai:a']", "a model is in the list twice"),
        ("llm: ['openai:a', 'opnai:b']", "unknown provider 'opnai'; did you mean 'openai'"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, models: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        agent(models, tmp_path)


async def test_plans_are_known_before_asking(plain_settings: Settings) -> None:
    settings = with_keys(plain_settings, "elevenlabs", "cartesia").model_copy(
        update={"elevenlabs_plan": "creator", "cartesia_plan": "40"}
    )
    assert (await choose_ladder(settings, agent())).ceilings == {"cartesia": 40, "elevenlabs": 10}
    with pytest.raises(ConfigError, match="CARTESIA_PLAN is 'gold'"):
        await choose_ladder(settings.model_copy(update={"cartesia_plan": "gold"}), agent())


async def test_a_wrong_key_of_a_vendor_that_stands_by_is_told_and_no_reason_not_to_start(
    plain_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Simulator.start(SimulatorConfig(profile="instant")) as simulator:
        base = {
            "openai_base_url": f"{simulator.url}/v1",
            "elevenlabs_base_url": simulator.url.replace("http", "ws"),
            "cartesia_base_url": simulator.url.replace("http", "ws"),
            "elevenlabs_api_key": SecretStr("wrong"),
        }
        settings = with_keys(plain_settings, "openai", "cartesia").model_copy(update=base)
        await check_keys(settings, await choose_ladder(settings, agent()))
    assert "standby_key_refused" in capsys.readouterr().out
