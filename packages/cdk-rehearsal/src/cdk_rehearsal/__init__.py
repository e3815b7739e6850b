"""Runs a synthesized application in one process: real handlers behind the templates' own wiring.

Names are imported when they are first used. The first rehearsal imports boto3 and moto.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
    from cdk_rehearsal.faults import FAULTS, Fault, InjectedFault
    from cdk_rehearsal.latency import Latency
    from cdk_rehearsal.meter import Meter, Record
    from cdk_rehearsal.rehearsal import OUTSIDE, Rehearsal
    from cdk_rehearsal.resources.registry import Resource
    from cdk_rehearsal.services.functions import InvocationResult
    from cdk_rehearsal.virtual_time.processes import Process, Signal
    from cdk_rehearsal.virtual_time.scheduler import Scheduler

__all__ = [
    "FAULTS",
    "OUTSIDE",
    "Fault",
    "InjectedFault",
    "InvocationResult",
    "Latency",
    "Meter",
    "Process",
    "Record",
    "Rehearsal",
    "RehearsalError",
    "Resource",
    "Scheduler",
    "Signal",
    "UnsupportedTemplateError",
]

_MODULES = {
    "errors": ("RehearsalError", "UnsupportedTemplateError"),
    "faults": ("FAULTS", "Fault", "InjectedFault"),
    "latency": ("Latency",),
    "meter": ("Meter", "Record"),
    "rehearsal": ("OUTSIDE", "Rehearsal"),
    "resources.registry": ("Resource",),
    "services.functions": ("InvocationResult",),
    "virtual_time.processes": ("Process", "Signal"),
    "virtual_time.scheduler": ("Scheduler",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
