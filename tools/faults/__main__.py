"""`python -m tools.faults`: see `faults.cli`."""

from tools.faults.cli import main

main()
