"""Scenario files: Pipecat's, and LiveKit's `scenarios.yaml`, which is read as Pipecat's simulations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pipecat.evals.scenario import EvalScenarioFile, is_scenario_file
from pipecat.evals.script import EvalScriptScenario
from pipecat.evals.simulation import EvalSimulationScenario

from repartee.agent.definition import nearest
from repartee.agent.yaml_text import compose
from repartee.errors import ConfigError
from repartee.evals.checking import check, line_of

MAX_FILE_BYTES = 1_000_000
ENDINGS = (".yaml", ".yml")
LIVEKIT_PERSONA = "A caller on the phone. What you do and say follows from what you want."
Scenario = EvalScriptScenario | EvalSimulationScenario


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario, and where it is from.

    Attributes:
        tags: LiveKit's, for the report.
    """

    scenario: Scenario
    path: Path
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique among the scenarios of a file."""
        return self.scenario.name

    @property
    def simulated(self) -> bool:
        """Whether a model plays the caller."""
        return isinstance(self.scenario, EvalSimulationScenario)

    @property
    def judged(self) -> bool:
        """Whether a model judges it."""
        if isinstance(self.scenario, EvalSimulationScenario):
            return True
        return any(exp.eval is not None for turn in self.scenario.turns for exp in turn.expect)


def load_files(paths: Sequence[Path]) -> tuple[Loaded, ...]:
    """Read scenario files, and those in folders.

    Raises:
        ConfigError: A file is missing or wrong; says where and what would be right.
    """
    files = [_near(file) for path in paths for file in _files(path)]
    loaded = tuple(scenario for file in files for scenario in _load(file))
    seen: dict[str, Path] = {}
    for one in loaded:
        if one.name in seen:
            raise ConfigError(
                f"{one.path}: the scenario '{one.name}' is in {seen[one.name]} as well; give the file "
                "another 'name'"
            )
        seen[one.name] = one.path
    return loaded


def _near(path: Path) -> Path:
    """Return a path as seen from here, where it is below: reports are read on other machines."""
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for ending in ENDINGS for file in path.rglob(f"*{ending}"))
        found = [file for file in files if is_scenario_file(file)]
        if not found:
            raise ConfigError(f"{path}: there is no scenario file in this folder")
        return found
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise ConfigError(f"{path}: there is no such file{nearest(path.name, beside)}")
    return [path]


def _load(path: Path) -> list[Loaded]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES // 1000} kB; a scenario file is text")
        root = compose(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:1: a scenario file is a mapping of keys, e.g. 'name: opening hours'")
    check(path, root)
    livekit = _livekit(path, root)
    if livekit is not None:
        return livekit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of an older layout, which is read all the same
            return [Loaded(scenario, path) for scenario in EvalScenarioFile.load(path)]
    except ValueError as error:
        said = str(error).removeprefix(f"{path}: ")
        raise ConfigError(f"{path}:{line_of(root, said)}: {said}") from error
    except (OSError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path}: something it includes cannot be read: {said}") from error


def _livekit(path: Path, root: yaml.MappingNode) -> list[Loaded] | None:
    """Return the scenarios of LiveKit's format, None when it is Pipecat's."""
    if not any(
        key.value == "scenarios"
        and isinstance(value, yaml.SequenceNode)
        and any(_keys_of(item) & {"instructions", "label"} for item in value.value)
        for key, value in root.value
    ):
        return None
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = _scenario_lines(root)
    name = data.get("name") or path.stem
    return [
        _simulation(path, line, str(name), number, item)
        for number, (item, line) in enumerate(zip(data["scenarios"], lines, strict=True), 1)
    ]


def _simulation(path: Path, line: int, name: str, number: int, item: dict[str, Any]) -> Loaded:
    for key in ("instructions", "agent_expectations"):
        if not isinstance(item.get(key), str) or not item[key].strip():
            raise ConfigError(f"{path}:{line}: this scenario needs '{key}', a text")
    label = str(item.get("label") or number)
    scenario = EvalSimulationScenario(
        name=f"{name}/{label}",
        persona=LIVEKIT_PERSONA,
        goal=item["instructions"].strip(),
        success=item["agent_expectations"].strip(),
        source_path=path,
    )
    tags = item.get("tags") or {}
    if not isinstance(tags, dict):
        raise ConfigError(f"{path}:{line}: 'tags' is a mapping, as in 'tags: {{topic: booking}}'")
    return Loaded(scenario, path, {str(key): str(value) for key, value in tags.items()})


def _keys_of(node: yaml.Node) -> set[str]:
    return {str(key.value) for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()


def _scenario_lines(root: yaml.MappingNode) -> list[int]:
    scenes = next(value for key, value in root.value if key.value == "scenarios")
    return [item.start_mark.line + 1 for item in scenes.value]
