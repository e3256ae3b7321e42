"""What a call is about: its goals and where each of them stands. Frozen dataclasses only, like `events`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GoalStatus = Literal["open", "waiting", "done", "dropped"]
"""`open`: it has the floor. `waiting`: something else came between. `done` and `dropped`: over, for good."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing the caller wants.

    Attributes:
        goal_id: Rises; a caller who books twice has two goals.
        intent: Its name in the agent file.
        status: Where it stands.
        values: What is known of its slots, by name. Personal: for tools and the model, never for logs.
        missing: The slots that are not known yet.
        offered: The return to it has been offered; that happens once.
    """

    goal_id: int
    intent: str
    status: GoalStatus = "open"
    values: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    offered: bool = False


@dataclass(frozen=True, slots=True)
class Goals:
    """All goals of a call, oldest first."""

    items: tuple[Goal, ...] = ()

    @property
    def open(self) -> Goal | None:
        """The goal that has the floor."""
        return next((goal for goal in self.items if goal.status == "open"), None)

    @property
    def waiting(self) -> tuple[Goal, ...]:
        """The goals something else came between, the newest first."""
        return tuple(goal for goal in reversed(self.items) if goal.status == "waiting")

    @property
    def unfinished(self) -> tuple[Goal, ...]:
        """What a summary must not lose."""
        return tuple(goal for goal in self.items if goal.status in ("open", "waiting"))

    def of(self, intent: str) -> Goal | None:
        """The newest goal of an intent."""
        return next((goal for goal in reversed(self.items) if goal.intent == intent), None)


NO_GOALS = Goals()
