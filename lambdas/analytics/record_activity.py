"""Record activity: POST /activity."""

from collections import Counter
from http import HTTPStatus
from typing import Annotated

from msgspec import Meta, Struct, structs

from lambdas.analytics import activity_stream, domain
from lambdas.analytics.events import ActivityEvent, ItemAddedToCart, ItemViewed
from lambdas.eventing import telemetry
from lambdas.eventing.event import CloudEvent
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.inventory.events import Sku
from lambdas.orders.events import Quantity
from lambdas.shared.vocabulary import Currency, Minor


class Activity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A customer's activity. The price is the one that the device reports: it is never charged."""

    activity_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            description="Given by the device: the same whenever it reports this activity",
            examples=["9f1c2b7a-0d43-4e0f-8a55-6b1f0e2d3c4a"],
        ),
    ]
    sku: Sku
    unit_price_minor: Minor
    currency: Currency

    def event(self) -> ActivityEvent:
        """Returns the event."""
        raise NotImplementedError


class Viewed(Activity, frozen=True, kw_only=True, tag="viewed"):
    """Looked at an item."""

    def event(self) -> ItemViewed:
        """Returns the event."""
        return ItemViewed(
            sku=self.sku, unit_price_minor=self.unit_price_minor, currency=self.currency
        )


class AddedToCart(Activity, frozen=True, kw_only=True, tag="added_to_cart"):
    """Put units into the cart."""

    quantity: Quantity = 1

    def event(self) -> ItemAddedToCart:
        """Returns the event."""
        return ItemAddedToCart(
            sku=self.sku,
            unit_price_minor=self.unit_price_minor,
            currency=self.currency,
            quantity=self.quantity,
        )


class RecordActivity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: the activities since the device last reported."""

    activities: Annotated[
        tuple[Viewed | AddedToCart, ...],
        Meta(min_length=1, max_length=50, description="Each `activity_id` once"),
    ]

    def __post_init__(self) -> None:
        """Rejects repeated ids: the second activity would look like a repetition of the first."""
        seen = Counter(activity.activity_id for activity in self.activities)
        if repeated := sorted(id_ for id_, times in seen.items() if times > 1):
            raise ValueError(
                f"activities: {', '.join(repeated)} occurs more than once: send each id once"
            )


class Recorded(Struct, frozen=True, kw_only=True):
    """The number of activities that were taken."""

    accepted: Annotated[int, Meta(ge=1, description="Activities of the request")]


class StreamBusy(Problem, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=2):
    """Not all activities could be taken: send the same request again."""


@endpoint(body=RecordActivity, answers=Recorded, status=HTTPStatus.ACCEPTED, problems=(StreamBusy,))
def handler(request: Request, report: RecordActivity) -> Recorded:
    """Record activity.

    The items that a customer views and adds to the cart. Each activity counts once, however often
    it is sent.
    """
    envelopes = [
        structs.replace(
            CloudEvent.wrap(activity.event(), request),
            id=domain.activity_event_id(request.caller, activity.activity_id),
        )
        for activity in report.activities
    ]
    try:
        activity_stream.put(envelopes)
    except activity_stream.Refused as refused:
        raise StreamBusy("send the same activities again: each counts once") from refused
    telemetry.count("RecordedActivities", len(envelopes))
    return Recorded(accepted=len(envelopes))
