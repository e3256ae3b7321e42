"""What all processes of the pool share: imported once, by the process that they are forked from.

Leaves what is there for good out of every later collection. Three hundred thousand objects of imports would be
looked through by a full one, with the loop standing still: tenths of a second on a busy machine, in the middle of
everybody's words. Done before the fork, the memory they lie in stays shared too, as nobody writes to it.
"""

import gc

import repartee.session.prewarming
import repartee.worker.child  # noqa: F401

gc.collect()
gc.freeze()
