"""Runs a synthesized application in one process: real handlers behind the templates' own wiring.

Names are imported when they are first used, so that `cdk_rehearsal.topology` needs no moto.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdk_rehearsal.clock import Event, Process, Scheduler
    from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
    from cdk_rehearsal.faults import FAULTS, Fault, InjectedFault
    from cdk_rehearsal.forks import Fork, forked
    from cdk_rehearsal.invoke import InvocationResult
    from cdk_rehearsal.latency import Latency
    from cdk_rehearsal.meter import Meter, Record
    from cdk_rehearsal.rehearsal import OUTSIDE, Rehearsal
    from cdk_rehearsal.resources import Resource
    from cdk_rehearsal.sites import FaultSite, edge_sites, inject, misfit, sites_passed
    from cdk_rehearsal.weakening import (
        Mutant,
        MutationOperator,
        mutants,
        read_operators,
        standard_operators,
    )

__all__ = [
    "FAULTS",
    "OUTSIDE",
    "Event",
    "Fault",
    "FaultSite",
    "Fork",
    "InjectedFault",
    "InvocationResult",
    "Latency",
    "Meter",
    "Mutant",
    "MutationOperator",
    "Process",
    "Record",
    "Rehearsal",
    "RehearsalError",
    "Resource",
    "Scheduler",
    "UnsupportedTemplateError",
    "edge_sites",
    "forked",
    "inject",
    "misfit",
    "mutants",
    "read_operators",
    "sites_passed",
    "standard_operators",
]

_MODULES = {
    "clock": ("Event", "Process", "Scheduler"),
    "errors": ("RehearsalError", "UnsupportedTemplateError"),
    "faults": ("FAULTS", "Fault", "InjectedFault"),
    "forks": ("Fork", "forked"),
    "invoke": ("InvocationResult",),
    "latency": ("Latency",),
    "meter": ("Meter", "Record"),
    "rehearsal": ("OUTSIDE", "Rehearsal"),
    "resources": ("Resource",),
    "sites": ("FaultSite", "edge_sites", "inject", "misfit", "sites_passed"),
    "weakening": (
        *("Mutant", "MutationOperator", "mutants", "read_operators", "standard_operators"),
    ),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Before anything that imports moto.
    import_module(f"{__name__}.lean")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
