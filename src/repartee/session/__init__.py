"""One call: the Pipecat pipeline, the bridge to the conversation core, the reply gate, the wire contract."""

from repartee.session.session import SessionSpec, prewarm, run_session

__all__ = ["SessionSpec", "prewarm", "run_session"]
