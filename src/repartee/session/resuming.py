"""A call that changes hands: what the store knows of it, and how the new agent takes up the thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog

from repartee.conversation.history import History
from repartee.errors import StoreError
from repartee.events import Event, ReplyFinished, TextTyped
from repartee.goals import Goal, Goals
from repartee.session.lines import back_lines
from repartee.session.record import GOALS_EVENT, PASSED_EVENT, SOUNDING, TOOL_EVENT, next_word
from repartee.session.spec import PastAct, Resume
from repartee.store import Act, Acts, EventRow, Store, TurnRow

log = structlog.get_logger()
KNOWN_FOR_MS = 2500.0
"""Where a reply was written down longer ago, nobody knows when its agent died, and how much was heard until then."""
UNKNOWN_TURNS = 1000
"""Where nobody can say how many turns there were: no agent has so many, and none of them is written over."""


def _now() -> datetime:
    return datetime.now(UTC)


def resume_of(
    store: Store,
    call_id: str,
    takeovers: int = 1,
    *,
    died_now: bool = False,
    now: Callable[[], datetime] = _now,
) -> Resume:
    """Return what the store knows of a call whose agent is gone. Blocks.

    What the dead process had not handed to the database is in its journal on this machine, and is brought in first. A
    store that is away knows nothing: the call then goes on without its past.

    Args:
        store: The store.
        call_id: The call.
        takeovers: How often it has changed hands, this time included.
        died_now: The agent has died this moment, on this machine; else nobody knows how long it still spoke.
        now: The wall clock.
    """
    died_at = now()
    try:
        store.replay()
        call, turns, events = store.call(call_id), store.turns(call_id), store.events(call_id)
        acts = Acts(store).of_call(call_id)
    except StoreError as error:
        log.warning("resume.past_unknown", call_id=call_id, error=str(error))
        return Resume(next_turn_id=UNKNOWN_TURNS * takeovers)
    next_turn_id = turns[-1].turn_id + 1 if turns else 0
    kept, unanswered = _left_open(_without_vain_openings(turns))
    goals = next((event.data for event in reversed(events) if event.kind == GOALS_EVENT), None)
    passed = [event.data for event in events if event.kind == PASSED_EVENT]
    began = call.call.started_at if call is not None else None
    if kept and began is not None and died_now:
        kept[-1] = _heard_since(kept[-1], (died_at - began).total_seconds() * 1000)
    last = kept[-1] if kept else None
    return Resume(
        turns=tuple((turn.user_text, turn.heard_text) for turn in kept),
        rest=last.unheard_text if last is not None and SOUNDING in last.timings and not unanswered else "",
        unanswered=unanswered,
        next_turn_id=next_turn_id,
        goals=goals_from(goals) if goals is not None else Goals(),
        speaker=str(passed[-1].get("to", "")) if passed else "",
        passed=len(passed),
        started_at=began,
        acts=_past(acts, events),
    )


def _heard_since(turn: TurnRow, died_ms: float) -> TurnRow:
    """Return the newest turn with what was heard of its reply after it was written down and before the agent died."""
    if not 0 <= died_ms - turn.timings.get(SOUNDING, float("-inf")) <= KNOWN_FOR_MS:
        return turn
    unheard = turn.unheard_text.split()
    count = sum(turn.timings.get(next_word(n), float("inf")) <= died_ms for n in range(len(unheard)))
    heard = " ".join([turn.heard_text, *unheard[:count]]).strip()
    return replace(turn, heard_text=heard, unheard_text=" ".join(unheard[count:]))


def _without_vain_openings(turns: list[TurnRow]) -> list[TurnRow]:
    """Return turns without those in which an agent died while it said that it is there."""
    end = len(turns)
    while end > 1 and not turns[end - 1].user_text and SOUNDING in turns[end - 1].timings:
        end -= 1
    return turns[:end]


def _left_open(turns: list[TurnRow]) -> tuple[list[TurnRow], str]:
    """Return turns without the last words of the caller where nothing was answered to them, and these words.

    Since then agents may have said that they are there, and one may have been asked the same again and died of it.
    """
    kept, words = list(turns), ""
    for turn in reversed(turns):
        if not turn.user_text:
            continue
        if turn.heard_text or turn.unheard_text or (words and turn.user_text != words):
            break
        words = turn.user_text
        kept.remove(turn)
    return kept, words


def _past(acts: Sequence[Act], events: Sequence[EventRow]) -> tuple[PastAct, ...]:
    """Return what was done, with what came of it as far as the call's record has it."""
    results = {
        event.data["key"]: event.data.get("result")
        for event in events
        if event.kind == TOOL_EVENT and event.data.get("key") and event.data.get("outcome") == "done"
    }
    # What ran to its end and was not confirmed any more was done all the same.
    return tuple(
        PastAct(act.key, act.tool, act.done or act.key in results, results.get(act.key)) for act in acts
    )


def remember(history: History, resume: Resume) -> None:
    """Give a new agent's model what was said before."""
    for said, heard in resume.turns:
        if said:
            history.remember_user(said)
        if heard:
            history.remember_heard(heard)


def opening(resume: Resume, language: str) -> tuple[str, str]:
    """Return what the new agent says first: a word of excuse, and then the rest of what was cut."""
    sorry, go_on = back_lines(language)
    return sorry, resume.rest or ("" if resume.unanswered else go_on)


def answering(
    submit: Callable[[Event], None], resume: Resume, clock_ms: Callable[[], float]
) -> Callable[[Event], None]:
    """Return what passes events on and, after the first words of the new agent, has it answer what was left open."""
    left = [resume.unanswered] if resume.unanswered else []

    def pass_on(event: Event) -> None:
        submit(event)
        if left and isinstance(event, ReplyFinished):
            submit(TextTyped(clock_ms(), left.pop()))

    return pass_on


def goals_to_json(goals: Goals) -> dict[str, Any]:
    """Return goals as they are kept in the store."""
    return {
        "goals": [
            {
                "goal_id": goal.goal_id,
                "intent": goal.intent,
                "status": goal.status,
                "values": dict(goal.values),
                "missing": list(goal.missing),
                "offered": goal.offered,
            }
            for goal in goals.items
        ]
    }


def goals_from(data: Any) -> Goals:
    """Return goals that were kept in the store."""
    return Goals(
        tuple(
            Goal(
                goal_id=int(goal["goal_id"]),
                intent=str(goal["intent"]),
                status=goal["status"],
                values={str(name): str(value) for name, value in goal["values"].items()},
                missing=tuple(map(str, goal["missing"])),
                offered=bool(goal["offered"]),
            )
            for goal in data["goals"]
        )
    )
