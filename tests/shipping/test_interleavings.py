"""Shop and carrier agree under any interleaving of steps and crashes."""

from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lambdas.shipping.sandbox_carrier import Recalled
from tests.shipping.context import Shipping, later
from tests.support.cloud import Commits, Crash, cloud, crash

ORDERS = ("order-1", "order-2")
Step = Callable[[Shipping, str], object]

order_ids = st.sampled_from(ORDERS)
steps = st.sampled_from([Shipping.confirm, Shipping.cancel])
kinds = st.sampled_from(["picked_up", "delivered"])
crashes = st.none() | st.tuples(st.sampled_from(["before", "after"]), st.integers(1, 3))


class Interleavings(RuleBasedStateMachine):
    """Repeated confirmations, cancellations, reports and reminders of two orders."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        account = self.stack.enter_context(cloud())
        self.shipping = Shipping.in_cloud(account)
        self.commits = Commits(account.monkeypatch)
        self.cancelled: set[str] = set()

    @initialize(flaky=st.integers(0, 2))
    def confirm_an_order(self, flaky: int) -> None:
        self._run(Shipping.confirm, ORDERS[0], ("after", 1))
        self.shipping.confirm(ORDERS[1], postal_code=f"FLAKY-{flaky}")

    @rule(order_id=order_ids, step=steps, crashes=crashes)
    def take(self, step: Step, order_id: str, crashes: tuple[str, int] | None) -> None:
        self._run(step, order_id, crashes)

    @rule(order_id=order_ids, kind=kinds, again=st.booleans())
    def report(self, order_id: str, kind: str, again: bool) -> None:
        self._report(order_id, kind, f"{order_id}-{kind}" if again else None)

    @rule(order_id=order_ids)
    def remind(self, order_id: str) -> None:
        if f"shipment-{order_id}" in self.shipping.schedules():
            with later():
                assert self.shipping.remind(order_id)

    @rule(order_id=order_ids, step=steps, other=steps, number=st.integers(1, 3))
    def two_steps_overlap_and_one_dies(
        self, order_id: str, step: Step, other: Step, number: int
    ) -> None:
        self._note(other, order_id)
        dying = self.commits.part_of(lambda: other(self.shipping, order_id), 1)
        self.commits.before(number, dying)
        self._run(step, order_id, None)

    @rule(order_id=order_ids, step=steps, kind=kinds, number=st.integers(1, 3))
    def a_report_overlaps_with_a_step(
        self, order_id: str, step: Step, kind: str, number: int
    ) -> None:
        self.commits.before(number, lambda: self._report(order_id, kind, None))
        self._run(step, order_id, None)

    @invariant()
    def events_are_published_once_and_in_order(self) -> None:
        for order_id in ORDERS:
            events = self.shipping.published(order_id)
            assert len(events) == len(set(events)), events
            assert not {"OrderDelivered", "ShipmentRecalled"} <= set(events), events
            if "OrderDelivered" in events:
                assert events.index("OrderShipped") < events.index("OrderDelivered")

    @invariant()
    def the_shop_agrees_with_the_carrier(self) -> None:
        for order_id in ORDERS:
            state, parcel = self.shipping.state(order_id), self.shipping.parcel(order_id)
            # The carrier may have delivered a parcel before its recall, although its response to
            # the request was lost. Of such a parcel, the shop knows only the final state.
            known = state != "delivered" or self.shipping.shipment(order_id).get("tracking_id")
            if known and state in {"requested", "shipped", "delivered"}:
                assert self.shipping.shipment(order_id)["tracking_id"] == parcel["tracking_id"]
            # The report of a delivery cancels the reminder.
            if state in {"requested", "shipped"}:
                assert f"shipment-{order_id}" in self.shipping.schedules()
            if state == "delivered":
                assert parcel["status"] == state

    def teardown(self) -> None:
        """Redelivers all events, delivers all parcels, and checks that each order ends once."""
        with self.stack:
            for order_id in ORDERS:
                for _ in range(3):
                    self.shipping.confirm(order_id)
                if order_id in self.cancelled:
                    self.shipping.cancel(order_id)
                self._report(order_id, "delivered", None)
                assert self.shipping.state(order_id) in {"delivered", "recalled"}
                if self.shipping.state(order_id) == "delivered":
                    assert f"shipment-{order_id}" not in self.shipping.schedules()
                # Inventory waits for one of these events to release the units of a cancelled order.
                ends = {"OrderDelivered", "ShipmentRecalled"} & set(
                    self.shipping.published(order_id)
                )
                assert len(ends) == 1
                # A label that was bought during the recall is refunded by the next delivery.
                if self.shipping.state(order_id) == "recalled":
                    assert self.shipping.parcel(order_id).get("status", "recalled") == "recalled"
            self.events_are_published_once_and_in_order()
            self.the_shop_agrees_with_the_carrier()

    def _note(self, step: Step, order_id: str) -> None:
        if step is Shipping.cancel:
            self.cancelled.add(order_id)

    def _report(self, order_id: str, kind: str, event_id: str | None) -> None:
        """The carrier reports only what has happened."""
        if "tracking_id" not in self.shipping.parcel(order_id):
            return
        # The warehouse has no parcel to hand over.
        if self.shipping.state(order_id) == "recalled" and kind == "delivered":
            return
        if kind == "delivered":
            try:
                self.shipping.hand_over(order_id)
            except Recalled:
                return
        answer = self.shipping.report(kind, order_id, event_id=event_id)
        assert answer.status in {200, 409}

    def _run(self, step: Step, order_id: str, crashes: tuple[str, int] | None) -> None:
        self._note(step, order_id)
        if crashes:
            when, number = crashes
            (self.commits.before if when == "before" else self.commits.after)(number, crash)
        try:
            with suppress(Crash):
                step(self.shipping, order_id)
        finally:
            self.commits.forget()


TestInterleavings = pytest.mark.usefixtures("region")(Interleavings.TestCase)
TestInterleavings.settings = settings(max_examples=10, stateful_step_count=12)
