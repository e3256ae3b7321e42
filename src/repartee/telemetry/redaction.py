"""Keeps secrets out of the log, and what other people's code says about a call.

A secret that is known is taken out wherever it stands; one that is not is known by what keys, tokens and passwords
look like. Libraries write into their messages whatever they have at hand, words of a caller too, so in a process that
takes calls only their own name, file and line are logged: with the pinned versions that names the message.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any

GONE = "[secret]"
SHORTEST = 6
"""A shorter value is no secret worth the name, and stands in too many words."""
MAX_TEXT = 4000
OURS = "repartee"
PLAIN = ("livekit", "uvicorn")
"""Libraries whose messages are about connections."""
_NAMES = (
    r"(?:x[-_]api[-_]key|xi[-_]api[-_]key|api[-_]?key|access[-_]?token|refresh[-_]?token|client[-_]?secret|secret"
    r"|passwd|password|authorization|token)"
)
_LOOKS = (
    # The first group stays.
    (re.compile(r"()\beyJ[\w-]{6,}\.[\w-]{4,}\.[\w-]*"), GONE),
    (re.compile(r"()\b(?:sk|pk|rk|rpt|xox[abps]|ghp|gho|glpat)[-_][\w-]{12,}"), GONE),
    (re.compile(r"((?i:\b(?:bearer|basic))\s+)[\w.~+/=-]{6,}"), GONE),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,64}:)[^\s/@]{1,256}(?=@)"), GONE),
    (
        re.compile(rf"((?i:\b{_NAMES})[\"']?\s{{0,3}}[:=]\s{{0,3}}[\"']?)(?!\[secret\])[^\s\"',;&}}]{{4,}}"),
        GONE,
    ),
    (re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[\s\S]{1,8000}?(?:-----END|$)"), GONE),
)


class Redactor:
    """Takes secrets out of texts.

    Args:
        secrets: Those that are known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({value for value in secrets if len(value) >= SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(GONE, text)
        # Long texts are no log lines; what is cut off is not looked at either.
        text = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} (cut off here)"
        for pattern, put in _LOOKS:
            text = pattern.sub(rf"\1{put}", text)
        return text

    def value(self, value: Any) -> Any:
        """Return whatever a log line holds without secrets."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode(errors="replace"))
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(inner) for inner in value]
            case _:
                return self.text(str(value))

    def processor(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Work as a processor of structlog, the last before the line is written."""
        if (raised := _exception(event.pop("exc_info", None))) is not None:
            event["error"], event["where"] = type(raised).__name__, where(raised.__traceback__)
        return {self.text(name): self.value(value) for name, value in event.items()}


class LibraryFilter(logging.Filter):
    """Lets through of other people's loggers what may be logged; for a handler.

    Args:
        redactor: Takes out secrets.
        in_call: This process hears what people say: messages are withheld.
    """

    def __init__(self, redactor: Redactor, *, in_call: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._in_call = in_call

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite a record; False drops it."""
        ours = record.name.split(".", 1)[0] == OURS
        if record.levelno < logging.WARNING and not ours:
            return False
        plain = ours or record.name.split(".", 1)[0] in PLAIN or not self._in_call
        record.msg = (
            self._redactor.text(_message(record))
            if plain
            else f"{record.name} {record.filename}:{record.lineno} (message withheld)"
        )
        record.args = None
        raised = _exception(record.exc_info)
        record.exc_info = record.exc_text = record.stack_info = None
        if raised is not None:
            record.msg += f" {type(raised).__name__} at {where(raised.__traceback__)}"
        return True


def library_sink(message: Any) -> None:
    """Pass on what loguru is told, which Pipecat logs with: who said it where and how badly, and not what."""
    told = message.record
    raised = told["exception"].value if told["exception"] is not None else None
    record = logging.LogRecord(
        told["name"] or "loguru",
        told["level"].no,
        told["file"].path,
        told["line"],
        "(message withheld)",
        None,
        (type(raised), raised, raised.__traceback__) if raised is not None else None,
    )
    logging.getLogger(record.name).handle(record)


def where(trace: TracebackType | None) -> str:
    """Return where something was raised, the last places first: files and lines, never a text."""
    frames = traceback.extract_tb(trace)[-4:]
    return " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # a message whose arguments do not fit it
        return str(record.msg)


def _exception(given: Any) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) > 1 and isinstance(given[1], BaseException) else None
    return sys.exc_info()[1] if given is True else None
