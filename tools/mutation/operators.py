"""The mutation operators: those of the package, and those for this application's settings."""

from pathlib import Path

from cdk_rehearsal.weakening import OPERATORS as STANDARD
from cdk_rehearsal.weakening import read_operators

OPERATORS = STANDARD + read_operators(Path(__file__).with_suffix(".toml"))
