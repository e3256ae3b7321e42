"""Speech and thought: vendors, local models, and the ladder between them.

`providers.kit` builds the services; it is imported where calls run, because Pipecat takes seconds to import.
"""

from repartee.providers.keys import check_keys
from repartee.providers.ladder import Ladder, Rung, choose_ladder

__all__ = ["Ladder", "Rung", "check_keys", "choose_ladder"]
