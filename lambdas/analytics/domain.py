"""Rules of analytics, without AWS: the amounts that an event adds to a minute."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import msgspec

from lambdas.analytics.events import ItemAddedToCart, ItemViewed
from lambdas.eventing.event import CloudEvent, Event
from lambdas.orders.events import OrderConfirmed
from lambdas.returns.events import OrderReturned

MAX_OPERATIONS = 100
"""Maximum rows and keys of one transaction."""

MAX_ROWS = 99
"""Maximum rows of one addition, which has a key too. Do not change it: an event that is half
counted during the change would be counted wrong."""

MAX_NAME = 256
"""Maximum bytes of an event's id or type, so that they fit into a key."""

UNITS = "units"
VIEWS = "views"
ADDED_TO_CART = "added_to_cart"
REVENUE = "revenue_minor#"
"""A prefix of a currency."""
EVENTS = "events#"
"""A prefix of a detail-type."""

_ACTIVITIES = UUID("5b0b1a0e-5a5f-5c3c-9a52-6f0c2f5b7d11")
FROM_THE_BUS: tuple[type[Event], ...] = (OrderConfirmed, OrderReturned)
"""Events that the bus puts on the stream."""
COUNTED: tuple[type[Event], ...] = (*FROM_THE_BUS, ItemViewed, ItemAddedToCart)
"""Events on the stream."""


class Row(msgspec.Struct, frozen=True):
    """A minute of one item, or of the whole shop if `sku` is None."""

    minute: datetime
    sku: str | None = None


Amounts = Mapping[str, int]
"""Numbers by name."""


class Addition(msgspec.Struct, frozen=True):
    """The amounts of an event, or a part of them for many rows; counts once under its `key`."""

    key: str
    rows: Mapping[Row, Amounts]


class Summary(msgspec.Struct, frozen=True):
    """The amounts that one shard of the stream added in one window."""

    amounts: dict[str, int] = {}

    def plus(self, additions: Iterable[Addition], *, duplicates: int) -> "Summary":
        """Returns the summary with these additions, and a number of duplicates."""
        amounts = Counter(self.amounts)
        amounts["duplicates"] += duplicates
        for addition in additions:
            for row, added in addition.rows.items():
                if row.sku is None:
                    amounts.update(added)
        return Summary(dict(amounts))


def activity_event_id(customer_id: str, activity_id: str) -> str:
    """Returns the id of an activity's event: the same for each repetition of the request."""
    return str(uuid5(_ACTIVITIES, f"{len(customer_id)}:{customer_id}:{activity_id}"))


def additions_of(envelope: CloudEvent) -> tuple[Addition, ...]:
    """Returns what an event adds to the minute of its time, in as few parts as possible.

    Raises msgspec.ValidationError if the event is wrong, OverflowError if its time is out of range.
    """
    if any(len(name.encode()) > MAX_NAME for name in (envelope.id, envelope.type)):
        raise msgspec.ValidationError(f"id or type of more than {MAX_NAME} bytes")
    minute = envelope.time.astimezone(UTC).replace(second=0, microsecond=0)
    shop = Counter({f"{EVENTS}{envelope.type}": 1})
    items: dict[str, Counter[str]] = {}
    match envelope.read(COUNTED):
        case OrderConfirmed() as order:
            shop[f"{REVENUE}{order.currency}"] = order.total_minor
            shop[UNITS] = sum(line.quantity for line in order.lines)
            for line in order.lines:
                sold = items.setdefault(line.sku, Counter())
                sold[UNITS] += line.quantity
                sold[f"{REVENUE}{order.currency}"] += line.quantity * line.unit_price_minor
        case ItemViewed() as view:
            shop[VIEWS] = 1
            items[view.sku] = Counter({VIEWS: 1})
        case ItemAddedToCart() as addition:
            shop[ADDED_TO_CART] = addition.quantity
            items[addition.sku] = Counter({ADDED_TO_CART: addition.quantity})
    rows = [(Row(minute), shop), *((Row(minute, sku), items[sku]) for sku in sorted(items))]
    parts = (dict(rows[start : start + MAX_ROWS]) for start in range(0, len(rows), MAX_ROWS))
    return tuple(Addition(f"{envelope.id}#{number}", part) for number, part in enumerate(parts))


def transactions(
    events: Sequence[Sequence[Addition]],
) -> Iterator[tuple[list[Addition], int]]:
    """Yields the additions of each transaction, and how many events are complete after it."""
    together: list[Addition] = []
    rows: set[Row] = set()
    for number, additions in enumerate(events):
        for addition in additions:
            if len(together) + 1 + len(rows | addition.rows.keys()) > MAX_OPERATIONS:
                yield together, number
                together, rows = [], set()
            together.append(addition)
            rows |= addition.rows.keys()
    if together:
        yield together, len(events)


def summed(additions: Iterable[Addition]) -> dict[Row, Amounts]:
    """Returns the sum of the additions to each row."""
    rows: dict[Row, Counter[str]] = {}
    for addition in additions:
        for row, amounts in addition.rows.items():
            rows.setdefault(row, Counter()).update(amounts)
    return {**rows}


def minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yields the minutes that begin at `start` or later and before `end` (aware times)."""
    minute = ceiling(start)
    while minute < end:
        yield minute
        minute += timedelta(minutes=1)


def ceiling(moment: datetime) -> datetime:
    """Returns the first minute that begins at `moment` or later, in UTC."""
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return minute if minute >= moment else minute + timedelta(minutes=1)


def named(amounts: Amounts, prefix: str) -> dict[str, int]:
    """Returns the amounts whose names begin with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): amount
        for name, amount in sorted(amounts.items())
        if name.startswith(prefix)
    }
