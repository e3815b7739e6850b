"""`python -m tools.demo`: see `tools.demo.cli`."""

from tools.demo.cli import main

main()
