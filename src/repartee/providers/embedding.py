"""Sentence vectors from the speech host, with those made before kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import httpx
import numpy as np
import numpy.typing as npt

Vectors: TypeAlias = npt.NDArray[np.float32]
Embed: TypeAlias = Callable[[Sequence[str]], Awaitable[Vectors]]
"""Texts to unit vectors, shape (texts, 384)."""
MODEL = "all-MiniLM-L6-v2"
MAX_KEPT = 2048


class Embedder:
    """Texts to unit vectors.

    Args:
        client: HTTP client of the speech host.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._kept: dict[str, Vectors] = {}

    async def __call__(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text, shape (texts, 384).

        Raises:
            httpx.HTTPError: The speech host does not answer.
        """
        missing = list(dict.fromkeys(text for text in texts if text not in self._kept))
        new: dict[str, Vectors] = {}
        if missing:
            response = await self._client.post("/v1/embeddings", json={"model": MODEL, "input": missing})
            response.raise_for_status()
            rows = (np.array(item["embedding"], np.float32) for item in response.json()["data"])
            new = dict(zip(missing, rows, strict=True))
            if len(self._kept) + len(new) <= MAX_KEPT:
                self._kept.update(new)
        return np.stack([new[text] if text in new else self._kept[text] for text in texts])
