"""Logs: one line per fact, no secrets, nothing anybody said."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import structlog

from repartee.telemetry.calling import about_call
from repartee.telemetry.redaction import LibraryFilter, Redactor, library_sink, where

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up_logs(level: str, secrets: Iterable[str] = (), *, in_call: bool = False) -> None:
    """Send structured logs to stderr; readable on a terminal, JSON elsewhere.

    Args:
        level: Of our own lines; of other people's libraries only warnings are logged, whatever it is.
        secrets: Never written.
        in_call: This process hears what people say: of libraries only where they warn is written, and not what.
    """
    redactor = Redactor(secrets)
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            about_call,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            redactor.processor,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(LibraryFilter(redactor, in_call=in_call))
    handler.setFormatter(_LibraryLine(renderer))
    # In place of what is there: a library may have set up a handler of its own while it was imported.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    if in_call:
        sys.excepthook = _died


def quiet_pipecat() -> None:
    """Let only Pipecat's warnings through, and of them where they are: at debug it writes what people say."""
    from loguru import logger  # noqa: PLC0415 - comes with Pipecat, and only where Pipecat runs

    logger.remove()
    logger.add(library_sink, level="WARNING")


class _LibraryLine(logging.Formatter):
    """Writes what a library says, as far as `LibraryFilter` has let it through, as a line like ours."""

    def __init__(self, renderer: structlog.typing.Processor) -> None:
        super().__init__()
        stamp = structlog.processors.TimeStamper(fmt="iso")
        self._steps: tuple[structlog.typing.Processor, ...] = (about_call, stamp, renderer)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: Any = {"event": "library", "says": record.getMessage(), "level": record.levelname.lower()}
        for step in self._steps:
            line = step(None, record.levelname.lower(), line)
        return str(line)


def _died(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
    """Say where a process broke, in place of Python, which would say what with."""
    structlog.get_logger().error("process.died", error=kind.__name__, where=where(trace))
