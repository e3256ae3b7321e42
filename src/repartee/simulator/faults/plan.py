"""A plan of faults: which requests are hit, and how. Read from YAML, strictly."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from repartee.agent.slots import nearest
from repartee.errors import ConfigError
from repartee.simulator.faults.arguments import VERBS, Arguments

Stage = Literal["stt", "llm", "tts"]
STAGES: tuple[Stage, ...] = ("stt", "llm", "tts")
ROUTES: tuple[tuple[str, Stage, str], ...] = (
    ("*/audio/transcriptions", "stt", "openai"),
    ("*/chat/completions", "llm", "openai"),
    ("*/audio/speech", "tts", "openai"),
    ("*/realtime", "stt", "openai-realtime"),
    ("*/text-to-speech/*", "tts", "elevenlabs"),
    ("*/tts/*", "tts", "cartesia"),
)
"""What a path is for, and whose it is; the first that fits."""
CONVERSATION: tuple[Stage, str] = ("llm", "openai-realtime")
"""What OpenAI's socket is for, and whose, unless its query says that it only transcribes."""
PROVIDERS = tuple(dict.fromkeys(provider for _, _, provider in ROUTES))
MAX_FILE_BYTES = 100_000
_COMMON = ("match", "from", "until", "count", "probability")
_MATCH = ("stage", "provider", "path")


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests; what is None does not matter.

    Attributes:
        stage: What they are for.
        provider: Whose they are.
        path: Their path, with `*` for anything.
    """

    stage: Stage | None = None
    provider: str | None = None
    path: str | None = None

    def fits(self, target: str) -> bool:
        """Say whether a request is meant, by its path and query."""
        stage, provider = served(target)
        path = target.partition("?")[0]
        return (
            (self.stage is None or self.stage == stage)
            and (self.provider is None or self.provider == provider)
            and (self.path is None or fnmatch.fnmatchcase(path, self.path))
        )


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        verb: Its name.
        arguments: What it is told.
        match: Which requests it is for; they are counted from 1, for each fault on its own.
        first: It hits from this one on.
        last: It hits up to this one; None has no end.
        probability: It hits so many of these.
    """

    verb: str
    arguments: Arguments
    match: Match = field(default_factory=Match)
    first: int = 1
    last: int | None = None
    probability: float = 1.0

    @classmethod
    def of(
        cls,
        verb: str,
        match: Match | None = None,
        *,
        first: int = 1,
        last: int | None = None,
        **arguments: object,
    ) -> Fault:
        """Make one without a file.

        Raises:
            pydantic.ValidationError: The verb is not told so.
        """
        return cls(verb, VERBS[verb].model_validate(arguments), match or Match(), first, last)

    def hits(self, ordinal: int, chance: float) -> bool:
        """Say whether the request with this number is hit."""
        return (
            self.first <= ordinal
            and (self.last is None or ordinal <= self.last)
            and chance < self.probability
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go wrong: the same requests in every run with the same seed."""

    faults: tuple[Fault, ...] = ()
    seed: int = 1

    def chance(self, number: int, ordinal: int) -> float:
        """Return a number of [0, 1) for a request of a fault."""
        digest = hashlib.sha256(f"{self.seed}/{number}/{ordinal}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


def served(target: str) -> tuple[Stage | None, str]:
    """Return what a path, with its query, is for and whose it is."""
    path, _, query = target.partition("?")
    if path.endswith("/realtime") and "intent=transcription" not in query.split("&"):
        return CONVERSATION
    for pattern, stage, provider in ROUTES:
        if fnmatch.fnmatchcase(path, pattern):
            return stage, provider
    return None, ""


# --- reading --------------------------------------------------------------------------------------------------


class _WrongError(Exception):
    """Something is wrong at a line."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        ConfigError: It cannot be used; says where and why, in one sentence.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES // 1000} kB; a plan of faults is text")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"the plan of faults {path} cannot be read: {why}") from error
    return parse_plan(text, str(path))


def parse_plan(text: str, name: str = "plan") -> Plan:
    """Read a plan from text.

    Raises:
        ConfigError: It cannot be used; says where and why, in one sentence.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        keys = _mapping(node, ("seed", "faults"), 1, "a plan of faults")
        seed = _number(keys, "seed", 1, int)
        return Plan(tuple(_fault(item) for item in _items(keys)), seed)
    except _WrongError as wrong:
        raise ConfigError(f"{name}:{wrong.line}: {wrong}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from error


Keys = dict[str, tuple[int, yaml.Node]]
"""A mapping's keys, each with its line and its value."""


def _items(keys: Keys) -> list[yaml.Node]:
    if "faults" not in keys:
        raise _WrongError(1, "'faults' is missing; list them as in '- status: {code: 500}'")
    line, node = keys["faults"]
    if not isinstance(node, yaml.SequenceNode):
        raise _WrongError(line, "'faults' is a list, as in '- status: {code: 500}'")
    return list(node.value)


def _mapping(node: yaml.Node | None, known: tuple[str, ...], line: int, what: str) -> Keys:
    if not isinstance(node, yaml.MappingNode):
        raise _WrongError(
            line, f"{what} is a mapping of {', '.join(known[:6])}{', ...' if len(known) > 6 else ''}"
        )
    keys: Keys = {}
    for key, value in node.value:
        at, name = key.start_mark.line + 1, str(key.value)
        if name not in known:
            raise _WrongError(at, f"there is no '{name}' in {what}{nearest(name, known)}")
        if name in keys:
            raise _WrongError(at, f"'{name}' is given twice")
        keys[name] = (at, value)
    return keys


def _value(node: yaml.Node) -> Any:
    return yaml.SafeLoader("").construct_document(node)


def _number(keys: Keys, name: str, default: Any, kind: type) -> Any:
    if name not in keys:
        return default
    line, node = keys[name]
    value = _value(node)
    right = isinstance(value, int | kind) and not isinstance(value, bool)
    if not right:
        raise _WrongError(line, f"'{name}' is a {'whole ' if kind is int else ''}number, not {value!r:.40}")
    return value


def _fault(node: yaml.Node) -> Fault:
    line = node.start_mark.line + 1
    keys = _mapping(node, (*VERBS, *_COMMON), line, "a fault")
    verbs = [name for name in keys if name in VERBS]
    if len(verbs) != 1:
        said = " and ".join(f"'{verb}'" for verb in verbs)
        raise _WrongError(
            line,
            f"a fault is one verb, this has {said}; write two faults"
            if verbs
            else f"a fault needs a verb: {', '.join(VERBS)}",
        )
    first, last = _range(keys, line)
    probability = _number(keys, "probability", 1.0, float)
    if not 0 <= probability <= 1:
        raise _WrongError(keys["probability"][0], f"'probability' is from 0 to 1, not {probability}")
    arguments = _arguments(verbs[0], *keys[verbs[0]])
    return Fault(verbs[0], arguments, _match(keys), first, last, float(probability))


def _range(keys: Keys, line: int) -> tuple[int, int | None]:
    first = _number(keys, "from", 1, int)
    if "until" in keys and "count" in keys:
        raise _WrongError(line, "a fault has 'until' or 'count', not both")
    last = _number(keys, "until", None, int)
    if "count" in keys:
        last = first + _number(keys, "count", 1, int) - 1
    if first < 1 or (last is not None and last < first):
        raise _WrongError(line, f"requests are counted from 1: from {first} to {last} there is none")
    return first, last


def _match(keys: Keys) -> Match:
    if "match" not in keys:
        return Match()
    line, node = keys["match"]
    inner = _mapping(node, _MATCH, line, "'match'")
    values = {name: (at, _value(below)) for name, (at, below) in inner.items()}
    for name, choices in (("stage", STAGES), ("provider", PROVIDERS)):
        at, value = values.get(name, (0, None))
        if value is not None and value not in choices:
            raise _WrongError(at, f"there is no {name} '{value}'{nearest(str(value), choices)}")
    at, path = values.get("path", (0, None))
    if path is not None and not isinstance(path, str):
        raise _WrongError(at, f"'path' is a text such as '/v1/audio/*', not {path!r:.40}")
    stage, provider = (values.get(name, (0, None))[1] for name in ("stage", "provider"))
    return Match(stage, provider, path)


def _arguments(verb: str, line: int, node: yaml.Node) -> Arguments:
    value = _value(node)
    if value is None:
        value = {}
    model = VERBS[verb]
    if not isinstance(value, dict):
        raise _WrongError(line, f"'{verb}' takes {_names(model) or 'nothing: {}'}, not {value!r:.40}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise _WrongError(_line(node, first["loc"]) or line, _explained(verb, model, first)) from None


def _names(model: type[Arguments]) -> str:
    fields = [name for name in model.model_fields if name != "of"]
    return "a mapping of " + ", ".join(fields) if fields else ""


def _explained(verb: str, model: type[Arguments], item: ErrorDetails) -> str:
    name = ".".join(str(part) for part in item["loc"])
    match item["type"]:
        case "extra_forbidden":
            return f"'{verb}' has no '{name}'{nearest(name, model.model_fields)}"
        case "missing":
            return f"'{verb}' needs '{name}'"
        case "value_error":
            return str(item["ctx"]["error"])
        case "literal_error" if isinstance(item["input"], str):
            choices = [
                choice.strip("' ") for choice in str(item["ctx"]["expected"]).replace(" or ", ",").split(",")
            ]
            return f"'{name}' of '{verb}' cannot be '{item['input']}'{nearest(item['input'], choices)}"
        case _:
            return f"'{name}' of '{verb}': {item['msg'].lower()}, not {item['input']!r:.40}"


def _line(node: yaml.Node, location: tuple[int | str, ...]) -> int | None:
    if isinstance(node, yaml.MappingNode) and location:
        return next((key.start_mark.line + 1 for key, _ in _pairs(node) if key.value == location[0]), None)
    return None


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    yield from node.value
