"""Logs: one line per fact, no secrets, nothing anybody said."""

from __future__ import annotations

import logging
import sys

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up_logs(level: str) -> None:
    """Send structured logs to stderr; readable on a terminal, JSON elsewhere."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def quiet_pipecat() -> None:
    """Let only Pipecat's warnings through: at debug it writes what people say."""
    from loguru import logger  # noqa: PLC0415 - comes with Pipecat, and only where Pipecat runs

    logger.remove()
    logger.add(sys.stderr, level="WARNING", format="{time:HH:mm:ss} {level} {name} {message}")
