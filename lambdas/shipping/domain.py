"""Rules of shipping, without AWS."""

from datetime import datetime, timedelta
from enum import StrEnum

from lambdas.shipping.events import OrderDelivered, OrderShipped, ShipmentEvent


class State(StrEnum):
    """Where the shipment of an order stands."""

    REQUESTING = "requesting"
    REQUESTED = "requested"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RECALLING = "recalling"
    RECALLED = "recalled"


class Report(StrEnum):
    """What a carrier reports about a parcel."""

    PICKED_UP = "picked_up"
    DELIVERED = "delivered"


OPEN = frozenset({State.REQUESTING, State.REQUESTED, State.SHIPPED})
"""The parcel is to be delivered, and was not yet."""

UNDECIDED = frozenset({State.REQUESTING, State.RECALLING})
"""The carrier is being asked for something, and its answer is not stored yet."""

_REACHED = {Report.PICKED_UP: State.SHIPPED, Report.DELIVERED: State.DELIVERED}
_TOLD: dict[State, tuple[type[ShipmentEvent], ...]] = {
    State.REQUESTING: (),
    State.REQUESTED: (),
    State.SHIPPED: (OrderShipped,),
    State.DELIVERED: (OrderShipped, OrderDelivered),
}
"""What has been told of the parcel's way by the time its shipment is in a state."""


def onward(state: State, report: Report) -> tuple[State, tuple[type[ShipmentEvent], ...]]:
    """The state to which `report` takes a shipment, and the events that are new by it, in order.

    Reports may come twice and overtake each other: a shipment goes forward only, and a parcel that
    was delivered has been picked up before.
    """
    told, tells = _TOLD[state], _TOLD[_REACHED[report]]
    if len(tells) <= len(told):
        return state, ()
    return _REACHED[report], tells[len(told) :]


def due_at(confirmed_at: datetime, hours: int) -> datetime:
    """By when an order is to be delivered, to the second: schedules know nothing finer."""
    return (confirmed_at + timedelta(hours=hours)).replace(microsecond=0)
