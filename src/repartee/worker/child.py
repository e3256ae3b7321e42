"""Inside a session process: warm up, wait for one call, take it, end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Read by numpy's and ONNX's native code when they load: threads of many calls on few cores starve each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from repartee.errors import ReparteeError
from repartee.session import SessionSpec
from repartee.settings import Settings
from repartee.worker.logs import quiet_pipecat, set_up_logs

HEARTBEAT_S = 1.0


def child_main(pipe: Connection, settings: Settings, agent_path: Path) -> None:
    """Serve one call. Messages to the parent: ("ready"|"beat"|"connected"|"ended"|"failed", detail)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's; it ends calls in order
    set_up_logs(settings.log_level, settings.secrets, in_call=True)
    quiet_pipecat()
    from repartee.session.session import prewarm  # noqa: PLC0415 - the worker itself does without Pipecat

    try:
        prewarm(settings, agent_path)
        pipe.send(("ready", ""))
        spec = pipe.recv()
    except EOFError:
        return
    except ReparteeError as error:
        pipe.send(("failed", str(error)))
        sys.exit(error.exit_code)
    if isinstance(spec, SessionSpec):
        asyncio.run(_take(pipe, spec, settings))


async def _take(pipe: Connection, spec: SessionSpec, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def parent_gone_or_stop() -> None:
        try:
            pipe.recv()
        except EOFError:
            loop.remove_reader(pipe.fileno())
        stop.set()

    loop.add_reader(pipe.fileno(), parent_gone_or_stop)
    beating = asyncio.create_task(_beat(pipe), name="heartbeat")
    from repartee.session.session import run_session  # noqa: PLC0415 - see child_main

    try:
        reason = await run_session(spec, settings, stop, lambda name, data: _tell(pipe, name, data))
        # Told before leaving: ending the interpreter right after a disconnect can abort in native code.
        _tell(pipe, "ended", {"reason": reason})
    except ReparteeError as error:
        _tell(pipe, "failed", {"reason": str(error)})
        sys.exit(error.exit_code)
    finally:
        beating.cancel()


async def _beat(pipe: Connection) -> None:
    while True:
        _tell(pipe, "beat", {})
        await asyncio.sleep(HEARTBEAT_S)


def _tell(pipe: Connection, name: str, data: dict[str, Any]) -> None:
    try:
        pipe.send((name, data))
    except (BrokenPipeError, OSError):
        return  # the parent is gone; the reader ends the call
