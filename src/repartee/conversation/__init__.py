"""The decisions of a call: pure, total, without clock or I/O."""

from repartee.conversation.conversation import advance
from repartee.conversation.policies import (
    Endpointing,
    Interruption,
    Patience,
    Policies,
    Speculation,
    Waiting,
)
from repartee.conversation.state import (
    Conversation,
    Ended,
    Idle,
    Speaking,
    Speculating,
    State,
    Thinking,
    Turn,
    UserTurn,
    Yielding,
)

__all__ = [
    "Conversation",
    "Ended",
    "Endpointing",
    "Idle",
    "Interruption",
    "Patience",
    "Policies",
    "Speaking",
    "Speculating",
    "Speculation",
    "State",
    "Thinking",
    "Turn",
    "UserTurn",
    "Waiting",
    "Yielding",
    "advance",
]
