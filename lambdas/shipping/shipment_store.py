"""Shipping's table: one shipment per order, in step with the carrier and with the deadline.

The carrier takes no part in transactions. The intention is stored before the carrier is asked, and
the answer after that. After a crash in between, the next run asks again with the same idempotency
key.
"""

from datetime import datetime
from enum import StrEnum

from lambdas.eventing.event import Cause
from lambdas.eventing.store import Store
from lambdas.eventing.transaction import AlreadyProcessed
from lambdas.orders.events import Address, OrderCancelled, OrderConfirmed
from lambdas.shipping import deadline
from lambdas.shipping.carrier import Carrier, Delivered, Recalled
from lambdas.shipping.domain import CarrierEvent, Shipment, State
from lambdas.shipping.settings import settings

_CARRIER = "shipping.carrier"

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

    Raises carrier.Unavailable, or NoAddress if an address is needed.
    """
    shipment, _ = _shipments.change(
        order.order_id,
        lambda _: None,
        cause,
        begin=lambda: Shipment.begin(order.order_id, cause.correlation_id, due_at),
    )
    if shipment.state is not State.REQUESTING:
        return
    if address is None:
        raise NoAddress(f"the address of order {order.order_id} is deleted: cancel the order")
    due_at = shipment.due_at or due_at
    units = sum(line.quantity for line in order.lines)
    try:
        tracking_id = carrier.request(order.order_id, address=address, units=units)
    except Recalled:
        return  # by a cancellation that got in between
    deadline.remind(order.order_id, due_at, cause)
    _shipments.change(order.order_id, lambda found: found.requested(tracking_id, due_at), cause)


def take(report: CarrierEvent) -> Taken:
    """Moves a shipment on by a carrier's report. Raises NotStored, OtherParcel or Undecided."""
    try:
        shipment, moved = _shipments.change(
            report.order_id,
            lambda found: found.report(report),
            lambda found: Cause(correlation_id=found.correlation_id, causation_id=report.event_id),
            # Some carriers number the reports of each parcel.
            inbox=(_CARRIER, f"{report.order_id}#{report.event_id}"),
        )
    except AlreadyProcessed:
        return Taken.KNOWN
    if moved:
        return Taken.NEWS
    return Taken.AFTER_RECALL if shipment.state is State.RECALLED else Taken.KNOWN


def check(order_id: str, now: datetime, cause: Cause) -> bool:
    """Marks the order's shipment as overdue if it is still to be delivered. True if it is new.

    Raises TooEarly, or NotStored: a shipment is stored before its deadline is scheduled.
    """
    _, overdue = _shipments.change(order_id, lambda found: found.check_deadline(now), cause)
    return overdue


def recall(order: OrderCancelled, carrier: Carrier, cause: Cause) -> bool:
    """Has the order's parcel brought back, and none requested from now on.

    False if the customer has it already: then it stays delivered. Safe to repeat, to run before the
    request, and to resume after a crash. Raises carrier.Unavailable.
    """
    shipment, _ = _shipments.change(
        order.order_id,
        Shipment.recall,
        cause,
        begin=lambda: Shipment.block(order, cause.correlation_id),
    )
    if shipment.state is State.RECALLING:
        try:
            carrier.recall(order.order_id)
            delivered = False
        except Delivered:
            delivered = True
        shipment, _ = _shipments.change(
            order.order_id, lambda found: found.recalled(delivered=delivered), cause
        )
    return shipment.state is State.RECALLED
