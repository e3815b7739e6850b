"""`python -m tools.upgrade`: see `tools.upgrade.cli`."""

from tools.upgrade.cli import main

main()
