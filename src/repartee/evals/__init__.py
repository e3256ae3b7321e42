"""Evaluations: scenarios of conversations, held with an agent and judged. Pipecat's own harness drives them."""

from repartee.evals.comparing import Change, compare
from repartee.evals.files import Loaded, load_files
from repartee.evals.results import Criterion, Outcome, Results
from repartee.evals.running import Runner

__all__ = ["Change", "Criterion", "Loaded", "Outcome", "Results", "Runner", "compare", "load_files"]
