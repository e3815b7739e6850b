"""Aggregate sales: counts sales and activity per minute, from the stream of their events."""

from collections.abc import Iterator, Sequence

from lambdas.analytics import domain, sales_store
from lambdas.analytics.domain import Addition, Summary
from lambdas.eventing import telemetry
from lambdas.eventing.declaration import PUT, UPDATE
from lambdas.eventing.stream import window_consumer

CONSUMER = "analytics.aggregate_sales"

_METRICS = {
    domain.UNITS: "UnitsSold",
    domain.VIEWS: "ItemsViewed",
    domain.ADDED_TO_CART: "UnitsAddedToCart",
    "duplicates": "DuplicateEvents",
}


def _report(summary: Summary) -> None:
    """Counts the metrics of a window of a shard. Only the dashboard misses a lost summary."""
    counted = sum(domain.named(summary.amounts, domain.EVENTS).values())
    telemetry.count("ProcessedEvents", counted)
    for name, metric in _METRICS.items():
        telemetry.count(metric, summary.amounts.get(name, 0))


@window_consumer(
    read=domain.additions_of,
    consumes=domain.COUNTED,
    summary=Summary,
    close=_report,
    uses=(PUT, UPDATE),
)
def handler(
    events: Sequence[Sequence[Addition]], summary: Summary
) -> Iterator[tuple[int, Summary]]:
    """Counts each event once, however often it is sent or delivered."""
    for additions, complete in domain.transactions(events):
        counted = sales_store.count(CONSUMER, additions)
        summary = summary.plus(counted, duplicates=len(additions) - len(counted))
        yield complete, summary
