"""The scenario: a file, a price, an order to delivery and return, a notification, and sales."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from lambdas.payments.domain import SYNTHETIC_ORDER
from lambdas.shared.vocabulary import SYNTHETIC_ITEMS
from tools.smoke.accounts import Account
from tools.smoke.cleaning import ERASING, erase, remove_left
from tools.smoke.goods import (
    CURRENCY,
    IMPORTED,
    PRICE,
    PRICED,
    first_order,
    import_stock,
    set_prices,
)
from tools.smoke.hops import Hop, hops
from tools.smoke.partners import has_real_carrier, has_real_provider, report_parcel
from tools.smoke.report import SmokeReport
from tools.smoke.run import Run, StepFailed, require
from tools.smoke.stage import ApiReply

SKU = f"{SYNTHETIC_ITEMS}SMOKE"
"""An item that only synthetic orders can have."""
_UNITS = 2
_AROUND = timedelta(hours=1)
"""Half of the period of sales that is compared."""
_MAILBOX = "success@simulator.amazonses.com"
"""https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html"""

_CHECKED_OUT = hops(
    *("Orders/PlaceOrder", "Orders/OrdersRelay", "Checkout/RunCheckout"),
    *("Inventory/ReserveStock", "Payments/AuthorizePayment"),
)
_CONFIRMED = (*_CHECKED_OUT, *hops("Orders/ConfirmOrder"))
_FOLLOWED = hops("Shipping/TakeCarrierEvent", "Shipping/ShipmentsRelay", "Orders/FollowShipment")
_REQUESTED = (*hops("Shipping/RequestShipment"), *_FOLLOWED[1:])
_SHIPPED = (*_FOLLOWED, *hops("Payments/CapturePayment", "Inventory/IssueStock"))
_DELIVERED = (*_FOLLOWED, *hops("Returns/KeepOrder"))
_RETURNING = hops(
    *("Returns/KeepOrder", "Returns/RequestReturn", "Returns/ReturnsRelay"),
    *("Returns/StartReturn", "Returns/AwaitDecision"),
)
_RETURNED = hops(
    *("Returns/DecideReturn", "Returns/ResumeReturn", "Payments/RefundReturnedOrder"),
    *("Inventory/RestockReturnedOrder", "Returns/CompleteReturn", "Orders/FollowReturn"),
)
_AFTER_CONFIRMATION = (*_REQUESTED, *_SHIPPED, *_DELIVERED, *_RETURNING, *_RETURNED)
_NOTIFIED = hops(
    "Notifications/AddressCustomer", "Notifications/CustomersRelay", "Notifications/SendEmail"
)


def play(run: Run) -> SmokeReport:
    """Plays the scenario up to the first step that fails, and cleans up. Returns the report."""
    part: _Part | None = None
    with suppress(StepFailed):
        try:
            with run.step("a customer and staff sign in"):
                staff = run.accounts.staff()
                part = _Part(run, staff, run.accounts.customer())
            with run.step("leftovers of earlier runs are gone"):
                run.report.problems += remove_left(run, staff)
            part.play()
        finally:
            if part is not None:
                part.leave()
    return run.finish()


@dataclass
class _Part:
    """The part of a synthetic customer, with a supplier, staff and a carrier around."""

    run: Run
    staff: Account
    customer: Account

    def play(self) -> None:
        """Plays all steps. Raises StepFailed."""
        self._refused()
        self._supply()
        self._order()
        if has_real_provider(self.run.stage):
            self._end_before_payment()
            untried = (*_CONFIRMED, *_AFTER_CONFIRMATION)
            self.run.leave_out("the payment provider is real", *untried)
        elif has_real_carrier(self.run.stage):
            self._confirm()
            self._cancel()
            self.run.leave_out("the carrier is real", *_AFTER_CONFIRMATION)
        else:
            self._confirm()
            self._deliver()
            self._return()
        self._notice()
        self._sell()

    def leave(self) -> None:
        """Removes what the run has created. Raises StepFailed."""
        run = self.run
        try:
            with run.step("the customer is erased", *ERASING):
                erase(run, self.customer, self.staff)
        finally:
            with run.step("the staff account is deleted"):
                run.accounts.delete(self.staff.pool, self.staff.email)

    # -- before the order -----------------------------------------------------------------

    def _refused(self) -> None:
        with self.run.step("the API refuses strangers"):
            require(self.run.ask("GET", "/orders"), 401)
            require(self.run.ask("GET", "/returns", self.customer.token), 401)

    def _supply(self) -> None:
        """Uploads a supplier's file, waits for its report, and sets the price of its item."""
        run = self.run
        with run.step("a supplier's file is imported", *IMPORTED):
            import_stock(run, {SKU: _UNITS})
        with run.step("staff set a price", *PRICED[:1]):
            set_prices(run, self.staff, [SKU])

    def _order(self) -> None:
        run, mail = self.run, {"email": {"address": _MAILBOX}}
        with run.step("the customer asks for e-mail", *hops("Notifications/SetPreferences")):
            require(run.ask("PUT", "/preferences", self.customer.token, mail), 200)
        with run.step("an order is placed", *PRICED[1:], *_CHECKED_OUT[:1]):
            run.report.order_id = first_order(run, self.customer, SKU)

    # -- the order ------------------------------------------------------------------------

    def _reaches(self, what: str, *passed: Hop) -> Any:
        """Returns the order once `what` is in its history. Raises StepFailed."""
        path = f"/orders/{self.run.report.order_id}"

        def reached() -> Any:
            order = require(self.run.ask("GET", path, self.customer.token), 200)
            return order if what in {step["what"] for step in order["history"]} else None

        return self.run.wait(reached, *passed)

    def _end_before_payment(self) -> None:
        """Expects that the payment is refused: a real provider is not asked."""
        passed = (*_CHECKED_OUT, *hops("Orders/RejectOrder", "Inventory/ReleaseStock"))
        with self.run.step("the order ends before its payment", *passed):
            order = self._reaches("rejected", *passed)
            if order["reason"] != SYNTHETIC_ORDER:
                raise StepFailed(
                    f"the order was rejected for {order['reason']!r}, not {SYNTHETIC_ORDER!r}: "
                    "look at once whether its payment has reached the provider"
                )

    def _confirm(self) -> None:
        with self.run.step("the order is confirmed", *_CONFIRMED):
            self._reaches("confirmed", *_CONFIRMED)

    def _cancel(self) -> None:
        """Cancels the order: a real carrier is not asked."""
        passed = hops("Orders/CancelOrder", "Payments/RefundClosedOrder")
        with self.run.step("the order is cancelled", *passed):
            path = f"/orders/{self.run.report.order_id}"
            require(self.run.ask("DELETE", path, self.customer.token), 200)
            self._reaches("cancelled", *passed)

    def _deliver(self) -> None:
        run = self.run
        with run.step("a shipment is requested", *_REQUESTED):
            order = self._reaches("shipment_requested", *_REQUESTED)
        for kind, status, passed in (
            ("picked_up", "shipped", _SHIPPED),
            ("delivered", "delivered", _DELIVERED),
        ):
            with run.step(f"the order is {status}", *passed):
                require(report_parcel(run.stage, order, kind, run.trace), 200)
                order = self._reaches(status, *_FOLLOWED)

    def _return(self) -> None:
        run, path = self.run, f"/orders/{self.run.report.order_id}/returns"

        def requested() -> ApiReply | None:
            answer = run.ask("POST", path, self.customer.token, {"reason": "not_as_described"})
            # Returns knows an order some seconds after its delivery.
            return None if answer.status in {404, 409} else answer

        with run.step("a return waits for a decision", *_RETURNING[1:]):
            require(run.wait(requested, *_RETURNING[:1]), 202)
            order_id = run.report.order_id
            review = f"/returns/{order_id}/review"
            run.wait(lambda: run.ask("POST", review, self.staff.token).status == 200, *_RETURNING)
        with run.step("the order is returned", *_RETURNED):
            decision = f"/returns/{order_id}/decision"
            require(run.ask("POST", decision, self.staff.token, {"approved": True}), 200)
            self._reaches("returned", *_RETURNED)

    # -- around the order -----------------------------------------------------------------

    def _notice(self) -> None:
        with self.run.step("an e-mail is sent", *_NOTIFIED):
            self.run.wait(self._notified, *_NOTIFIED)

    def _notified(self) -> bool:
        diagnosis = self.run.diagnosis
        sent = any(span.outcome == "done" for span in diagnosis.spans(_NOTIFIED[-1:]))
        if "logs" in diagnosis.problems:
            raise StepFailed(f"{diagnosis.problems['logs']}: only they show that it was sent")
        return sent

    def _sell(self) -> None:
        """Lets the customer view the item: that counts, and the synthetic order does not."""
        run = self.run
        passed = hops("Analytics/RecordActivity", "Analytics/AggregateSales")
        view = {
            "activity_id": f"smoke-{run.id}",
            "kind": "viewed",
            "sku": SKU,
            "unit_price_minor": PRICE,
            "currency": CURRENCY,
        }
        with run.step("sales have the view, not the order", *passed):
            before = self._sales()["views"]
            require(run.ask("POST", "/activity", self.customer.token, {"activities": [view]}), 202)
            totals = run.wait(lambda: self._sales(viewed=before + 1), *passed)
            if totals["units"]:
                raise StepFailed(
                    f"the sales of {SKU} have {totals['units']} units, but synthetic orders must "
                    "not count: look at the filter of the route to Analytics/Activity"
                )

    def _sales(self, *, viewed: int = 0) -> Any:
        """Returns the sums of the item's sales around this time, once it was viewed so often."""
        now = datetime.now(UTC)
        period = {"from": now - _AROUND, "to": now + _AROUND}
        query = {name: at.strftime("%Y-%m-%dT%H:%M:%SZ") for name, at in period.items()}
        path = f"/sales?{urlencode({**query, 'sku': SKU})}"
        totals = require(self.run.ask("GET", path, self.staff.token), 200)["totals"]
        return totals if totals["views"] >= viewed else None
