"""`python -m tools.faults`: see `tools.faults.cli`."""

from tools.faults.cli import main

main()
