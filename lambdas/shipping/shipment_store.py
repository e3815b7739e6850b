"""Shipping's table: one shipment per order, in step with the carrier and with the deadline.

The carrier takes no part in transactions. The intention is stored before the carrier is asked, and
the answer after that. The carrier's id of a parcel is stored before its label is bought: after a
crash, the next run asks for the same parcel again.
"""

from datetime import datetime
from enum import StrEnum

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.orders.events import Address, OrderCancelled, OrderConfirmed
from lambdas.shipping import deadline
from lambdas.shipping.carrier import Carrier, TooLate
from lambdas.shipping.domain import ParcelReport, Report, Shipment, State
from lambdas.shipping.settings import settings

_shipments = Store(
    Shipment,
    "shipment",
    settings,
    lambda order_id: (f"SHIPMENT#{order_id}", "SHIPMENT"),
    id_field="order_id",
    whole=True,
)


class Taken(StrEnum):
    """What became of a report: the name under which it is counted."""

    NEWS = "CarrierReports"
    KNOWN = "DuplicateCallbacks"
    FAILURE = "FailedDeliveries"
    AFTER_RECALL = "CallbacksAfterRecall"


class NoAddress(LookupError):
    """The address of an order that is to be shipped was deleted."""


def request(
    order: OrderConfirmed,
    address: Address | None,
    due_at: datetime,
    carrier: Carrier,
    cause: Cause,
) -> None:
    """Has the order carried to its customer by `due_at`; does nothing if that is arranged already.

    If a cancellation got in between, the label may have been bought after the recall: then recalls
    it again. Raises carrier.Unavailable, carrier.Undeliverable, carrier.TooLate for a parcel that
    left although it was recalled, or NoAddress if an address is needed.
    """
    shipment, _ = _shipments.change(
        order.order_id,
        lambda _: None,
        cause,
        begin=lambda: Shipment.begin(order.order_id, cause.correlation_id, due_at),
    )
    if shipment.state is State.REQUESTING and not shipment.parcel_id:
        if address is None:
            raise NoAddress(f"the address of order {order.order_id} is deleted: cancel the order")
        units = sum(line.quantity for line in order.lines)
        parcel_id = carrier.open(order.order_id, address=address, units=units)
        # Of several parcels, the one that is stored first counts.
        shipment, _ = _shipments.change(
            order.order_id, lambda found: found.opened(parcel_id), cause, last=shipment
        )
    if shipment.state is State.REQUESTING and shipment.parcel_id:
        due_at = shipment.due_at or due_at
        tracking_id = carrier.buy(shipment.parcel_id)
        deadline.remind(order.order_id, due_at, cause)
        shipment, _ = _shipments.change(
            order.order_id, lambda found: found.requested(tracking_id, due_at), cause, last=shipment
        )
    if shipment.state in {State.RECALLING, State.RECALLED} and shipment.parcel_id:
        carrier.recall(shipment.parcel_id)


def take(order_id: str, report: ParcelReport) -> Taken:
    """Moves a shipment on by a carrier's report, once: the shipment shows what was reported before.

    Of a parcel that was delivered, the reminder is cancelled. If that fails, the carrier sends the
    report again; a reminder that remains ends at its time and finds nothing to do. Raises
    NotStored, OtherParcel or Undecided.
    """
    shipment, moved = _shipments.change(
        order_id,
        lambda found: found.report(report),
        lambda found: Cause(correlation_id=found.correlation_id, causation_id=report.event_id),
    )
    if shipment.state is State.DELIVERED:
        deadline.cancel(order_id)
    if moved:
        return Taken.FAILURE if report.kind is Report.FAILED else Taken.NEWS
    return Taken.AFTER_RECALL if shipment.state is State.RECALLED else Taken.KNOWN


def check(order_id: str, now: datetime, cause: Cause) -> bool:
    """Marks the order's shipment as overdue if it is still to be delivered. True if it is new.

    Raises TooEarly, or NotStored: a shipment is stored before its deadline is scheduled.
    """
    _, overdue = _shipments.change(order_id, lambda found: found.check_deadline(now), cause)
    return overdue


def recall(order: OrderCancelled, carrier: Carrier, cause: Cause) -> bool:
    """Has the order's parcel brought back, and none requested from now on.

    False if it has left for good: then it goes on to its customer. Safe to repeat, to run before
    the request, and to resume after a crash. Raises carrier.Unavailable.
    """
    shipment, _ = _shipments.change(
        order.order_id,
        Shipment.recall,
        cause,
        begin=lambda: Shipment.block(order, cause.correlation_id),
    )
    if shipment.state is State.RECALLING:
        too_late = None
        if shipment.at_carrier:
            try:
                carrier.recall(shipment.at_carrier)
            except TooLate as error:
                too_late = error.reached
        shipment, _ = _shipments.change(
            order.order_id, lambda found: found.recalled(too_late=too_late), cause, last=shipment
        )
    return shipment.state is State.RECALLED
