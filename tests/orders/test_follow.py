"""Following other contexts: an order's status only advances, its history is chronological."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
import time_machine

from lambdas.eventing.event import CloudEvent, Event
from lambdas.orders import follow_shipment
from lambdas.orders.domain import LIFECYCLE, STEPS, OrderStands, Status, chronological
from lambdas.returns.events import (
    OrderReturned,
    RefusalReason,
    ReturnEvent,
    ReturnReason,
    ReturnRefused,
    ReturnRequested,
)
from lambdas.shipping.events import (
    OrderDelivered,
    OrderShipped,
    ShipmentOverdue,
    ShipmentRecalled,
    ShipmentRequested,
)
from tests.orders.context import Orders
from tests.support.cloud import Cloud, Commits, Crash, crash
from tests.support.messages import CONTEXT, batch, enveloped, failed

START = datetime.now(UTC) + timedelta(hours=1)
DUE = datetime(2026, 1, 9, 12, tzinfo=UTC)


def at(minutes: int, event: Event) -> CloudEvent:
    """The event as published this many minutes after the order."""
    return msgspec.structs.replace(enveloped(event), time=START + timedelta(minutes=minutes))


def way_of(order_id: str) -> list[CloudEvent]:
    customer = {"order_id": order_id, "customer_id": "customer-1"}
    return [
        at(1, ShipmentRequested(order_id=order_id, tracking_id="track-1", due_at=DUE)),
        at(2, OrderShipped(order_id=order_id)),
        at(3, OrderDelivered(order_id=order_id)),
        at(4, ReturnRequested(**customer, reason=ReturnReason.UNWANTED)),
        at(5, OrderReturned(**customer)),
    ]


def progress_of(orders: Orders, order_id: str) -> tuple[str, list[str]]:
    """The status and the history of an order."""
    order = orders.get(order_id).json
    return order["status"], [step["what"] for step in order["history"]]


def a_confirmed_order(orders: Orders) -> str:
    order_id = orders.an_order()
    orders.confirm()
    return order_id


class TestHistory:
    def test_the_history_begins_with_the_placed_order_and_has_each_step(
        self, orders: Orders
    ) -> None:
        order_id = a_confirmed_order(orders)
        assert progress_of(orders, order_id) == ("confirmed", ["placed", "confirmed"])

    def test_the_history_has_the_reason_of_a_rejection(self, orders: Orders) -> None:
        order_id = orders.an_order()
        orders.reject("payment_declined")
        history = orders.get(order_id).json["history"]
        assert (history[1]["what"], history[1]["reason"]) == ("rejected", "payment_declined")

    def test_the_history_has_the_time_and_the_details_of_each_event(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        orders.receive(
            at(1, ShipmentRequested(order_id=order_id, tracking_id="track-1", due_at=DUE)),
            at(2, ShipmentOverdue(order_id=order_id, due_at=DUE)),
            at(
                3,
                ReturnRefused(
                    order_id=order_id, customer_id="customer-1", reason=RefusalReason.USED
                ),
            ),
        )
        steps: list[dict[str, Any]] = orders.get(order_id).json["history"][2:]
        times = [datetime.fromisoformat(step.pop("at")) for step in steps]
        assert times == [START + timedelta(minutes=minutes) for minutes in (1, 2, 3)]
        due = "2026-01-09T12:00:00Z"
        assert steps == [
            {"what": "shipment_requested", "tracking_id": "track-1", "due_at": due},
            {"what": "overdue", "due_at": due},
            {"what": "return_refused", "reason": "used"},
        ]

    def test_the_history_has_no_personal_data(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        orders.receive(*way_of(order_id))
        for step in orders.get(order_id).json["history"]:
            assert step.keys() <= {"what", "at", "reason", "tracking_id", "due_at"}

    def test_a_redelivered_event_is_in_the_history_once(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        shipped = at(1, OrderShipped(order_id=order_id))
        orders.receive(shipped)
        known = orders.table.items()
        orders.receive(shipped)
        assert progress_of(orders, order_id) == ("shipped", ["placed", "confirmed", "shipped"])
        assert orders.table.items() == known
        assert not [item for item in orders.table.items() if shipped.id in item["pk"]]

    def test_an_event_whose_commit_gets_no_answer_is_in_the_history_once(
        self, orders: Orders, cloud: Cloud
    ) -> None:
        order_id = a_confirmed_order(orders)
        with cloud.losing_answers("UpdateItem"):
            orders.receive(*way_of(order_id)[:2])
        assert progress_of(orders, order_id)[1][2:] == ["shipment_requested", "shipped"]
        assert orders.table.one("order")["revision"] == 4

    def test_a_redelivered_event_is_counted_as_a_duplicate(
        self, orders: Orders, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """An earlier release remembered it in the inbox, and in the history, too."""
        order_id = a_confirmed_order(orders)
        shipped = at(1, OrderShipped(order_id=order_id))
        orders.receive(shipped)
        inbox = f"INBOX#{follow_shipment.handler.name}#{shipped.id}"
        orders.table.put({"pk": inbox, "sk": inbox, "kind": "inbox"})
        known = orders.table.items()
        capsys.readouterr()
        orders.receive(shipped)
        assert orders.table.items() == known
        assert '"DuplicateEvents":[1.0]' in capsys.readouterr().out

    def test_an_event_published_again_under_a_new_id_keeps_its_first_entry(
        self, orders: Orders
    ) -> None:
        """A publisher that repeats an event under new ids cannot make the item grow."""
        order_id = a_confirmed_order(orders)
        orders.receive(*[at(minutes, OrderShipped(order_id=order_id)) for minutes in range(1, 9)])
        (shipped,) = orders.get(order_id).json["history"][2:]
        assert datetime.fromisoformat(shipped["at"]) == START + timedelta(minutes=1)

    @pytest.mark.parametrize("turns", [*permutations(range(5))][::7])
    def test_steps_at_the_same_time_are_in_the_order_of_the_lifecycle(
        self, orders: Orders, turns: tuple[int, ...]
    ) -> None:
        """The table stores a history as a map, which is unordered."""
        with time_machine.travel(START, tick=False):
            order_id = a_confirmed_order(orders)
            way = [msgspec.structs.replace(each, time=START) for each in way_of(order_id)]
            orders.receive(*[way[turn] for turn in turns])
        steps = [
            *("placed", "confirmed", "shipment_requested", "shipped", "delivered"),
            *("return_requested", "returned"),
        ]
        assert progress_of(orders, order_id) == ("returned", steps)

    def test_the_time_takes_precedence_over_the_lifecycle(self) -> None:
        late, early = START + timedelta(microseconds=1), START
        assert chronological({"shipped": late, "delivered": early}) == ["delivered", "shipped"]

    def test_a_step_of_a_later_release_does_not_hide_the_others(self) -> None:
        assert chronological({"new": START, "placed": START}) == ["placed", "new"]

    def test_the_lifecycle_has_each_step_once_after_the_steps_that_lead_to_it(self) -> None:
        known = {*Status, *(step.what for step in STEPS.values())}
        assert sorted(LIFECYCLE) == sorted(known)
        for way in (
            ("placed", "confirmed", "shipment_requested", "shipped", "overdue", "delivered"),
            ("delivered", "return_requested", "return_refused"),
            ("return_requested", "returned"),
            ("confirmed", "cancelled", "recalled"),
            ("shipped", "recalled"),
            ("placed", "rejected"),
            ("placed", "expired"),
        ):
            assert [what for what in LIFECYCLE if what in way] == list(way)

    def test_each_kind_of_step_has_its_own_name(self) -> None:
        assert len({step.what for step in STEPS.values()}) == len(STEPS) < 20


class TestStatus:
    def test_the_final_status_does_not_depend_on_the_sequence_of_events(
        self, orders: Orders
    ) -> None:
        orders.priced()
        whole = ["shipment_requested", "shipped", "delivered", "return_requested", "returned"]
        for number, turns in enumerate(permutations(range(5))):
            if number % 7:
                continue
            order_id = orders.place(key=f"key-{number}").json["order_id"]
            stored = next(
                item for item in orders.table.items("order") if item["order_id"] == order_id
            )
            orders.table.put({**stored, "status": "confirmed"})
            way = way_of(order_id)
            orders.receive(*[way[turn] for turn in turns])
            assert progress_of(orders, order_id) == ("returned", ["placed", *whole])

    @pytest.mark.parametrize(
        ("event_type", "status"),
        [(OrderShipped, "shipped"), (OrderDelivered, "delivered")],
    )
    def test_an_event_of_the_parcel_advances_the_status(
        self, orders: Orders, event_type: type[OrderShipped], status: str
    ) -> None:
        order_id = a_confirmed_order(orders)
        orders.receive(event_type(order_id=order_id))
        assert progress_of(orders, order_id)[0] == status

    def test_a_late_shipment_event_does_not_undo_the_delivery(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        _, shipped, delivered, *_ = way_of(order_id)
        orders.receive(delivered, shipped)
        expected = ["placed", "confirmed", "shipped", "delivered"]
        assert progress_of(orders, order_id) == ("delivered", expected)

    def test_a_late_parcel_of_a_cancelled_order_leaves_it_cancelled(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        orders.cancel(order_id)
        orders.receive(
            at(1, OrderShipped(order_id=order_id)), at(2, ShipmentRecalled(order_id=order_id))
        )
        status, history = progress_of(orders, order_id)
        assert (status, history[-2:]) == ("cancelled", ["shipped", "recalled"])

    def test_an_order_cancelled_too_late_and_returned_ends_returned(self, orders: Orders) -> None:
        """The events of the parcel and its return arrive in any sequence after the cancellation."""
        orders.priced()
        for number, turns in enumerate(permutations(range(5))):
            if number % 7:
                continue
            order_id = orders.place(key=f"key-{number}").json["order_id"]
            stored = next(
                item for item in orders.table.items("order") if item["order_id"] == order_id
            )
            orders.table.put({**stored, "status": "confirmed"})
            assert orders.cancel(order_id).status == 200
            way = way_of(order_id)
            statuses = []
            for turn in turns:
                orders.receive(way[turn])
                statuses.append(progress_of(orders, order_id)[0])
            back = turns.index(4)
            assert statuses == ["cancelled"] * back + ["returned"] * (5 - back)
            whole = ["shipment_requested", "shipped", "delivered", "return_requested", "returned"]
            assert progress_of(orders, order_id)[1] == ["placed", "cancelled", *whole]

    def test_an_order_cancelled_too_late_whose_return_is_refused_stays_cancelled(
        self, orders: Orders
    ) -> None:
        order_id = a_confirmed_order(orders)
        orders.cancel(order_id)
        orders.receive(
            *way_of(order_id)[:4],
            at(
                5,
                ReturnRefused(
                    order_id=order_id, customer_id="customer-1", reason=RefusalReason.USED
                ),
            ),
        )
        status, history = progress_of(orders, order_id)
        assert (status, history[-1]) == ("cancelled", "return_refused")

    @pytest.mark.parametrize("status", ["rejected", "expired", "placed"])
    def test_an_order_that_was_never_confirmed_cannot_become_returned(
        self, orders: Orders, status: str
    ) -> None:
        order_id = orders.an_order()
        orders.table.put({**orders.table.one("order"), "status": status})
        orders.receive(*way_of(order_id))
        assert progress_of(orders, order_id)[0] == status

    @pytest.mark.parametrize("number", range(5))
    def test_an_order_can_be_cancelled_until_the_carrier_has_the_parcel(
        self, orders: Orders, number: int
    ) -> None:
        order_id = a_confirmed_order(orders)
        orders.receive(*way_of(order_id)[: number + 1])
        assert orders.cancel(order_id).status == (200 if number == 0 else 409)

    def test_a_concurrent_cancellation_takes_precedence_over_the_shipment(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = a_confirmed_order(orders)
        commits.before(1, lambda: orders.cancel(order_id))
        orders.receive(at(1, OrderShipped(order_id=order_id)))
        status, history = progress_of(orders, order_id)
        assert (status, history[-2:]) == ("cancelled", ["cancelled", "shipped"])

    def test_a_concurrent_return_is_not_undone_by_the_delivery(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = a_confirmed_order(orders)
        orders.cancel(order_id)
        *_, delivered, requested, returned = way_of(order_id)
        commits.before(1, lambda: orders.receive(requested, returned))
        orders.receive(delivered)
        assert progress_of(orders, order_id)[0] == "returned"

    def test_a_concurrent_shipment_takes_precedence_over_the_cancellation(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = a_confirmed_order(orders)
        commits.before(1, lambda: orders.receive(OrderShipped(order_id=order_id)))
        assert orders.cancel(order_id).status == 409
        assert progress_of(orders, order_id)[0] == "shipped"

    def test_a_repeated_checkout_does_not_change_a_returned_order(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        orders.cancel(order_id)
        orders.receive(*way_of(order_id))
        before = orders.table.items()
        orders.confirm()
        with pytest.raises(OrderStands):
            orders.reject()
        assert orders.table.items() == before

    @pytest.mark.parametrize("event_type", [OrderShipped, OrderDelivered])
    def test_a_repeated_checkout_does_not_change_a_shipped_order(
        self, orders: Orders, event_type: type[OrderShipped]
    ) -> None:
        order_id = a_confirmed_order(orders)
        orders.receive(event_type(order_id=order_id))
        orders.confirm()
        with pytest.raises(OrderStands):
            orders.reject()
        assert orders.table.published() == ["OrderConfirmed.v2", "OrderPlaced.v2"]

    def test_following_other_contexts_publishes_nothing(self, orders: Orders) -> None:
        order_id = a_confirmed_order(orders)
        before = orders.table.published()
        orders.receive(*way_of(order_id))
        assert orders.table.published() == before


class TestFailures:
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_after_a_crash_the_event_takes_effect_once(
        self, orders: Orders, commits: Commits, when: str
    ) -> None:
        order_id = a_confirmed_order(orders)
        shipped = at(1, OrderShipped(order_id=order_id))
        getattr(commits, when)(1, crash)
        with pytest.raises(Crash):
            orders.receive(shipped)
        orders.receive(shipped)
        assert progress_of(orders, order_id) == ("shipped", ["placed", "confirmed", "shipped"])

    def test_the_event_of_an_unknown_order_is_delivered_again(self, orders: Orders) -> None:
        message = batch(enveloped(OrderShipped(order_id="nowhere")))
        assert failed(follow_shipment.handler(message, CONTEXT)) == ["m1"]
        assert orders.table.items() == []

    def test_an_order_that_keeps_changing_is_left_to_the_next_delivery(
        self, orders: Orders, commits: Commits
    ) -> None:
        order_id = a_confirmed_order(orders)
        stored = orders.table.one("order")
        statuses = ["shipped", "confirmed"] * 3

        def changed(number: int) -> None:
            orders.table.put({**stored, "status": statuses[number]})

        for number in range(5):
            commits.before(number + 1, lambda number=number: changed(number))  # type: ignore[misc]
        message = batch(at(1, OrderShipped(order_id=order_id)))
        assert failed(follow_shipment.handler(message, CONTEXT)) == ["m1"]

    def test_an_event_of_another_context_is_parked(self, orders: Orders) -> None:
        event = ReturnRequested(
            order_id="order-1", customer_id="customer-1", reason=ReturnReason.UNWANTED
        )
        assert isinstance(event, ReturnEvent)
        assert failed(follow_shipment.handler(batch(enveloped(event)), CONTEXT)) == []
        assert len(orders.parking.messages()) == 1
