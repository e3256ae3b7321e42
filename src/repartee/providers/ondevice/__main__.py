"""`python -m repartee.providers.ondevice --port N`: serve the on-device models on loopback."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from repartee.providers.ondevice.registry import OWN_VOICE, OWN_WHISPER


async def _serve(given: argparse.Namespace) -> None:
    # After the environment is set: BLAS threads of numpy and ONNX starve each other on few cores.
    from repartee.providers.ondevice.host import Host  # noqa: PLC0415

    host = Host(
        speech=not given.only_sentences, whisper=given.whisper, voice=given.voice, models=given.models
    )
    runner = web.AppRunner(host.app(), access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", given.port)
    await site.start()
    bound = runner.addresses[0][1]
    sys.stdout.write(f"ready {bound}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)

    # The parent holds the other end of stdin: when it dies, however it dies, this ends too.
    def parent_spoke() -> None:
        if not os.read(sys.stdin.fileno(), 64):
            stop.set()

    loop.add_reader(sys.stdin.fileno(), parent_spoke)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m repartee.providers.ondevice")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--only-sentences", action="store_true", help="no recogniser and no voice")
    parser.add_argument("--whisper", default=OWN_WHISPER, help="the recogniser")
    parser.add_argument("--voice", default=OWN_VOICE, help="the voice")
    parser.add_argument("--models", type=Path, default=Path(), help="where fetched models are")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
