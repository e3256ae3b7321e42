"""The LiveKit worker: dispatch, warm processes, supervision."""

from repartee.worker.tokens import LiveKitAccess
from repartee.worker.worker import Worker, WorkerConfig

__all__ = ["LiveKitAccess", "Worker", "WorkerConfig"]
