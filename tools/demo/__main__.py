"""`python -m tools.demo`: see `demo.cli`."""

from tools.demo.cli import main

main()
