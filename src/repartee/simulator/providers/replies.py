"""What the simulated model answers: a script where one matches, else a sentence made from what was said.

A reply made from half a sentence differs from the reply to the whole of it, so a wrong speculation shows.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from repartee.conversation.summaries import NOTES_OF_A_CALL
from repartee.errors import ConfigError
from repartee.simulator.providers import recall

OPENINGS = ("Certainly.", "Of course.", "Good question.", "Let me see.", "Sure.")
Message = dict[str, Any]
Style = Literal["long", "short"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a script.

    Attributes:
        when: What the user said last must match this.
        after: Or: the model is asked again after a tool of this name has answered.
        persona: And what the model was told to be must match this.
    """

    when: re.Pattern[str] | None
    after: str | None
    persona: re.Pattern[str] | None
    say: str | None
    call: str | None
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answers: words, or a call of a tool."""

    text: str = ""
    tool: str | None = None
    arguments: dict[str, Any] | None = None


class Replies:
    """Chooses replies.

    Args:
        script: YAML: a list of {when: regular expression | after: tool, as: regular expression, say: text |
            call: tool, with: {argument: value}}.
        style: How long an answer is that no rule gives.

    Raises:
        ConfigError: The script cannot be used.
    """

    def __init__(self, script: Path | None, style: Style = "long") -> None:
        self._rules = _load(script) if script else []
        self.style = style

    def answer(self, messages: list[Message]) -> Reply:
        """Answer a conversation: notes where notes are asked for, what was said before from the prompt alone."""
        last = messages[-1] if messages else {}
        if messages and _text(messages[0]).startswith(NOTES_OF_A_CALL):
            return Reply(recall.notes(messages))
        persona = _text(messages[0]) if messages and messages[0].get("role") == "system" else ""
        rules = [rule for rule in self._rules if rule.persona is None or rule.persona.search(persona)]
        if last.get("role") == "tool":
            called = _called(messages)
            said = next((rule.say for rule in rules if rule.after == called and rule.say), None)
            return Reply(said or _told(_text(last)))
        said = _text(next((m for m in reversed(messages) if m.get("role") == "user"), {}))
        for rule in rules:
            if rule.when is not None and (match := rule.when.search(said)):
                if rule.call is not None:
                    return Reply(tool=rule.call, arguments=_filled(rule.arguments, match))
                return Reply((rule.say or "").format(*match.groups(), **match.groupdict()))
        if recall.RECALL.search(said):
            return Reply(recall.recalled(said, messages))
        return Reply(_made(said, self.style))


def _made(said: str, style: Style) -> str:
    words = normalised(said)
    opening = OPENINGS[zlib.crc32(words.encode()) % len(OPENINGS)]
    if not words:
        return f"{opening} What can I do for you?"
    if style == "short":
        return f"{opening} That is case {code(words)}."
    return f"{opening} You said: {words}. That is case number {code(words)}. Is there anything else?"


def code(said: str) -> int:
    """Return the number of the answer to what was said: three digits, which the made-up voice speaks as tones."""
    return zlib.crc32(normalised(said).encode()) % 900 + 100


def normalised(text: str) -> str:
    """Return a text's words in lower case, without signs."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def _told(result: str) -> str:
    return f"Here is what I found. {result.strip()}"


def _called(messages: list[Message]) -> str:
    """Return the name of the tool that was called last."""
    calls: list[Message] = next((m["tool_calls"] for m in reversed(messages) if m.get("tool_calls")), [])
    return str(calls[-1]["function"]["name"]) if calls else ""


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _filled(arguments: dict[str, Any], match: re.Match[str]) -> dict[str, Any]:
    return {
        name: value.format(*match.groups(), **match.groupdict()) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


def _load(path: Path) -> list[Rule]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the script {path} cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the script {path} is not YAML: {error}") from error
    rules = []
    for number, item in enumerate(data if isinstance(data, list) else [None], 1):
        if (
            not isinstance(item, dict)
            or ("when" in item) == ("after" in item)
            or ("say" in item) == ("call" in item)
            or ("after" in item and "call" in item)
        ):
            raise ConfigError(
                f"{path}: rule {number} needs 'when' and one of 'say' and 'call', or 'after' and 'say'"
            )
        try:
            when, persona = (
                re.compile(str(item[key]), re.IGNORECASE) if key in item else None for key in ("when", "as")
            )
        except re.error as error:
            raise ConfigError(
                f"{path}: rule {number}: 'when' or 'as' is no regular expression ({error})"
            ) from error
        after = str(item["after"]) if "after" in item else None
        arguments = dict(item.get("with") or {})
        rules.append(Rule(when, after, persona, item.get("say"), item.get("call"), arguments))
    return rules
