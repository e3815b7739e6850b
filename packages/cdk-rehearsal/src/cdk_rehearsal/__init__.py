"""Checks the cloud assembly of a CDK application, and runs it in one process.

This module has everything to read an assembly and to rehearse it: real handlers behind the
templates' own wiring. `cdk_rehearsal.topology` analyses templates, `cdk_rehearsal.validation`
brings its checks into `cdk synth`, `cdk_rehearsal.weakening` weakens templates to test checks,
`cdk_rehearsal.console` is a live page, and `cdk_rehearsal.replays` delivers the retained events of
a bus again. All other modules are private.

Names are imported when they are first used: set-up needs only the standard library, and checks
need no moto.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from cdk_rehearsal.bills import Charge, IdleBill, MeteredBill, Use, idle_bill, metered_bill
    from cdk_rehearsal.capacity import QUOTAS, Capacity, Hop, capacity_of, quotas_of
    from cdk_rehearsal.checking import check
    from cdk_rehearsal.errors import (
        LoadingError,
        RehearsalError,
        Unsupported,
        UnsupportedTemplateError,
    )
    from cdk_rehearsal.faults import FAULTS, PARTIAL, Arrival, Exchange, Fault, InjectedFault
    from cdk_rehearsal.filters import FilterCriteria, SubscriptionFilter
    from cdk_rehearsal.forks import Fork, forked
    from cdk_rehearsal.intrinsics import Resolver
    from cdk_rehearsal.isolation import TEMPORARY, allowed, process_variables
    from cdk_rehearsal.latency import BILLED, Latency
    from cdk_rehearsal.loads import Batches, Hottest, Load, Loads
    from cdk_rehearsal.meter import Meter, Record
    from cdk_rehearsal.metering import Metering
    from cdk_rehearsal.mixing import Mixing
    from cdk_rehearsal.moto_region import aws_variables, corrected_moto
    from cdk_rehearsal.patterns import EventPattern
    from cdk_rehearsal.permission_use import (
        Explanation,
        Permission,
        PermissionReport,
        Removal,
        RolePermissions,
        permission_report,
        read_explanations,
    )
    from cdk_rehearsal.policies import identity_allows
    from cdk_rehearsal.price_lists import Price, prices
    from cdk_rehearsal.recovery import TableRecovery
    from cdk_rehearsal.rehearsal import OUTSIDE, Rehearsal
    from cdk_rehearsal.services.apis import HttpFront, HttpResponse
    from cdk_rehearsal.services.connections import WebSocket
    from cdk_rehearsal.services.functions import InvocationResult
    from cdk_rehearsal.services.web import Host, Request, Response
    from cdk_rehearsal.services.websocket_api import WebSocketRefused
    from cdk_rehearsal.sites import FaultSite, edge_sites, inject, misfit, sites_passed
    from cdk_rehearsal.traces import TracedSpan, Traces, otlp, require_destination
    from cdk_rehearsal.updating import UpdateRefused, UpdateRolledBack
    from cdk_rehearsal.virtual_time.processes import Process, Signal
    from cdk_rehearsal.virtual_time.scheduler import Scheduler

__version__ = "0.1.0"

__all__ = ["Assembly", "Properties", "Resource", "Stack", "Template"]
__all__ += ["Resolver", "listed", "named", "nodes", "texts"]
__all__ += ["EventPattern", "FilterCriteria", "SubscriptionFilter", "identity_allows"]
__all__ += ["LoadingError", "RehearsalError", "Unsupported", "UnsupportedTemplateError", "check"]
__all__ += ["OUTSIDE", "InvocationResult", "Latency", "Process", "Rehearsal", "Scheduler", "Signal"]
__all__ += ["Explanation", "Permission", "PermissionReport", "Removal", "RolePermissions"]
__all__ += ["permission_report", "read_explanations"]
__all__ += ["BILLED", "Charge", "IdleBill", "MeteredBill", "Metering", "Price", "Use"]
__all__ += ["idle_bill", "metered_bill", "prices"]
__all__ += ["QUOTAS", "Batches", "Capacity", "Hop", "Hottest", "Load", "Loads"]
__all__ += ["capacity_of", "quotas_of"]
__all__ += ["Host", "HttpFront", "HttpResponse", "Meter", "Record", "Request", "Response"]
__all__ += ["TableRecovery", "WebSocket", "WebSocketRefused"]
__all__ += ["FAULTS", "PARTIAL", "Arrival", "Exchange", "Fault", "InjectedFault"]
__all__ += ["FaultSite", "Fork", "edge_sites", "forked", "inject", "misfit", "sites_passed"]
__all__ += ["Mixing", "UpdateRefused", "UpdateRolledBack"]
__all__ += ["TEMPORARY", "allowed", "aws_variables", "corrected_moto", "process_variables"]
__all__ += ["TracedSpan", "Traces", "otlp", "require_destination"]
__all__ += ["__version__"]

_NAMES = {
    "assembly": (
        *("Assembly", "Properties", "Resource", "Stack", "Template"),
        *("listed", "named", "nodes", "texts"),
    ),
    "bills": ("Charge", "IdleBill", "MeteredBill", "Use", "idle_bill", "metered_bill"),
    "capacity": ("QUOTAS", "Capacity", "Hop", "capacity_of", "quotas_of"),
    "checking": ("check",),
    "errors": ("LoadingError", "RehearsalError", "Unsupported", "UnsupportedTemplateError"),
    "faults": ("FAULTS", "PARTIAL", "Arrival", "Exchange", "Fault", "InjectedFault"),
    "filters": ("FilterCriteria", "SubscriptionFilter"),
    "forks": ("Fork", "forked"),
    "intrinsics": ("Resolver",),
    "isolation": ("TEMPORARY", "allowed", "process_variables"),
    "latency": ("BILLED", "Latency"),
    "loads": ("Batches", "Hottest", "Load", "Loads"),
    "meter": ("Meter", "Record"),
    "metering": ("Metering",),
    "mixing": ("Mixing",),
    "moto_region": ("aws_variables", "corrected_moto"),
    "patterns": ("EventPattern",),
    "policies": ("identity_allows",),
    "permission_use": (
        *("Explanation", "Permission", "PermissionReport", "Removal", "RolePermissions"),
        *("permission_report", "read_explanations"),
    ),
    "price_lists": ("Price", "prices"),
    "recovery": ("TableRecovery",),
    "rehearsal": ("OUTSIDE", "Rehearsal"),
    "services.functions": ("InvocationResult",),
    "services.apis": ("HttpFront", "HttpResponse"),
    "services.connections": ("WebSocket",),
    "services.web": ("Host", "Request", "Response"),
    "services.websocket_api": ("WebSocketRefused",),
    "sites": ("FaultSite", "edge_sites", "inject", "misfit", "sites_passed"),
    "traces": ("TracedSpan", "Traces", "otlp", "require_destination"),
    "virtual_time.processes": ("Process", "Signal"),
    "updating": ("UpdateRefused", "UpdateRolledBack"),
    "virtual_time.scheduler": ("Scheduler",),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
