"""One call: the Pipecat pipeline, the bridge to the conversation core, the reply gate, the wire contract.

`session.session` takes a call; it is imported where calls run, because Pipecat takes seconds to import.
"""

from repartee.session.spec import SessionSpec

__all__ = ["SessionSpec"]
