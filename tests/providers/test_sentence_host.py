"""The speech host that is started for sentence vectors alone."""

from __future__ import annotations

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from repartee.providers.ondevice import host


async def test_it_makes_vectors_and_loads_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("neither recogniser nor voice is loaded")

    monkeypatch.setattr(host, "Whisper", never)
    monkeypatch.setattr(host, "Speakers", never)
    async with TestClient(TestServer(host.Host(speech=False).app())) as client:
        answer = await client.post("/v1/embeddings", json={"input": ["kids", "children", "tyre"]})
        vectors = np.array([item["embedding"] for item in (await answer.json())["data"]])
        assert vectors.shape == (3, 384)
        assert vectors[0] @ vectors[1] > 0.7 > vectors[0] @ vectors[2]
        for path in ("/v1/audio/speech", "/v1/audio/transcriptions"):
            refused = await client.post(path, json={"input": "hello"})
            assert refused.status == 404
            assert "sentence vectors only" in (await refused.json())["error"]["message"]
