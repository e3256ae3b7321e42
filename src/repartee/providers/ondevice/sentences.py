"""Sentence vectors: all-MiniLM-L6-v2 in numpy. Six small layers need no framework."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float32]
LAYERS, HEADS, HIDDEN = 6, 12, 384
EPSILON = 1e-12
MAX_TOKENS = 128


class SentenceModel:
    """Texts to unit vectors of 384 numbers; similar meanings have a large dot product.

    Args:
        weights: The model's safetensors file.
        tokenizer: Its tokenizer.json.
    """

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        self._weights: dict[str, Array] = {
            name.removeprefix("bert."): value.astype(np.float32)
            for name, value in load_file(weights).items()
            if value.dtype.kind == "f"
        }
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: list[str]) -> Array:
        """Return one unit vector per text, shape (len(texts), 384)."""
        return np.stack([self._embed_one(text) for text in texts])

    def _embed_one(self, text: str) -> Array:
        ids = self._tokenizer.encode(text).ids
        w = self._weights
        hidden = w["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + w["embeddings.position_embeddings.weight"][: len(ids)]
        hidden = hidden + w["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            hidden = self._layer(hidden, f"encoder.layer.{layer}")
        mean = hidden.mean(axis=0)
        return cast("Array", mean / np.linalg.norm(mean))

    def _layer(self, hidden: Array, name: str) -> Array:
        length, width = len(hidden), HIDDEN // HEADS

        def heads(part: str) -> Array:
            projected = self._dense(hidden, f"{name}.attention.self.{part}")
            return projected.reshape(length, HEADS, width).transpose(1, 0, 2)

        scores = heads("query") @ heads("key").transpose(0, 2, 1) / math.sqrt(width)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ heads("value")
        attended = self._dense(
            mixed.transpose(1, 0, 2).reshape(length, HIDDEN), f"{name}.attention.output.dense"
        )
        hidden = self._norm(hidden + attended, f"{name}.attention.output.LayerNorm")
        grown = _gelu(self._dense(hidden, f"{name}.intermediate.dense"))
        return self._norm(hidden + self._dense(grown, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _dense(self, value: Array, name: str) -> Array:
        return value @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, value: Array, name: str) -> Array:
        mean = value.mean(axis=-1, keepdims=True)
        spread = np.sqrt(value.var(axis=-1, keepdims=True) + EPSILON)
        scaled = (value - mean) / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return cast("Array", scaled)


def _gelu(value: Array) -> Array:
    # tanh form; within 1e-3 of the exact one, which needs scipy.
    inner = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
    return cast("Array", (0.5 * value * (1 + np.tanh(inner))).astype(np.float32))
