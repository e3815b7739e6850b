"""The shop's events, and the handlers that publish and consume them."""

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from importlib import import_module
from types import ModuleType
from typing import Any

import lambdas
from lambdas.eventing.consumer import Consumer
from lambdas.eventing.declaration import Handler
from lambdas.eventing.event import Event
from lambdas.eventing.stream import WindowConsumer
from lambdas.eventing.task import Task


class AmbiguousEvent(ValueError):
    """Two classes have the same name on the bus."""


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """Yields the `events` module of each context that has one, with the context's name."""
    for package in pkgutil.iter_modules(lambdas.__path__):
        if package.ispkg:
            path = import_module(f"lambdas.{package.name}").__path__
            if any(module.name == "events" for module in pkgutil.iter_modules(path)):
                yield package.name, import_module(f"lambdas.{package.name}.events")


def _all_modules() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(lambdas.__path__, f"{lambdas.__name__}."):
        yield import_module(module.name)


def _defined(module: ModuleType) -> Iterator[type[Event]]:
    """Yields the event classes of a module, without base classes."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Event)
        and value.__module__ == module.__name__
    ]
    for event in found:
        if not any(other is not event and issubclass(other, event) for other in found):
            yield event


def by_name(events: Iterable[type[Event]]) -> dict[str, type[Event]]:
    """Returns the classes by detail-type, in alphabetical order. Raises AmbiguousEvent."""
    found: dict[str, type[Event]] = {}
    for event in sorted(events, key=lambda event: event.detail_type()):
        other = found.setdefault(event.detail_type(), event)
        if other is not event:
            raise AmbiguousEvent(
                f"{event.__module__} and {other.__module__} both call an event "
                f"{event.detail_type()}: give one of them another name"
            )
    return found


DEFINED: Mapping[str, type[Event]] = by_name(
    event for _, module in _modules() for event in _defined(module)
)
"""All event classes by detail-type."""

HANDLERS: Mapping[str, Handler[Any]] = {
    value.name: value
    for module in _all_modules()
    for value in vars(module).values()
    if isinstance(value, Handler) and value.__module__ == module.__name__
}
"""All handlers by name, such as `orders.place_order`, in alphabetical order."""

PUBLISHED: Mapping[str, type[Event]] = by_name(
    {event for handler in HANDLERS.values() for event in handler.publishes}
)
"""The events that handlers declare to publish on the bus, by detail-type."""

RETIRED: Mapping[str, type[Event]] = {
    name: event
    for name, event in DEFINED.items()
    if name not in PUBLISHED and any(other.supersedes is event for other in DEFINED.values())
}
"""Older versions that no handler publishes any more. A replay may still deliver them."""

OUTSIDE: frozenset[type[Event]] = frozenset(
    event for _, module in _modules() for event in getattr(module, "FOR_OUTSIDERS", ())
)
"""The events that are published for systems outside the shop."""

INTERNAL: Mapping[str, type[Event]] = {
    name: event for name, event in DEFINED.items() if name not in PUBLISHED and name not in RETIRED
}
"""Events that are never on the bus: a context schedules them, or puts them on its stream."""


def successor_of(event: type[Event]) -> type[Event] | None:
    """Returns the next version of the class, or None."""
    return next((other for other in DEFINED.values() if other.supersedes is event), None)


def announcements(events: Iterable[type[Event]], today: date) -> Iterator[str]:
    """Yields what is wrong about the end of each event's publication; a message for each."""
    for event in events:
        name, newer = event.__name__, successor_of(event)
        if newer is None or event not in PUBLISHED.values():
            if event.ends:
                yield f"{name} states `ends`, but is no older version that is published: remove it"
        elif not event.ends:
            yield (
                f"{name} is published beside {newer.__name__}, but consumers outside cannot know "
                "for how long: state the last day in `ends`"
            )
        elif date.fromisoformat(event.ends) < today:
            yield (
                f"{name} was to end on {event.ends}: remove it from the `publishes` and `also_as` "
                f"of {', '.join(publishers_of(event))}, or announce a later day in `ends`. See "
                "docs/decisions/0022-a-new-version-beside-the-old.md"
            )


def context_of(event: type[Event]) -> str:
    """Returns the context that owns the class, such as `orders`."""
    return event.__module__.split(".")[1]


def publishers_of(event: type[Event]) -> tuple[str, ...]:
    """Returns the names of the handlers that publish `event`."""
    return tuple(name for name, handler in HANDLERS.items() if event in handler.publishes)


def consumers() -> Mapping[str, Consumer[Any]]:
    """Returns all consumers of queues by name, such as `orders.keep_price_list`."""
    return {name: each for name, each in HANDLERS.items() if isinstance(each, Consumer)}


def consumers_of(event: type[Event]) -> tuple[str, ...]:
    """Returns the names of the consumers of `event`."""
    return tuple(name for name, consumer in consumers().items() if event in consumer.consumes)


def readers() -> Mapping[str, tuple[type[Event], ...]]:
    """Returns the events that consumers of queues and streams, and tasks, decode, by name."""
    return {
        name: handler.consumes
        for name, handler in HANDLERS.items()
        if isinstance(handler, Consumer | Task | WindowConsumer)
    }


def readers_of(event: type[Event]) -> tuple[str, ...]:
    """Returns the names of the handlers that decode `event`."""
    return tuple(name for name, events in readers().items() if event in events)
