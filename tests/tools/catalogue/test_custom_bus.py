"""The catalogue of a stage on the Custom Event Bus."""

import pytest

from cdk_rehearsal import Assembly
from tools.catalogue.model import EventPage, System
from tools.catalogue.reading import read
from tools.catalogue.site import render


@pytest.fixture(scope="module")
def other(custom: Assembly) -> System:
    """The system on the Custom Event Bus."""
    return read(custom, stage="prod")


@pytest.fixture(scope="module")
def before(classic: Assembly) -> System:
    """The system on the classic bus."""
    return read(classic, stage="prod")


def ways_of(event: EventPage) -> set[tuple[str, ...]]:
    """The ways of an event, without the rules or subscribers at their beginning."""
    return {tuple(step.path for step in way.steps[1:]) for way in event.ways}


def test_events_take_the_same_ways_on_either_bus(before: System, other: System) -> None:
    for name, event in before.events.items():
        assert ways_of(event) == ways_of(other.events[name]), name
        assert event.consumers == other.events[name].consumers
        assert event.carrier == other.events[name].carrier
    # Only the log receives every event.
    for shop, starts in ((before, "Rule"), (other, "Subscriber")):
        assert [way.steps[0].path for way in shop.everything] == [f"Backbone/EventLog/{starts}"]


def test_subscribers_are_steps_and_parts_of_their_context(other: System) -> None:
    kinds = {way.steps[0].kind for event in other.events.values() for way in event.ways}
    assert "subscriber" in kinds
    assert "rule" not in kinds
    facts = {each.path: dict(each.facts) for each in other.owned.values()}
    assert facts["Backbone/Bus"]["retention"] == "90 d"
    assert "OrderPlaced.v2" in facts["Checkout/RunCheckout/Subscriber"]["pattern"]


def test_an_alarm_of_a_subscriber_does_not_watch_the_bus(other: System) -> None:
    (alarm,) = (
        each
        for each in other.alarms
        if each.path == "Checkout/RunCheckout/Subscriber/EventsDropped"
    )
    assert alarm.watches == ("Checkout/RunCheckout/Subscriber",)


def test_the_site_shows_subscribers(other: System) -> None:
    pages = render(other, source="https://example.com/")
    assert any("Checkout/RunCheckout/Subscriber" in str(page) for page in pages.values())
