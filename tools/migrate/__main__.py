"""`python -m tools.migrate`: see `tools.migrate.cli`."""

from tools.migrate.cli import main

main()
