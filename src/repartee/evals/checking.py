"""What is wrong with a scenario file: the sentence, the line, and the nearest name that would be right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from pipecat.evals.script import FUNCTION_CALL_EVENTS, JUDGEABLE_EVENTS

from repartee.agent.definition import nearest
from repartee.errors import ConfigError

EVENTS = frozenset(
    {
        *JUDGEABLE_EVENTS,
        *FUNCTION_CALL_EVENTS,
        "bot_backchannel",
        "bot_interrupted",
        "bot_started_speaking",
        "bot_stopped_speaking",
        "image",
        "llm_marker",
        "llm_started",
        "user_backchannel",
        "user_started_speaking",
        "user_stopped_speaking",
        "user_transcription",
        "vad_user_started_speaking",
        "vad_user_stopped_speaking",
    }
)
_BLOCKS = ("name", "user", "judge", "context", "trigger_disconnect")
_SCRIPT = ("turns", "stop_on_failure")
_SIMULATION = (
    "persona",
    "goal",
    "success",
    "simulator",
    "metrics",
    "max_turns",
    "max_duration_s",
    "max_silence_s",
    "runs",
)
LIVEKIT = ("label", "instructions", "agent_expectations", "tags", "userdata")
SCENARIO = (*_BLOCKS, *_SCRIPT, *_SIMULATION)
TURN = ("user", "dtmf", "audio", "image", "send_after", "expect")
EXPECT = (
    "event",
    "within_ms",
    "text_contains",
    "text_excludes",
    "eval",
    "calls",
    "name",
    "args",
    "absent",
    "check_from",
    "marker",
    "marker_first",
    "markers",
    "text_after",
)
METRIC = ("name", "criterion", "min_score", "measure", "min_value", "max_value", "calls")
_AT = re.compile(r"(turn|expectation|scenario|metric) #(\d+)")
Found = tuple[int, str]


def check(path: Path, root: yaml.MappingNode) -> None:
    """Check the keys and events of a scenario file.

    Raises:
        ConfigError: Every mistake, one on a line.
    """
    found = sorted(set(_file(root)))
    if found:
        raise ConfigError("\n".join(f"{path}:{line}: {said}" for line, said in found))


def line_of(root: yaml.MappingNode, message: str) -> int:
    """Return the line a message of the parser is about, by the numbers of turn and expectation in it."""
    at = {what: int(number) for what, number in _AT.findall(message)}
    scenes = [item for item in _items(_value(root, "scenarios")) if isinstance(item, yaml.MappingNode)]
    if "scenario" in at:
        return _line(scenes[at["scenario"]]) if at["scenario"] < len(scenes) else _line(root)
    for scene in [root, *scenes]:
        items = _items(_value(scene, "metrics" if "metric" in at else "turns"))
        number = at.get("metric", at.get("turn"))
        if number is not None and number < len(items):
            expected = _items(_value(items[number], "expect"))
            inside = at.get("expectation", len(expected))
            return _line(expected[inside]) if inside < len(expected) else _line(items[number])
    return _line(root)


# --- walking ----------------------------------------------------------------------------------------------------


def _file(root: yaml.MappingNode) -> Iterator[Found]:
    yield from _keys(root, ("scenarios", *SCENARIO))
    yield from _scenario(root)
    for item in _items(_value(root, "scenarios")):
        if not isinstance(item, yaml.MappingNode):
            yield _line(item), "a scenario is a mapping, as in '- name: opening hours'"
            continue
        yield from _keys(item, LIVEKIT if _has(item, "instructions") else (*SCENARIO, "instructions"))
        yield from _scenario(item)


def _scenario(node: yaml.MappingNode) -> Iterator[Found]:
    for turn in _items(_value(node, "turns")):
        yield from _keys(turn, TURN)
        yield from _keys(_value(turn, "send_after"), ("event", "delay_ms"))
        yield from _event(_value(turn, "send_after"))
        for expected in _items(_value(turn, "expect")):
            yield from _keys(expected, EXPECT)
            yield from _event(expected)
    for metric in _items(_value(node, "metrics")):
        yield from _keys(metric, METRIC)
    yield from _keys(_value(node, "user"), ("modality", "speech"))
    yield from _keys(_value(node, "judge"), ("modality", "eval", "transcription"))


def _keys(node: yaml.Node | None, known: tuple[str, ...]) -> Iterator[Found]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, _ in node.value:
        name = str(key.value)
        if name not in known and not name.startswith("x-"):
            yield key.start_mark.line + 1, f"unknown key '{name}'{nearest(name, known)}"


def _event(node: yaml.Node | None) -> Iterator[Found]:
    event = _value(node, "event")
    if isinstance(event, yaml.ScalarNode) and event.value not in EVENTS:
        yield _line(event), f"there is no event '{event.value}'{nearest(event.value, sorted(EVENTS))}"


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _has(node: yaml.Node, name: str) -> bool:
    return _value(node, name) is not None


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
