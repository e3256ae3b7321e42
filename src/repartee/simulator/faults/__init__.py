"""Faults on the way to a vendor: a proxy that breaks what it passes on, as a plan says, the same in every run."""

from repartee.simulator.faults.plan import Fault, Match, Plan, read_plan
from repartee.simulator.faults.proxy import FaultProxy, Strike

__all__ = ["Fault", "FaultProxy", "Match", "Plan", "Strike", "read_plan"]
