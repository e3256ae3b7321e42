"""What the bridge is given: the script, the parts it performs commands on, and what a model is offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema

from repartee.conversation.history import History
from repartee.events import Line
from repartee.providers.deadline import TurnBudget
from repartee.session.clauses import Clauses
from repartee.session.clips import Clip
from repartee.session.degrading import Degrading
from repartee.session.fillers import Fillers
from repartee.session.gate import ReplyGate
from repartee.session.languages import CallLanguage
from repartee.session.ledger import Ledger
from repartee.session.record import CallRecord
from repartee.session.remembering import Remembering
from repartee.session.talking import Plain, Talking
from repartee.session.tone import ToneWatch
from repartee.session.tools import ToolPermits
from repartee.session.wire import Wire
from repartee.telemetry.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Script:
    """What the agent says without asking the model."""

    greeting: str
    rest: str = field(default="", kw_only=True)
    """Said after it in the same breath, by an agent that takes over a call."""
    lines: dict[Line, str]
    clips: Mapping[str, Clip] = field(default_factory=dict)
    """Recordings of lines that must be heard even if nobody can be asked, by line."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the bridge performs commands on."""

    gate: ReplyGate
    wire: Wire
    timeline: Timeline
    permits: ToolPermits
    history: History
    clauses: Clauses
    remembering: Remembering | None = None
    ledger: Ledger = field(default_factory=Ledger)
    record: CallRecord | None = None
    fillers: Fillers | None = None
    degrading: Degrading | None = None
    kept_audio: Callable[[str], bytes | None] = lambda _: None
    """Returns a fixed line's audio, where it was made before."""
    budget: TurnBudget = field(default_factory=TurnBudget)
    speaker: Callable[[], str] = str
    """Returns which agent of a team has the call; "" where there is none."""
    language: CallLanguage | None = None
    """In which language; None is the same one always."""
    tone: ToneWatch | None = None
    """How the caller sounds; None does not listen for it."""
    talking: Talking = field(default_factory=Plain)
    """Who answers."""


@runtime_checkable
class OnOffer(Protocol):
    """What the model is given beside the conversation, anew for each request."""

    def tools(self) -> ToolsSchema | None:
        """The tools it may call now."""

    def note(self, reply_id: int) -> str:
        """What the model must know, for the end of a reply's request."""
