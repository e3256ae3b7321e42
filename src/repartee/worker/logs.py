"""Logs: one line per fact, no secrets, nothing anybody said."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from types import TracebackType

import structlog

from repartee.telemetry.redaction import LibraryFilter, Redactor, library_line, where

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
            structlog.contextvars.merge_contextvars,
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
    # In place of what is there: a library may have set up a handler of its own while it was imported.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    if in_call:
        sys.excepthook = _died


def quiet_pipecat() -> None:
    """Let only Pipecat's warnings through, and of them where they are: at debug it writes what people say."""
    from loguru import logger  # noqa: PLC0415 - comes with Pipecat, and only where Pipecat runs

    logger.remove()
    logger.add(library_line(sys.stderr.write), level="WARNING")


def _died(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
    """Say where a process broke, in place of Python, which would say what with."""
    structlog.get_logger().error("process.died", error=kind.__name__, where=where(trace))
