"""`python -m repartee.cli`."""

from repartee.cli import main

main()
