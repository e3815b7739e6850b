"""Imports moto without the machine's settings, and without EC2.

Some of its settings moto reads from the environment once, when it is imported. And its interpreter
of workflows imports one name of AWS Batch, `moto.batch.utils`. Python runs the package around a
module first, and that of Batch loads EC2, with its lists of instance types: more than all the rest
of a rehearsal takes to import.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from cdk_rehearsal.egress import set_environment
from cdk_rehearsal.isolation import allowed

_PACKAGE = "moto.batch"


def _load_settings() -> None:
    give_back = set_environment(allowed(os.environ))
    try:
        import_module("moto.settings")
    finally:
        give_back()


def _load_utils_alone() -> None:
    moto = import_module("moto")
    if _PACKAGE in sys.modules:
        return
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(str(moto.__file__)).parent / "batch")]
    sys.modules[_PACKAGE] = package
    try:
        import_module(f"{_PACKAGE}.utils")
    finally:
        # Whoever wants Batch gets all of it.
        del sys.modules[_PACKAGE]
        vars(moto).pop("batch", None)


_load_settings()
_load_utils_alone()
