"""Runs a synthesized application in one process: real handlers behind the templates' own wiring."""

from rehearsal import lean as _lean  # noqa: F401, before all that imports moto's workflows
from rehearsal.clock import Event, Process, Scheduler
from rehearsal.errors import RehearsalError, UnsupportedTemplateError
from rehearsal.faults import FAULTS, Fault, InjectedFault
from rehearsal.invoke import InvocationResult
from rehearsal.latency import Latency
from rehearsal.meter import Meter, Record
from rehearsal.rehearsal import OUTSIDE, Rehearsal
from rehearsal.resources import Resource

__all__ = [
    "FAULTS",
    "OUTSIDE",
    "Event",
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
    "UnsupportedTemplateError",
]
