"""Events that the carrier sends to the shop, in EasyPost's form."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from lambdas.eventing.event import Moment
from lambdas.shipping.domain import ParcelReport, Report

Id = Annotated[str, Meta(min_length=1, max_length=100)]

TRACKED = frozenset({"tracker.created", "tracker.updated"})
"""Descriptions of the events about parcels.
https://docs.easypost.com/docs/events"""

REPORTS: Mapping[str, Report | None] = {
    "unknown": None,
    "pre_transit": None,
    "in_transit": Report.PICKED_UP,
    "out_for_delivery": Report.PICKED_UP,
    "available_for_pickup": Report.PICKED_UP,
    "delivered": Report.DELIVERED,
    "return_to_sender": Report.FAILED,
    "failure": Report.FAILED,
    # The label was refunded. After a recall, the report changes nothing.
    "cancelled": Report.FAILED,
    # EasyPost could not track the parcel. If it stays silent, the deadline is missed.
    "error": None,
}
"""The meaning of each status of a tracker; None if the parcel has not moved.
https://docs.easypost.com/docs/trackers"""


class Tracker(Struct, frozen=True, kw_only=True):
    """The fields of a tracker that the shop reads. Other objects may lack them."""

    status: Annotated[
        object, Meta(description="Its status, of a tracker", examples=["in_transit"])
    ] = None
    tracking_code: Annotated[
        Id | None, Meta(description="The carrier's id of the parcel", examples=["TRACK-42"])
    ] = None
    shipment_id: Annotated[
        Id | None, Meta(description="EasyPost's id of the parcel", examples=["shp_1"])
    ] = None


class CarrierEvent(Struct, frozen=True, kw_only=True):
    """An event of the carrier. Unknown fields are ignored. https://docs.easypost.com/docs/events."""

    id: Annotated[Id, Meta(description="The event's id, the same each time", examples=["evt_1"])]
    description: Annotated[Id, Meta(description="Its kind", examples=["tracker.updated"])]
    created_at: Annotated[
        Moment, Meta(description="When it happened", examples=["2026-01-07T11:30:00Z"])
    ]
    result: Tracker

    @property
    def report(self) -> ParcelReport | None:
        """What the event says about a parcel; None if the shop has no use for it."""
        tracker = self.result
        kind = REPORTS.get(tracker.status) if isinstance(tracker.status, str) else None
        if self.description not in TRACKED or not kind:
            return None
        if not tracker.tracking_code or not tracker.shipment_id:
            return None  # Somebody tracks a parcel whose label was bought elsewhere.
        return ParcelReport(
            event_id=self.id,
            parcel_id=tracker.shipment_id,
            tracking_id=tracker.tracking_code,
            kind=kind,
            occurred_at=self.created_at,
        )
