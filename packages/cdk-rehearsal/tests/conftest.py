"""Isolates all tests of the package from the variables of the machine and its terminal."""

import os

import pytest

from cdk_rehearsal.isolation import process_variables

# Before any import that reads the environment.
_kept = process_variables(os.environ)
os.environ.clear()
os.environ.update(_kept)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers."""
    config.addinivalue_line(
        "markers", "own_behaviour: no rule of AWS, though its class or module cites a page"
    )
