"""The transitions of a shipment: every state with every command, without a table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Event
from lambdas.shipping.domain import (
    OtherParcel,
    ParcelReport,
    Report,
    Shipment,
    State,
    TooEarly,
    Undecided,
    due_at,
)
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)
from tests.support.orders import cancelled

DUE = datetime(2026, 1, 10, 8, tzinfo=UTC)
LATE = DUE + timedelta(hours=1)


def report(kind: Report, *, tracking_id: str = "TRACK-1") -> ParcelReport:
    return ParcelReport(
        event_id=f"e-{kind}",
        parcel_id="shp-1",
        tracking_id=tracking_id,
        kind=kind,
        occurred_at=LATE,
    )


COMMANDS: dict[str, Callable[[Shipment], Any]] = {
    "requested": lambda shipment: shipment.requested("TRACK-1", DUE),
    "picked up": lambda shipment: shipment.report(report(Report.PICKED_UP)),
    "delivered": lambda shipment: shipment.report(report(Report.DELIVERED)),
    "deadline": lambda shipment: shipment.check_deadline(LATE),
    "recall": Shipment.recall,
    "failed": lambda shipment: shipment.report(report(Report.FAILED)),
    "opened": lambda shipment: shipment.opened("shp-1"),
    "comes back": lambda shipment: shipment.recalled(),
    "has left": lambda shipment: shipment.recalled(too_late=Report.PICKED_UP),
    "was delivered": lambda shipment: shipment.recalled(too_late=Report.DELIVERED),
}
Outcome = tuple[State, list[type[Event]]] | type[Exception] | None
TABLE: dict[State, dict[str, Outcome]] = {
    State.REQUESTING: {
        "requested": (State.REQUESTED, [ShipmentRequested]),
        "picked up": Undecided,
        "delivered": Undecided,
        "deadline": (State.REQUESTING, [ShipmentOverdue]),
        "recall": (State.RECALLING, []),
        "failed": Undecided,
        "opened": (State.REQUESTING, []),
        "comes back": None,
        "has left": None,
        "was delivered": None,
    },
    State.REQUESTED: {
        "requested": None,
        "picked up": (State.SHIPPED, [OrderShipped]),
        "delivered": (State.DELIVERED, [OrderShipped, OrderDelivered]),
        "deadline": (State.REQUESTED, [ShipmentOverdue]),
        "recall": (State.RECALLING, []),
        "failed": (State.REQUESTED, []),
        "opened": None,
        "comes back": None,
        "has left": None,
        "was delivered": None,
    },
    State.SHIPPED: {
        "requested": None,
        "picked up": None,
        "delivered": (State.DELIVERED, [OrderDelivered]),
        "deadline": (State.SHIPPED, [ShipmentOverdue]),
        "recall": (State.RECALLING, []),
        "failed": (State.SHIPPED, []),
        "opened": None,
        "comes back": None,
        "has left": None,
        "was delivered": None,
    },
    State.DELIVERED: {
        "requested": None,
        "picked up": None,
        "delivered": None,
        "deadline": None,
        "recall": None,
        "failed": None,
        "opened": None,
        "comes back": None,
        "has left": None,
        "was delivered": None,
    },
    State.RECALLING: {
        "requested": None,
        "picked up": Undecided,
        "delivered": Undecided,
        "deadline": None,
        "recall": None,
        "failed": Undecided,
        "opened": None,
        "comes back": (State.RECALLED, [ShipmentRecalled]),
        "has left": (State.SHIPPED, [OrderShipped]),
        "was delivered": (State.DELIVERED, [OrderShipped, OrderDelivered]),
    },
    State.RECALLED: {
        "requested": None,
        "picked up": None,
        "delivered": None,
        "deadline": None,
        "recall": None,
        "failed": None,
        "opened": None,
        "comes back": None,
        "has left": None,
        "was delivered": None,
    },
}


def shipment(state: State, **fields: Any) -> Shipment:
    tracked = {} if state is State.REQUESTING else {"tracking_id": "TRACK-1"}
    given = {"correlation_id": "correlation-1", "due_at": DUE, **tracked, **fields}
    return Shipment(order_id="order-1", state=state, **given)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_state_answers_every_command(state: State, command: str) -> None:
    before, expected = shipment(state), TABLE[state][command]
    if isinstance(expected, type):
        with pytest.raises(expected):
            COMMANDS[command](before)
        return
    change: Change[Shipment] | None = COMMANDS[command](before)
    if expected is None:
        assert change is None
        return
    assert change is not None
    after, events = expected
    assert change.after.state is after
    assert [type(event) for event in change.events] == events
    assert {event.subject for event in change.events} <= {"order-1"}


def test_a_shipment_begins_with_what_its_events_need() -> None:
    change = Shipment.begin("order-1", "correlation-1", DUE)
    assert change == Change(shipment(State.REQUESTING))


def test_a_request_keeps_the_tracking_id_and_promises_the_deadline() -> None:
    change = shipment(State.REQUESTING).requested("TRACK-1", DUE)
    assert change
    assert change.after == shipment(State.REQUESTED)
    assert change.events == (
        ShipmentRequested(order_id="order-1", tracking_id="TRACK-1", due_at=DUE),
    )


@pytest.mark.parametrize("confirmed", [True, False])
def test_of_an_order_that_was_never_confirmed_no_recall_is_published(confirmed: bool) -> None:
    change = Shipment.block(cancelled(confirmed=confirmed), "correlation-1")
    assert change.after.state is State.RECALLED
    recalled = ShipmentRecalled(order_id="order-1")
    assert change.events == ((recalled,) if confirmed else ())


@pytest.mark.parametrize("state", [State.REQUESTED, State.SHIPPED, State.RECALLING, State.RECALLED])
def test_a_report_on_another_parcel_is_refused_in_every_state(state: State) -> None:
    with pytest.raises(OtherParcel):
        shipment(state).report(report(Report.DELIVERED, tracking_id="TRACK-2"))


def test_a_report_is_dated() -> None:
    change = shipment(State.REQUESTED).report(report(Report.PICKED_UP))
    assert change
    assert change.after.reported_at == LATE


@pytest.mark.parametrize("before", [State.REQUESTING, State.REQUESTED, State.SHIPPED, None])
def test_a_recall_that_comes_too_late_publishes_what_was_not_known_yet(
    before: State | None,
) -> None:
    change = shipment(State.RECALLING, recalled_from=before).recalled(too_late=Report.DELIVERED)
    assert change
    known = [OrderShipped] if before is State.SHIPPED else []
    assert known + [type(event) for event in change.events] == [OrderShipped, OrderDelivered]
    assert change.after.recalled_from is None


@pytest.mark.parametrize("before", [State.REQUESTING, State.REQUESTED, State.SHIPPED, None])
def test_a_recall_of_a_parcel_that_has_left_ends_as_shipped(before: State | None) -> None:
    change = shipment(State.RECALLING, recalled_from=before).recalled(too_late=Report.PICKED_UP)
    assert change
    assert change.after.state is State.SHIPPED
    assert change.after.recalled_from is None
    assert len(change.events) == (before is not State.SHIPPED)


def test_a_failed_delivery_is_marked_once_and_a_later_delivery_still_counts() -> None:
    change = shipment(State.SHIPPED).report(report(Report.FAILED))
    assert change
    assert (change.after.failed, change.events) == (True, ())
    assert change.after.report(report(Report.FAILED)) is None
    delivered = change.after.report(report(Report.DELIVERED))
    assert delivered
    assert delivered.after.state is State.DELIVERED


def test_the_first_parcel_that_is_opened_counts() -> None:
    change = shipment(State.REQUESTING).opened("shp-1")
    assert change
    assert change.after.at_carrier == "shp-1"
    assert change.after.opened("shp-2") is None


def test_a_parcel_of_an_earlier_release_is_known_by_its_order() -> None:
    assert shipment(State.REQUESTED).at_carrier == "order-1"
    assert shipment(State.REQUESTING).at_carrier is None


@pytest.mark.parametrize(
    ("before", "picked_up"),
    [(State.REQUESTING, False), (State.REQUESTED, False), (State.SHIPPED, True), (None, False)],
)
def test_a_recall_tells_whether_the_parcel_had_left(before: State | None, picked_up: bool) -> None:
    change = shipment(State.RECALLING, recalled_from=before).recalled()
    assert change
    assert change.events == (ShipmentRecalled(order_id="order-1", picked_up=picked_up),)


def test_a_recall_that_is_over_forgets_where_it_began() -> None:
    change = shipment(State.RECALLING, recalled_from=State.SHIPPED).recalled()
    assert change
    assert change.after.recalled_from is None


def test_a_recall_remembers_where_it_began() -> None:
    change = shipment(State.SHIPPED).recall()
    assert change
    assert change.after.recalled_from is State.SHIPPED


def test_a_deadline_is_not_missed_before_it_is_over() -> None:
    with pytest.raises(TooEarly, match="shipment order-1 is due at 2026-01-10"):
        shipment(State.SHIPPED).check_deadline(DUE - timedelta(microseconds=1))
    assert shipment(State.SHIPPED).check_deadline(DUE)


def test_a_shipment_is_overdue_once() -> None:
    change = shipment(State.SHIPPED).check_deadline(LATE)
    assert change
    assert change.after.check_deadline(LATE) is None


def test_an_open_shipment_without_a_deadline_is_an_error_that_names_it() -> None:
    with pytest.raises(LookupError, match="shipment order-1 is shipped but has no deadline"):
        shipment(State.SHIPPED, due_at=None).check_deadline(LATE)


def test_a_deadline_is_in_whole_seconds() -> None:
    confirmed_at = datetime(2026, 1, 5, 8, 0, 0, 999_999, tzinfo=UTC)
    assert due_at(confirmed_at, 120) == datetime(2026, 1, 10, 8, tzinfo=UTC)


@given(st.lists(st.sampled_from([*COMMANDS])))
def test_in_whatever_order_commands_come_no_event_repeats_or_contradicts_another(
    commands: list[str],
) -> None:
    current, published = Shipment.begin("order-1", "correlation-1", DUE).after, list[Event]()
    for command in commands:
        try:
            change: Change[Shipment] | None = COMMANDS[command](current)
        except (Undecided, OtherParcel):
            continue
        if change:
            assert msgspec.structs.replace(change.after, revision=0) != current
            current = change.after
            published += change.events
    types = [type(event) for event in published]
    assert len(types) == len(set(types))
    assert not {OrderDelivered, ShipmentRecalled} <= set(types)
    assert (State.DELIVERED is current.state) == (OrderDelivered in types)
    assert (State.RECALLED is current.state) == (ShipmentRecalled in types)
    if OrderDelivered in types:
        assert types.index(OrderShipped) < types.index(OrderDelivered)
