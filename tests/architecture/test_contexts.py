"""Contexts are independent: each has one name, owns its events and reads settings in one place."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from lambdas.analytics.events import ItemAddedToCart, ItemViewed
from lambdas.eventing.event import Event
from lambdas.eventing.personal import Personal
from lambdas.orders.events import CanaryDue, OrderConfirmedV1, OrderPlacedV1, SweepDue
from lambdas.payments.events import PaymentSweepDue
from lambdas.shipping.events import ShipmentDue
from stacks.constructs.packaging import contexts
from stacks.schemas.events import PUBLISHED
from stacks.schemas.json_schema import data_schema
from tests.support.handlers import published
from workspace.isolation import PROJECT

LAMBDAS = PROJECT / "lambdas"
SETTINGS = LAMBDAS / "eventing" / "settings.py"
NOT_PUBLISHED: dict[type[Event], str] = {
    CanaryDue: "a schedule of orders invokes orders with it",
    ItemAddedToCart: "goes to the stream of analytics: too many events for the bus",
    ItemViewed: "goes to the stream of analytics: too many events for the bus",
    ShipmentDue: "a schedule of shipping invokes shipping with it",
    PaymentSweepDue: "a schedule of payments invokes payments with it",
    SweepDue: "a schedule of orders invokes orders with it",
    OrderConfirmedV1: "retired: it carries personal data",
    OrderPlacedV1: "retired: it carries personal data",
}
"""Events that handlers do not put on the bus, and why."""


def environment_readers(source: str) -> list[int]:
    """The lines of a module that access the environment of the process."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    ]


def modules() -> Iterator[Path]:
    yield from sorted(LAMBDAS.rglob("*.py"))


def test_the_environment_is_read_in_one_place() -> None:
    readers = [path for path in modules() if environment_readers(path.read_text())]
    assert readers == [SETTINGS]


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os\nos.getenv('A')",
        "from os import environ",
        "from os import getenv as g",
    ],
)
def test_code_that_reads_the_environment_is_found(source: str) -> None:
    assert environment_readers(source)


@pytest.mark.parametrize("context", contexts())
def test_a_context_has_one_name_everywhere(context: str) -> None:
    assert (PROJECT / "stacks" / f"{context}.py").is_file()
    assert (PROJECT / "tests" / context).is_dir()


def defined(context: str) -> set[type[Event]]:
    """The events of a context, without the base classes that they share."""
    if not (LAMBDAS / context / "events.py").is_file():
        return set()
    module = import_module(f"lambdas.{context}.events")
    found = {
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Event)
        if value.__module__ == module.__name__
    }
    return found - {base for event in found for base in event.__mro__[1:]}


def test_an_event_belongs_to_the_context_that_its_source_names() -> None:
    found = [(context, event) for context in contexts() for event in defined(context)]
    assert found
    for context, event in found:
        assert event.source == f"orderflow.{context}", event


def test_every_event_of_a_context_is_published_or_a_listed_exception() -> None:
    for context in contexts():
        kept = {event for event in defined(context) if event in NOT_PUBLISHED}
        assert defined(context) == kept | set(published(context))
        assert not kept & set(published(context))


@pytest.mark.parametrize("event", PUBLISHED.values(), ids=lambda event: event.detail_type())
def test_no_published_event_carries_personal_data(event: type[Event]) -> None:
    kinds = {kind.__name__ for kind in Personal.__subclasses__()}
    assert kinds
    assert not kinds & data_schema(event).get("$defs", {}).keys()
    assert event.carried is Event.carried


def test_event_names_are_unique() -> None:
    names = [event.detail_type() for context in contexts() for event in defined(context)]
    assert len(names) == len(set(names))
