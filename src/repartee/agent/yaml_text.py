"""YAML of the operator, as nodes with their lines: what is wrong with it is a sentence, and it cannot run away."""

from __future__ import annotations

from pathlib import Path

import yaml

from repartee.errors import ConfigError

MAX_NODES = 50_000
"""With everything that anchors repeat: ten lines of them can stand for a billion."""
MAX_DEPTH = 50


def compose(path: Path, text: str) -> yaml.Node | None:
    """Return the root of a text, None when it is empty.

    Args:
        path: For the error.
        text: What is in it.

    Raises:
        ConfigError: It is no YAML, nested too deep, or too much.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        raise ConfigError(
            f"{path}:{line}: not valid YAML: a control character or half a character"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}:1: nested too deep for an agent or a price") from error
    if node is not None:
        _measure(path, node)
    return node


def _measure(path: Path, root: yaml.Node) -> None:
    waiting, seen = [(root, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise ConfigError(
                f"{path}:{node.start_mark.line + 1}: nested deeper than {MAX_DEPTH}, or more than {MAX_NODES} "
                "values; an anchor may repeat itself"
            )
        if isinstance(node, yaml.MappingNode):
            waiting += [(part, depth + 1) for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]
