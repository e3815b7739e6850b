"""The mutation operators: those of the package, and those for this application's settings."""

from pathlib import Path

from cdk_rehearsal.weakening import read_operators, standard_operators

OPERATORS = standard_operators() + read_operators(Path(__file__).with_suffix(".toml"))
