"""The code behind the templates: handlers, their errors, and the events of contexts."""

import pkgutil
from importlib import import_module
from typing import Any

import lambdas
from cdk_rehearsal import Resource
from lambdas.eventing.aggregate import Refusal
from lambdas.eventing.consumer import Consumer
from lambdas.eventing.event import Event
from stacks.constructs.packaging import contexts
from stacks.schemas.events import PUBLISHED, context_of


def handler_of(function: Resource) -> Any:
    """The object that Lambda calls."""
    module, _, attribute = function.properties["Handler"].rpartition(".")
    return getattr(import_module(module), attribute)


def consumes(function: Resource) -> tuple[type[Event], ...]:
    """The events that a consumer's function reacts to."""
    handler = handler_of(function)
    assert isinstance(handler, Consumer), function
    return handler.consumes


def errors() -> dict[str, type[Exception]]:
    """The exceptions of handlers and of the kernel, by the name that Lambda reports."""
    return {
        name: value
        for module in pkgutil.walk_packages(lambdas.__path__, "lambdas.")
        for name, value in vars(import_module(module.name)).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }


def refusals() -> set[str]:
    """The errors with which a task refuses, and which a workflow catches."""
    return {
        name
        for name, error in errors().items()
        if issubclass(error, Refusal) and error is not Refusal
    }


def published(context: str) -> set[type[Event]]:
    """The events that the handlers of a context publish."""
    return {event for event in PUBLISHED.values() if context_of(event) == context}


def publishers() -> dict[str, set[type[Event]]]:
    """The stacks whose contexts publish, and their events."""
    return {context.title(): published(context) for context in contexts() if published(context)}
