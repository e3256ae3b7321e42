"""Plays a case: a call of three turns, the fault in the second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import soxr

from repartee.simulator import meter
from repartee.simulator.caller import RATE_HZ, Caller
from repartee.simulator.chaos.cases import ANSWERS, FIRST, LAST, Case
from repartee.simulator.chaos.judge import Turn, heard_of
from repartee.simulator.chaos.scene import Scene
from repartee.simulator.material import Item

GREETING_S = 45.0
"""A peer may have to start a process for the call first."""
QUIET_S = 1.2
ANSWER_S = 4.5
"""So much of an answer has sounded when it was heard to its end; all are a little longer."""
PATIENCE_S = 10.0
LONGEST_S = 20.0


@dataclass
class Played:
    """A call that was played.

    Attributes:
        turns: The three turns; the last is None when the call was over before.
        tape: What was heard of the agent.
        room: The call's room.
        ended: Whether the call ended in the turn with the fault.
        spoiled: The turn before the fault was not answered: nothing was broken, and nothing is told by the call.
    """

    turns: list[Turn] = field(default_factory=list)
    tape: meter.Sound = field(default_factory=lambda: np.zeros(0, np.int16), repr=False)
    room: str = ""
    ended: bool = False
    spoiled: bool = False


async def play(
    case: Case, scene: Scene, items: Mapping[str, Item], voiced: Callable[[], list[str]]
) -> Played:
    """Hold the call.

    Args:
        case: What goes wrong.
        scene: Where.
        items: What may be said, by name.
        voiced: Returns the texts that voices were asked for so far.

    Raises:
        MediaError: The system did not start.
    """
    caller, played = scene.caller, Played()
    try:
        await caller.join(await scene.system.invite())
        played.room = caller.room_name
        await caller.wait_for_answer(GREETING_S)
        await _turn(played, caller, items[FIRST], voiced, PATIENCE_S)
        played.spoiled = heard_of(_tape(caller), played.turns[0]).outcome != "answered"
        if not played.spoiled:
            await _break(case, scene, played, items, voiced)
    finally:
        await scene.calm()
        await caller.leave()
        await scene.system.hang_up()
    played.tape = _tape(caller)
    for turn, later in pairwise(played.turns):
        turn.until_s = later.start_s
    return played


async def _break(
    case: Case, scene: Scene, played: Played, items: Mapping[str, Item], voiced: Callable[[], list[str]]
) -> None:
    caller = scene.caller
    if case.when == "before":
        await case.act(scene)
    await _turn(played, caller, items[case.question], voiced, case.patience_s, case, scene)
    played.ended = caller.gone.is_set()
    if not played.ended:
        await scene.calm()
        await _turn(played, caller, items[LAST], voiced, PATIENCE_S)


def _tape(caller: Caller) -> meter.Sound:
    return np.asarray(soxr.resample(caller.heard(), RATE_HZ, meter.RATE_HZ))


async def _turn(
    played: Played,
    caller: Caller,
    item: Item,
    voiced: Callable[[], list[str]],
    patience_s: float,
    case: Case | None = None,
    scene: Scene | None = None,
) -> None:
    texts = len(voiced()), len(caller.captions("agent"))
    at_s = await caller.play(item.pcm)
    turn = Turn(at_s + item.start_s, at_s + item.end_s, float("inf"), ANSWERS[item.name])
    played.turns.append(turn)
    deadline_s = turn.end_s + patience_s
    if case is not None and scene is not None and case.when == "speaking":
        await caller.wait_until(turn.start_s + case.after_s)
        await case.act(scene)
    await caller.wait_until(turn.end_s)
    if case is not None and scene is not None and case.when == "answering":
        await _sound_or_end(caller, patience_s)
        await caller.wait_until(caller.now_s() + case.after_s)
        await case.act(scene)
    while (left_s := deadline_s - caller.now_s()) > 0 and not caller.closed.is_set():
        await _sound_or_end(caller, left_s)
        await _either(caller.wait_for_quiet(QUIET_S, LONGEST_S), caller)
        if caller.loud_s(turn.end_s) >= ANSWER_S:
            break
    turn.until_s = caller.now_s()
    turn.texts = [*voiced()[texts[0] :], *caller.captions("agent")[texts[1] :]]


async def _sound_or_end(caller: Caller, limit_s: float) -> None:
    await _either(caller.wait_for_sound(limit_s), caller)


async def _either(work: Coroutine[Any, Any, Any], caller: Caller) -> None:
    """Wait for something, or for the connection to end."""
    tasks = {asyncio.create_task(work), asyncio.create_task(caller.closed.wait())}
    _, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
