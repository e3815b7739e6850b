"""The first import of moto: without the machine's settings, and without EC2."""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from cdk_rehearsal.isolation import allowed
from cdk_rehearsal.sandbox.egress import set_environment

_BATCH = "moto.batch"


def prepare_moto() -> None:
    """Imports what moto must not import in its own way; a second call changes nothing.

    moto reads some settings from the environment once, at its first import. If the program has
    imported moto before, these settings stay.

    moto's interpreter of workflows imports one name of AWS Batch from ``moto.batch.utils``. Python
    imports the package around a module first, and the package of Batch imports EC2 with its lists
    of instance types, which takes longer than all other imports of a rehearsal together. So the
    module is imported in an empty package. The package itself can still be imported afterwards.
    """
    restore = set_environment(allowed(os.environ))
    try:
        import_module("moto.settings")
    finally:
        restore()
    if _BATCH not in sys.modules and f"{_BATCH}.utils" not in sys.modules:
        _import_batch_utils()


def _import_batch_utils() -> None:
    moto = import_module("moto")
    package = ModuleType(_BATCH)
    package.__path__ = [str(Path(str(moto.__file__)).parent / "batch")]
    sys.modules[_BATCH] = package
    try:
        import_module(f"{_BATCH}.utils")
    finally:
        del sys.modules[_BATCH]
        vars(moto).pop("batch", None)
