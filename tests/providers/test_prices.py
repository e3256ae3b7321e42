"""Costs are exact, unknown prices are unknown, and the list agrees with the simulator's own."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from repartee.errors import ConfigError
from repartee.providers.prices import PriceTable, load_prices
from repartee.simulator.providers import bill
from repartee.telemetry.usage import Usage
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return load_prices()


def usage(provider: str, model: str, outcome: Any = "done", **quantities: str | int) -> Usage:
    used: Any = {unit: Decimal(value) for unit, value in quantities.items()}
    return Usage("r", "llm", provider, model, used, outcome)


def vendor(model: str) -> str:
    return (
        "elevenlabs" if model.startswith("eleven") else "cartesia" if model.startswith("sonic") else "openai"
    )


@pytest.mark.parametrize("model", bill.STT_PER_MINUTE)
def test_speech_to_text_costs_what_the_simulator_bills(table: PriceTable, model: str) -> None:
    billed = bill.Entry("stt", "openai", model, audio_s=3600).price()
    for provider in ("openai", "openai-realtime"):
        assert table.cost(usage(provider, model, audio_s=3600)) == round(Decimal(billed), 9)


@pytest.mark.parametrize("model", bill.LLM_PER_MILLION)
def test_a_model_costs_what_the_simulator_bills(table: PriceTable, model: str) -> None:
    billed = bill.Entry("llm", "openai", model, tokens_in=1_500_000, tokens_out=250_000).price()
    assert table.cost(usage("openai", model, tokens_in=1_500_000, tokens_out=250_000)) == round(
        Decimal(billed), 6
    )


@pytest.mark.parametrize("model", bill.TTS_PER_MILLION)
def test_a_voice_costs_what_the_simulator_bills(table: PriceTable, model: str) -> None:
    billed = bill.Entry("tts", vendor(model), model, characters=1_234_567).price()
    assert table.cost(usage(vendor(model), model, characters=1_234_567)) == round(Decimal(billed), 9)


def test_cached_tokens_are_priced_apart(table: PriceTable) -> None:
    # 476 x 0.40 + 1024 x 0.10 + 25 x 1.60, for a million.
    used = usage("openai", "gpt-4.1-mini", tokens_in=1500, tokens_cached=1024, tokens_out=25)
    assert table.cost(used) == Decimal("0.0003328")
    only_cached = usage("openai", "gpt-4.1-mini", tokens_in=1024, tokens_cached=5000, tokens_out=0)
    assert table.cost(only_cached) == Decimal("0.0001024")


def test_sound_is_priced_apart_from_text(table: PriceTable) -> None:
    told = {"tokens_in": 1500, "tokens_cached": 1000, "tokens_out": 300}
    sound = {"audio_tokens_in": 600, "audio_tokens_cached": 400, "audio_tokens_out": 200}
    used = usage("openai", "gpt-realtime", **told, **sound)
    # 300 new words at 4, 600 kept at 0.40, 100 said at 16; of sound 200 new at 32, 400 kept at 0.40, 200 said at 64.
    assert table.cost(used) == Decimal("0.0224")
    assert table.cost(usage("openai", "gpt-4.1", **told, **sound)) is None, "it has no price for sound"


def test_a_price_of_sound_is_whole(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(
        "providers:\n  openai:\n    x: {per_million_tokens: {in: 1, out: 2, audio_in: 3}, date: 2026-09-29}\n"
    )
    with pytest.raises(ConfigError, match="per_million_tokens of 'x' needs 'audio_out'"):
        load_prices(own)


def test_a_cost_is_exact_to_a_billionth(table: PriceTable) -> None:
    assert table.cost(usage("openai", "gpt-4.1-nano", tokens_in=1, tokens_cached=1)) == Decimal("0.000000025")
    assert table.cost(usage("openai", "gpt-live-transcribe", audio_s="1")) == Decimal("0.000283333")


def test_the_machine_s_own_models_are_free(table: PriceTable) -> None:
    assert table.cost(usage("on-device", "tiny.en", audio_s=10)) == 0
    assert table.cost(usage("answers", "all-MiniLM-L6-v2")) == 0


def test_an_unknown_price_is_unknown_and_said_once() -> None:
    table = load_prices()
    with structlog.testing.capture_logs() as entries:
        for _ in range(3):
            assert table.cost(usage("openai", "gpt-9", tokens_in=10, tokens_out=1)) is None
        assert table.cost(usage("local", "llama", tokens_in=10, tokens_out=1)) is None
        assert table.cost(usage("openai", "tts-1", audio_s=3)) is None
    assert [(entry["model"], entry["why"]) for entry in entries] == [
        ("openai:gpt-9", "not in the price table"),
        ("local:llama", "not in the price table"),
        ("openai:tts-1", "not reported per_million_characters"),
    ]


def test_a_request_that_failed_before_anything_was_used_costs_nothing(table: PriceTable) -> None:
    assert table.cost(usage("openai", "gpt-4o", "failed")) == 0
    assert table.cost(usage("openai", "gpt-4o", "cancelled")) is None


def test_every_price_has_a_source_and_a_day(table: PriceTable) -> None:
    prices = [price for models in table.prices.values() for price in models.values()]
    assert len(prices) > 20
    assert all(price.source and price.date.year >= 2026 for price in prices)
    assert table.version == max(str(price.date) for price in prices)


def test_the_operator_s_prices_go_over_the_list(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(
        "version: contract-7\n"
        "providers:\n"
        "  openai:\n"
        "    gpt-4.1-mini: {per_million_tokens: {in: 0.3, out: 1.2}, source: our contract, date: 2026-10-01}\n"
        "  local:\n"
        '    "*": {per_million_tokens: {in: 0.02, out: 0.02}}\n'
    )
    table = load_prices(own)
    assert table.version == "2026-09-29+contract-7"
    mini = usage("openai", "gpt-4.1-mini", tokens_in=1000, tokens_cached=1000, tokens_out=0)
    assert table.cost(mini) == Decimal("0.0003")
    assert table.cost(usage("openai", "gpt-4o", tokens_in=1000, tokens_out=0)) == Decimal("0.0025")
    assert table.cost(usage("local", "llama", tokens_in=100, tokens_out=0)) == Decimal("0.000002")
    own.write_text("providers: {}\n")
    first = load_prices(own).version
    own.write_text("providers: {openai: {x: {free: true}}}\n")
    # Without a version of its own the file's content is the version.
    assert first != load_prices(own).version
    assert first.startswith("2026-09-29+")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers:\n  opnai: {}\n", ":2: unknown key 'opnai' in providers; did you mean 'openai'?"),
        ("provider: {}\n", ":1: unknown key 'provider' in a price table; did you mean 'providers'?"),
        (
            "providers:\n  openai:\n    x: {per_minut: 1}\n",
            ":3: unknown key 'per_minut' in the price of 'x'; did you mean 'per_minute'?",
        ),
        (
            "providers:\n  openai:\n    x: {source: y}\n",
            ":3: 'x' needs one of per_minute, per_million_tokens",
        ),
        ("providers:\n  openai:\n    x: {per_minute: 1, free: true}\n", ":3: 'x' needs one of"),
        (
            "providers:\n  openai:\n    x: {per_minute: free}\n",
            "'per_minute' is a price in USD such as 0.006, got 'free'",
        ),
        ("providers:\n  openai:\n    x: {per_minute: -1}\n", "got '-1'"),
        ("providers:\n  openai:\n    x: {per_minute: .nan}\n", "got '.nan'"),
        ("providers:\n  openai:\n    x: {per_minute: [1]}\n", "'per_minute' is one value"),
        (
            "providers:\n  openai:\n    x: {per_million_tokens: {in: 1}}\n",
            "per_million_tokens of 'x' needs 'out'",
        ),
        ("providers:\n  openai:\n    x: {free: 0}\n", "'free' can only be true"),
        (
            "providers:\n  openai:\n    x: {per_minute: 1, date: today}\n",
            "'date' is a day such as 2026-09-29, got 'today'",
        ),
        ("providers:\n  openai: {x: {free: true}, x: {free: true}}\n", ":2: key 'x' is given twice"),
        ("- a\n", ":1: a price table is a mapping of names"),
        ("providers: [\n", "not valid YAML"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_prices(own)
    assert str(caught.value).startswith(f"{own}:")
    assert said in str(caught.value)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text("providers:\n  openai:\n    x: {per_minute: a}\n    y: {}\nextra: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_prices(own)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["3", "4", "5"]


def test_a_price_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").touch()
    with pytest.raises(ConfigError, match=r"there is no such price file; did you mean 'prices.yaml'\?"):
        load_prices(tmp_path / "price.yaml")
    assert load_prices(tmp_path / "prices.yaml").version.startswith("2026-09-29+")


def test_the_example_of_the_documents_is_a_price_file(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "costs.md").read_text(), re.DOTALL)
    (tmp_path / "prices.yaml").write_text(example)
    table = load_prices(tmp_path / "prices.yaml")
    assert table.version == "2026-09-29+contract-2026"
    assert table.cost(usage("local", "llama", tokens_in=1, tokens_out=1)) == 0
