"""Contexts stand alone: each is found under one name, and reads its settings in one place."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from lambdas.eventing.event import Event
from stacks.constructs.packaging import PROJECT, contexts

LAMBDAS = PROJECT / "lambdas"
SETTINGS = LAMBDAS / "eventing" / "settings.py"


def environment_readers(source: str) -> list[int]:
    """The lines of a module that reach for the environment of the process."""
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
def test_whoever_reads_the_environment_is_found(source: str) -> None:
    assert environment_readers(source)


@pytest.mark.parametrize("context", contexts())
def test_a_context_has_one_name_everywhere(context: str) -> None:
    assert (PROJECT / "stacks" / f"{context}.py").is_file()
    assert (PROJECT / "tests" / context).is_dir()


def published(context: str) -> tuple[type[Event], ...]:
    if not (LAMBDAS / context / "events.py").is_file():
        return ()
    events: tuple[type[Event], ...] = import_module(f"lambdas.{context}.events").PUBLISHED
    return events


def test_an_event_belongs_to_the_context_that_its_source_names() -> None:
    found = [(context, event) for context in contexts() for event in published(context)]
    assert found
    for context, event in found:
        assert event.source == f"orderflow.{context}", event
        assert event.__module__ == f"lambdas.{context}.events", event


def test_every_event_that_a_context_defines_is_published() -> None:
    for context in contexts():
        if not published(context):
            continue
        defined = {
            value
            for value in vars(import_module(f"lambdas.{context}.events")).values()
            if isinstance(value, type)
            and issubclass(value, Event)
            and value.__module__ == f"lambdas.{context}.events"
        }
        bases = {base for event in defined for base in event.__mro__[1:]}
        assert defined - bases == set(published(context))


def test_no_two_events_have_one_name_on_the_bus() -> None:
    names = [event.detail_type() for context in contexts() for event in published(context)]
    assert len(names) == len(set(names))
