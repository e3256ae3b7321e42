"""The LiveKit worker: dispatch, warm processes, supervision."""

from repartee.worker.config import WorkerConfig
from repartee.worker.health import worker_health
from repartee.worker.tokens import LiveKitAccess
from repartee.worker.worker import Worker

__all__ = ["LiveKitAccess", "Worker", "WorkerConfig", "worker_health"]
