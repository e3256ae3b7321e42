"""Speech and thought: vendors, local models, and the ladder between them."""

from repartee.providers.kit import ProviderKit
from repartee.providers.ladder import Ladder, Rung, choose_ladder

__all__ = ["Ladder", "ProviderKit", "Rung", "choose_ladder"]
