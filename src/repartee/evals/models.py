"""The models that play a caller and judge a conversation: the scenario's own, else the one the agent has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipecat.classifiers.llm.classifier import LLMClassifier
from pipecat.evals.judge import EvalJudge
from pipecat.evals.simulation import EvalSimulationScenario
from pipecat.services.llm_service import LLMService
from pipecat.services.openai.llm import OpenAILLMService

from repartee.evals.files import Loaded
from repartee.providers.ladder import Ladder
from repartee.settings import Settings

_DEFAULT_JUDGE = EvalSimulationScenario(name="", persona="", goal="", success="").judge
"""What Pipecat takes where a scenario names no judge: a model of Ollama's on this machine."""


@dataclass(frozen=True, slots=True)
class Models:
    """The agent's model, for the parts of a test that need one.

    Attributes:
        model: Its name; None where the agent has none.
    """

    model: str | None
    base_url: str = ""
    key: str = "none"

    def judge(self, loaded: Loaded) -> EvalJudge | None:
        """Return the judge; None where the scenario names its own, or needs none."""
        if not loaded.judged or loaded.scenario.judge != _DEFAULT_JUDGE:
            return None
        service = self._service(temperature=0.0)
        return EvalJudge(LLMClassifier(llm=service), explainer=service)

    def caller(self, loaded: Loaded) -> LLMService[Any] | None:
        """Return what plays the caller; None where the scenario names its own, or writes the caller's words."""
        scenario = loaded.scenario
        if not isinstance(scenario, EvalSimulationScenario) or scenario.simulator:
            return None
        return self._service()

    def lacks(self, loaded: Loaded) -> str | None:
        """Return why a scenario cannot be played for want of a model; None where it can."""
        if self.model is not None:
            return None
        scenario = loaded.scenario
        needs_judge = loaded.judged and scenario.judge == _DEFAULT_JUDGE
        needs_caller = isinstance(scenario, EvalSimulationScenario) and not scenario.simulator
        if not (needs_judge or needs_caller):
            return None
        what = "plays the caller" if needs_caller else "judges its 'eval:'"
        return f"a model {what}, and there is none: set OPENAI_API_KEY or LLM_BASE_URL"

    def _service(self, **settings: Any) -> LLMService[Any]:
        service: Any = OpenAILLMService(
            api_key=self.key,
            base_url=self.base_url,
            settings=OpenAILLMService.Settings(model=self.model, **settings),
        )
        return service


def models_of(settings: Settings, ladder: Ladder) -> Models:
    """Return the model of an agent's ladder."""
    rung = ladder.llm
    if rung.provider == "answers":
        return Models(None)
    local = rung.provider == "local"
    base_url = settings.llm_base_url if local else settings.openai_base_url
    key = settings.llm_api_key if local else settings.openai_api_key
    return Models(rung.model, base_url, key.get_secret_value() if key is not None else "none")
