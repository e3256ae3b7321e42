"""Who writes the notes: a model behind the real SDK against the simulator, and sentences picked on the machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from pydantic import SecretStr

from repartee.agent import load_agent
from repartee.conversation.facts import Fact
from repartee.conversation.memory import FoldJob
from repartee.conversation.summaries import read_summary
from repartee.errors import ConfigError, ProviderError
from repartee.providers.embedding import Embedder
from repartee.providers.ladder import SMALL_MODELS, Ladder, Rung, summary_model
from repartee.providers.metered_http import MeteredClient
from repartee.providers.metering import Meter
from repartee.providers.summariser import ModelSummariser, PickingSummariser
from repartee.settings import Settings
from repartee.simulator.providers import Simulator, SimulatorConfig
from repartee.simulator.providers.desk import Fault
from repartee.telemetry.usage import Usage
from tests.conftest import FRONT_DESK

LINES = (
    "User: My order number is 48213.",
    "Agent: Thank you.",
    "User: The boiler rattles whenever somebody opens the tap.",
    "User: Okay.",
    "Agent: Our technician comes on Friday at eleven.",
)
JOB = FoldJob(
    3, 5, "User: Jennifer Smyth called.", (Fact("name", "caller", "Jennifer Smyth", 1),), LINES, 200
)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator.start(SimulatorConfig(profile="fixed:0/0/0")) as running:
        yield running


def model(url: str, reports: list[Usage]) -> ModelSummariser:
    client = AsyncOpenAI(
        api_key="x",
        base_url=f"{url}/v1",
        max_retries=0,
        timeout=5,
        http_client=MeteredClient(Meter(reports.append), "openai"),
    )
    return ModelSummariser(client, "openai", SMALL_MODELS["openai"])


async def test_a_model_s_notes_hold_old_and_new_and_are_billed(simulator: Simulator) -> None:
    reports: list[Usage] = []
    summary = await model(simulator.url, reports).summarise(JOB)
    assert "Jennifer Smyth called" in summary.text
    assert "boiler rattles" in summary.text
    assert any(fact.about == "order number" and fact.text == "48213" for fact in summary.facts)
    (usage,) = reports
    (entry,) = simulator.desk.bill.entries
    assert (usage.purpose, usage.stage, usage.outcome) == ("summary", "llm", "done")
    assert usage.model == SMALL_MODELS["openai"]
    assert not usage.estimated
    assert usage.quantities["tokens_in"] == entry.tokens_in
    assert usage.quantities["tokens_out"] == entry.tokens_out


async def test_a_request_that_fails_is_told_and_reported(simulator: Simulator) -> None:
    reports: list[Usage] = []
    simulator.desk.faults.append(Fault("llm", "error", 1))
    with pytest.raises(ProviderError, match="did not write the notes"):
        await model(simulator.url, reports).summarise(JOB)
    assert [(usage.outcome, usage.billed, usage.purpose) for usage in reports] == [
        ("failed", False, "summary")
    ]


async def test_one_that_is_called_off_is_reported_as_an_estimate(simulator: Simulator) -> None:
    reports: list[Usage] = []
    simulator.desk.faults.append(Fault("llm", "stall", 1))
    work = asyncio.create_task(model(simulator.url, reports).summarise(JOB))
    async with asyncio.timeout(10):
        while not simulator.desk.waiting:  # noqa: ASYNC110 - nothing announces that a request has arrived
            await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    (usage,) = reports
    assert (usage.outcome, usage.estimated) == ("cancelled", True)
    assert usage.quantities["tokens_in"] > Decimal(50)


@pytest.mark.parametrize(
    "answer", ["", "no", "[]", "{}", '{"summary": ""}', '{"summary": 3}', '{"summary": "x"']
)
def test_an_answer_that_is_no_summary_is_refused(answer: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error is one
        read_summary(answer, "", 1)


def test_a_fact_that_nobody_said_is_left_out() -> None:
    facts = [
        {"kind": "number", "about": "order number", "text": "48213"},
        {"kind": "number", "about": "invoice", "text": "99999"},
        {"kind": "name", "about": "caller", "text": "Bob Hill"},
        {"kind": "weather", "about": "", "text": "sunny"},
        {"kind": "detail", "about": 3, "text": "x"},
        "nonsense",
    ]
    summary = read_summary(f"```json\n{json.dumps({'summary': 'A b.', 'facts': facts})}\n```", LINES[0], 4)
    assert [(fact.about, fact.text, fact.turn) for fact in summary.facts] == [("order number", "48213", 4)]


def host(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://speech")


def embeddings(request: httpx.Request) -> httpx.Response:
    """Most lines are about the boiler."""
    texts = json.loads(request.content)["input"]
    vectors = [[0.0, 1.0] if "cakes" in text else [1.0, 0.0] for text in texts]
    return httpx.Response(200, json={"data": [{"embedding": vector} for vector in vectors]})


@pytest.mark.parametrize(
    "answer", [embeddings, lambda _: httpx.Response(500), lambda _: httpx.Response(200, json={})]
)
async def test_without_a_model_sentences_are_picked(answer: Any) -> None:
    summary = await PickingSummariser(Embedder(host(answer))).summarise(JOB)
    assert "Okay" not in summary.text
    assert summary.text.index("Jennifer Smyth") < summary.text.index("boiler rattles"), "in their order"


async def test_sentence_vectors_say_which_are_central() -> None:
    lines = ("User: Paul likes 12 cakes.", "User: Our boiler rattles loudly.", "User: The boiler is old.")
    tight = FoldJob(1, 5, "", (), lines, 12)
    by_words = await PickingSummariser().summarise(tight)
    by_meaning = await PickingSummariser(Embedder(host(embeddings))).summarise(tight)
    assert by_words.text == "User: Paul likes 12 cakes."
    assert "boiler" in by_meaning.text


class TestChoice:
    def ladder(self, provider: str, name: str) -> Ladder:
        rung = Rung("llm", provider, name, "")
        return Ladder(rung, rung, rung)

    @pytest.mark.parametrize(
        ("provider", "wished", "chosen"),
        [
            ("openai", None, ("openai", SMALL_MODELS["openai"])),
            ("local", None, ("local", "llama3.2")),
            ("answers", None, None),
            ("openai", "extractive", None),
            ("openai", "openai:gpt-4.1-mini", ("openai", "gpt-4.1-mini")),
        ],
    )
    def test_who_writes(
        self, plain_settings: Settings, provider: str, wished: str | None, chosen: tuple[str, str] | None
    ) -> None:
        settings = plain_settings.model_copy(update={"openai_api_key": SecretStr("k")})
        agent = load_agent(FRONT_DESK)
        section = agent.memory.model_copy(update={"summary": wished})
        agent = agent.model_copy(update={"memory": section})
        assert summary_model(settings, agent, self.ladder(provider, "llama3.2")) == chosen

    def test_a_key_that_is_missing_is_told(self, plain_settings: Settings) -> None:
        agent = load_agent(FRONT_DESK)
        section = agent.memory.model_copy(update={"summary": "openai:gpt-4.1-nano"})
        with pytest.raises(ConfigError, match="which needs OPENAI_API_KEY"):
            summary_model(
                plain_settings, agent.model_copy(update={"memory": section}), self.ladder("answers", "")
            )
