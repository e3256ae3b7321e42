"""`repartee meet`: two agents talk to each other, once or many times."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from repartee.cli.asking import out
from repartee.cli.environment import read_settings
from repartee.cli.stopping import Stop, run_to_end


def meet(
    called: Annotated[Path, typer.Argument(help="The agent that is called; it greets.")],
    caller: Annotated[Path, typer.Argument(help="The agent that calls.")],
    turns: Annotated[int, typer.Option(help="Things said, by both together.", min=2)] = 40,
    seconds: Annotated[float, typer.Option(help="Longest time it may take.", min=1)] = 600.0,
    usd: Annotated[float | None, typer.Option(help="What both may cost together.", min=0)] = None,
    aloud: Annotated[bool, typer.Option("--aloud", help="They speak, and hear each other.")] = False,
    times: Annotated[
        int, typer.Option(help="Hold so many, one after the other, and count what is left of them.", min=1)
    ] = 1,
    write: Annotated[
        Path | None, typer.Option(help="With --times: write what was counted, as JSON, to this file.")
    ] = None,
) -> None:
    """Have two agents talk to each other, within limits; all calls are kept like any other."""
    from repartee.agent import load_agent  # noqa: PLC0415
    from repartee.cli.meetings import Plan, run_meeting, run_meetings  # noqa: PLC0415
    from repartee.errors import ConfigError  # noqa: PLC0415
    from repartee.session.meeting import MeetingLimits  # noqa: PLC0415
    from repartee.worker.logs import quiet_pipecat, set_up_logs  # noqa: PLC0415

    if write is not None and times == 1:
        raise ConfigError(
            "--write needs --times: what is left is counted over many meetings, e.g. --times 100"
        )
    settings = read_settings()
    set_up_logs(settings.log_level, settings.secrets, in_call=True)
    quiet_pipecat()
    limits = MeetingLimits(turns, seconds, None if usd is None else Decimal(str(usd)))
    plan = Plan((load_agent(called), load_agent(caller)), settings, limits, aloud=aloud)
    well: list[bool] = []

    async def work(stop: Stop) -> None:
        if times == 1:
            well.append(await run_meeting(plan, out, stop))
        else:
            well.append(await run_meetings(plan, times, write, out, stop))

    run_to_end(work)
    if not all(well):
        raise typer.Exit(1)
