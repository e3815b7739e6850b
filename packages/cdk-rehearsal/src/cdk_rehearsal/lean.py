"""Keeps moto from loading EC2, with its lists of instance types, for one name of AWS Batch.

moto's interpreter of workflows imports `moto.batch.utils`. Python runs the package around a module
first, and that of Batch loads EC2: more than all the rest of a rehearsal takes to import.
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import moto

_PACKAGE = "moto.batch"


def _load_utils_alone() -> None:
    if _PACKAGE in sys.modules:
        return
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(moto.__file__).parent / "batch")]
    sys.modules[_PACKAGE] = package
    try:
        import_module(f"{_PACKAGE}.utils")
    finally:
        # Whoever wants Batch gets all of it.
        del sys.modules[_PACKAGE]
        vars(moto).pop("batch", None)


_load_utils_alone()
