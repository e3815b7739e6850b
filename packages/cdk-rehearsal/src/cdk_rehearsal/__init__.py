"""Checks the cloud assembly of a CDK application, and runs it in one process.

This module has everything to read an assembly and to rehearse it: real handlers behind the
templates' own wiring. `cdk_rehearsal.topology` analyses templates, and `cdk_rehearsal.validation`
brings its checks into `cdk synth`. All other modules are private.
"""

from typing import TYPE_CHECKING

from cdk_rehearsal.lazy import lazily

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
    from cdk_rehearsal.clock import Event, Process, Scheduler
    from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
    from cdk_rehearsal.faults import FAULTS, PARTIAL, Fault, InjectedFault
    from cdk_rehearsal.http_api import HttpFront, HttpResponse
    from cdk_rehearsal.internet import Request, Response
    from cdk_rehearsal.intrinsics import Resolver
    from cdk_rehearsal.invoke import InvocationResult
    from cdk_rehearsal.isolation import TEMPORARY, allowed, process_variables
    from cdk_rehearsal.latency import Latency
    from cdk_rehearsal.loading import LoadingError, Unsupported, check
    from cdk_rehearsal.meter import Meter, Record
    from cdk_rehearsal.moto_region import aws_variables, corrected_moto
    from cdk_rehearsal.patterns import EventPattern, FilterCriteria, SubscriptionFilter
    from cdk_rehearsal.rehearsal import OUTSIDE, Rehearsal

__all__ = [
    "FAULTS",
    "OUTSIDE",
    "PARTIAL",
    "TEMPORARY",
    "Assembly",
    "Event",
    "EventPattern",
    "Fault",
    "FilterCriteria",
    "HttpFront",
    "HttpResponse",
    "InjectedFault",
    "InvocationResult",
    "Latency",
    "LoadingError",
    "Meter",
    "Process",
    "Properties",
    "Record",
    "Rehearsal",
    "RehearsalError",
    "Request",
    "Resolver",
    "Resource",
    "Response",
    "Scheduler",
    "Stack",
    "SubscriptionFilter",
    "Template",
    "Unsupported",
    "UnsupportedTemplateError",
    "allowed",
    "aws_variables",
    "check",
    "corrected_moto",
    "listed",
    "named",
    "nodes",
    "process_variables",
    "texts",
]

__getattr__ = lazily(
    __name__,
    {
        "assembly": (
            *("Assembly", "Properties", "Resource", "Stack", "Template"),
            *("listed", "named", "nodes", "texts"),
        ),
        "clock": ("Event", "Process", "Scheduler"),
        "moto_region": ("aws_variables", "corrected_moto"),
        "errors": ("RehearsalError", "UnsupportedTemplateError"),
        "faults": ("FAULTS", "PARTIAL", "Fault", "InjectedFault"),
        "http_api": ("HttpFront", "HttpResponse"),
        "internet": ("Request", "Response"),
        "intrinsics": ("Resolver",),
        "invoke": ("InvocationResult",),
        "isolation": ("TEMPORARY", "allowed", "process_variables"),
        "latency": ("Latency",),
        "loading": ("LoadingError", "Unsupported", "check"),
        "meter": ("Meter", "Record"),
        "patterns": ("EventPattern", "FilterCriteria", "SubscriptionFilter"),
        "rehearsal": ("OUTSIDE", "Rehearsal"),
    },
    light=("assembly", "errors", "intrinsics", "isolation", "patterns"),
)
