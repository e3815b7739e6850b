"""The handlers that the templates name."""

from importlib import import_module
from typing import Any

from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Event
from tests.support.assemblies import Resource


def handler_of(function: Resource) -> Any:
    """The object that Lambda calls."""
    module, _, attribute = function.properties["Handler"].rpartition(".")
    return getattr(import_module(module), attribute)


def consumes(function: Resource) -> tuple[type[Event], ...]:
    """The events that a consumer's function reacts to."""
    handler = handler_of(function)
    assert isinstance(handler, Consumer), function
    return handler.consumes
