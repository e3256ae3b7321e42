"""What the conversation's state means to those beside it: which reply is live, whose turn it is, what is shown."""

from __future__ import annotations

from repartee.conversation import (
    Conversation,
    Ended,
    Idle,
    Speaking,
    Speculating,
    Thinking,
    Turn,
    UserTurn,
    Yielding,
)
from repartee.events import Event
from repartee.session.watching import AgentState


def live_reply(conversation: Conversation) -> int | None:
    """Return the reply that is being made or heard."""
    match conversation.state:
        case Speculating(_, reply_id) | Thinking(reply_id) | Speaking(reply_id) | Yielding(reply_id):
            return reply_id
        case _:
            return None


def needs_provider(conversation: Conversation) -> bool:
    """Say whether a provider's failure can be the failure of what is being made: a recording needs none."""
    return not (isinstance(conversation.state, Thinking) and conversation.state.recorded)


def user_turn(conversation: Conversation) -> Turn | None:
    """Return the turn the user is in."""
    match conversation.state:
        case UserTurn(turn) | Speculating(turn) | Yielding(_, turn):
            return turn
        case _:
            return None


def shown_state(conversation: Conversation) -> AgentState:
    """Return what a client shows of it."""
    match conversation.state:
        case Thinking():
            return "thinking"
        case Speaking():
            return "speaking"
        case Idle() | UserTurn() | Speculating() | Yielding() | Ended():
            return "listening"


def mark_name(event: Event) -> str:
    """Return how an event is marked on the timeline: `ReplyAudible` as `reply.audible`."""
    name = type(event).__name__
    split = next((i for i in range(1, len(name)) if name[i].isupper()), len(name))
    return f"{name[:split]}.{name[split:]}".lower().strip(".")
