"""`python -m tools.release`: see `tools.release.cli`."""

from tools.release.cli import main

main()
