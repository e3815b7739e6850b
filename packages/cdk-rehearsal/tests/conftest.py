"""Isolates all tests of the package from the variables of the machine and its terminal."""

import os

from cdk_rehearsal.isolation import process_variables

# Before any import that reads the environment.
_kept = process_variables(os.environ)
os.environ.clear()
os.environ.update(_kept)
