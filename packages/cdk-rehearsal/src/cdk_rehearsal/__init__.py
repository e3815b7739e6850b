"""Checks the cloud assembly of a CDK application, and runs it in one process.

This module has everything to read an assembly and to rehearse it: real handlers behind the
templates' own wiring. `cdk_rehearsal.topology` analyses templates, and `cdk_rehearsal.validation`
brings its checks into `cdk synth`. All other modules are private.

Names that need moto are imported when they are first used, so that checks need no moto.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cdk_rehearsal.assembly import (
    Assembly,
    Properties,
    Resource,
    Stack,
    Template,
    listed,
    named,
    nodes,
    texts,
)
from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.intrinsics import Resolver
from cdk_rehearsal.isolation import TEMPORARY, allowed, process_variables
from cdk_rehearsal.patterns import EventPattern, FilterCriteria, SubscriptionFilter

if TYPE_CHECKING:
    from cdk_rehearsal.checking import check
    from cdk_rehearsal.clock import Event, Process, Scheduler
    from cdk_rehearsal.faults import FAULTS, PARTIAL, Fault, InjectedFault
    from cdk_rehearsal.http_api import HttpFront, HttpResponse
    from cdk_rehearsal.internet import Request, Response
    from cdk_rehearsal.invoke import InvocationResult
    from cdk_rehearsal.latency import Latency
    from cdk_rehearsal.loading import LoadingError, Unsupported
    from cdk_rehearsal.meter import Meter, Record
    from cdk_rehearsal.moto_region import aws_variables, corrected_moto
    from cdk_rehearsal.rehearsal import OUTSIDE, Rehearsal

__version__ = "0.1.0"

__all__ = ["Assembly", "Properties", "Resource", "Stack", "Template"]
__all__ += ["Resolver", "listed", "named", "nodes", "texts"]
__all__ += ["EventPattern", "FilterCriteria", "SubscriptionFilter"]
__all__ += ["LoadingError", "RehearsalError", "Unsupported", "UnsupportedTemplateError", "check"]
__all__ += ["OUTSIDE", "Event", "InvocationResult", "Latency", "Process", "Rehearsal", "Scheduler"]
__all__ += ["HttpFront", "HttpResponse", "Meter", "Record", "Request", "Response"]
__all__ += ["FAULTS", "PARTIAL", "Fault", "InjectedFault"]
__all__ += ["TEMPORARY", "allowed", "aws_variables", "corrected_moto", "process_variables"]

_WITH_MOTO = {
    "checking": ("check",),
    "clock": ("Event", "Process", "Scheduler"),
    "faults": ("FAULTS", "PARTIAL", "Fault", "InjectedFault"),
    "http_api": ("HttpFront", "HttpResponse"),
    "internet": ("Request", "Response"),
    "invoke": ("InvocationResult",),
    "latency": ("Latency",),
    "loading": ("LoadingError", "Unsupported"),
    "meter": ("Meter", "Record"),
    "moto_region": ("aws_variables", "corrected_moto"),
    "rehearsal": ("OUTSIDE", "Rehearsal"),
}
_MODULE_OF = {name: module for module, names in _WITH_MOTO.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # It must run before anything imports moto.
    import_module(f"{__name__}.lean")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
