"""`python -m tools.restore`: see `tools.restore.cli`."""

from tools.restore.cli import main

main()
