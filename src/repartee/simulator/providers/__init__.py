"""The provider simulator: OpenAI, ElevenLabs and Cartesia by their wire formats, with known latency and price."""

from repartee.simulator.providers.server import Simulator, SimulatorConfig

__all__ = ["Simulator", "SimulatorConfig"]
