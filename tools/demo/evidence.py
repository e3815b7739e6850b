"""The evidence for the books: what each table, the bus, the queues and the customers tell."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cdk_rehearsal import Rehearsal
from lambdas.eventing.attributes import Item, from_attributes
from lambdas.notifications.events import Channel

ORDERS = "Orders/Orders/Table"
STOCK = "Inventory/Stock/Table"
PAYMENTS = "Payments/Payments/Table"
PROVIDER = "Payments/SandboxProvider"
SHIPMENTS = "Shipping/Shipments/Table"
CARRIER = "Shipping/SandboxCarrier"
RETURNS = "Returns/Returns/Table"
NOTIFICATIONS = "Notifications/Customers/Table"
SALES = "Analytics/Sales/Table"
TABLES = (ORDERS, STOCK, PAYMENTS, PROVIDER, SHIPMENTS, CARRIER, RETURNS, NOTIFICATIONS)

# The books have types of their own, with no rules in them: what is wrong in a table has to be read
# before it can be found.


class Units(msgspec.Struct, frozen=True):
    """Some units of one item."""

    sku: str
    quantity: int


class OrderLine(Units, frozen=True):
    """Some units of one item at a price."""

    unit_price_minor: int


class OrderItem(msgspec.Struct, frozen=True):
    """An order, as its context stores it."""

    order_id: str
    status: str
    currency: str
    total_minor: int
    lines: tuple[OrderLine, ...]
    history: Mapping[str, Any] = {}
    """What happened to it, by the name of the step."""
    reason: str | None = None

    @property
    def total(self) -> tuple[int, str]:
        """Minor units and currency."""
        return (self.total_minor, self.currency)

    @property
    def sum_of_lines(self) -> int:
        """What the lines cost together, in minor units."""
        return sum(line.quantity * line.unit_price_minor for line in self.lines)


class StockItem(msgspec.Struct, frozen=True):
    """The units of an item that came in, are for sale, and are held for orders."""

    pk: str
    received: int
    available: int
    reserved: int


class ReservationItem(msgspec.Struct, frozen=True):
    """What is held for one order."""

    pk: str
    state: str
    items: tuple[Units, ...]


class Payment(msgspec.Struct, frozen=True):
    """Money of one order; the state `authorized` means that it is held."""

    pk: str
    state: str | None = None
    amount_minor: int | None = None
    currency: str | None = None

    @property
    def amount(self) -> tuple[int, str]:
        """Minor units and currency."""
        return (self.amount_minor or 0, self.currency or "?")


class ProviderEntry(Payment, frozen=True):
    """The same in the provider's own book; with an amount, it was held at some time."""

    attempts: int = 0


class OutboxItem(msgspec.Struct, frozen=True):
    """An event that was committed, with its envelope."""

    detail_type: str
    detail: str


@dataclass(frozen=True)
class BusEvent:
    """An event, as far as the books need it."""

    id: str
    type: str
    subject: str
    data: dict[str, Any]
    copy: bool = False
    """Whether it says in an older version what another event says in a newer one."""


@dataclass(kw_only=True)
class Evidence:
    """Everything that the audit compares. Keys are the shop's order ids, SKUs and event ids."""

    accepted: set[str] = field(default_factory=set)
    """Orders that the API said it took."""
    unanswered: set[str] = field(default_factory=set)
    """Orders that it may have taken, since it gave no proper answer."""
    cancelled: set[str] = field(default_factory=set)
    """Orders that it said are cancelled."""
    handed_in: dict[str, int] = field(default_factory=dict)
    """Units of each item in the suppliers' files, as far as their rows are right."""
    files: int = 0
    rows: int = 0
    """Files that suppliers handed in, and their rows, headers left out."""
    wanted_back: set[str] = field(default_factory=set)
    """Orders whose return a customer asked for, and the API took down."""
    decided: dict[str, bool] = field(default_factory=dict)
    """Returns that the staff decided about: whether it approved."""
    preferences: dict[str, Mapping[Channel, str]] = field(default_factory=dict)
    """Addresses at which each customer wants to be told."""
    activity: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Views, and units that customers put into carts, by kind and SKU."""
    orders: dict[str, OrderItem] = field(default_factory=dict)
    stock: dict[str, StockItem] = field(default_factory=dict)
    reservations: dict[str, ReservationItem] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    provider: dict[str, ProviderEntry] = field(default_factory=dict)
    shipments: dict[str, str] = field(default_factory=dict)
    """The state of each order's shipment."""
    parcels: dict[str, str] = field(default_factory=dict)
    """The state of each parcel in the carrier's own book."""
    sent: dict[Channel, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Messages that arrived outside, by address."""
    sold_units: Counter[str] = field(default_factory=Counter)
    """Units that `GET /sales` says were sold, by SKU."""
    sold_for: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Minor units that it says they were sold for, by SKU and currency."""
    counted_activity: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What it says of views and units in carts, by kind and SKU."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the shop said of each file, by the report's key."""
    committed: dict[str, BusEvent] = field(default_factory=dict)
    """Events in the outboxes."""
    published: list[BusEvent] = field(default_factory=list)
    """Events that reached the bus, in their order, duplicates included."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Messages in each queue that is not a dead-letter queue."""
    dead_letters: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Messages in each dead-letter queue."""
    may_repeat: frozenset[Channel] = frozenset()
    """Channels on which a message may have come twice: they take no idempotency key, and somebody
    died between sending it and noting that."""
    unreadable: list[str] = field(default_factory=list)
    """Items that are not what they should be: table, key and why."""

    def rejections(self) -> Counter[str]:
        """How many orders checkout rejected, by reason."""
        return Counter(
            order.reason or "unknown"
            for order in self.orders.values()
            if order.status == "rejected"
        )

    def published_types(self) -> Counter[str]:
        """How often each type of event reached the bus."""
        return Counter(event.type for event in self.published)


class _Reader:
    """Sorts the items of the tables into an Evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def take(self, table: str, attributes: dict[str, Any]) -> None:
        """Takes one item; what belongs to no book (inbox keys, prices) is left out."""
        try:
            self._take(table, from_attributes(attributes))
        except (ValueError, KeyError, TypeError) as error:
            key = attributes.get("pk", {}).get("S")
            self._evidence.unreadable.append(f"{table}, {key}: {error}")

    def _take(self, table: str, item: Item) -> None:
        evidence = self._evidence
        kind = item.get("kind")
        if kind == "outbox":
            outbox = msgspec.convert(item, OutboxItem)
            event = bus_event(outbox.detail_type, msgspec.json.decode(outbox.detail))
            evidence.committed[event.id] = event
        elif (table, kind) == (ORDERS, "order"):
            order = msgspec.convert(item, OrderItem)
            evidence.orders[order.order_id] = order
        elif (table, kind) == (STOCK, "stock"):
            stock = msgspec.convert(item, StockItem)
            evidence.stock[_id(stock.pk)] = stock
        elif (table, kind) == (STOCK, "reservation"):
            reservation = msgspec.convert(item, ReservationItem)
            evidence.reservations[_id(reservation.pk)] = reservation
        elif (table, kind) == (PAYMENTS, "payment"):
            payment = msgspec.convert(item, Payment)
            evidence.payments[_id(payment.pk)] = payment
        elif (table, kind) == (SHIPMENTS, "shipment"):
            evidence.shipments[_id(item["pk"])] = item["state"]
        elif table == CARRIER:
            evidence.parcels[item["pk"]] = item["status"]
        elif table == PROVIDER:
            entry = msgspec.convert({**item, "state": item.get("status")}, ProviderEntry)
            evidence.provider[entry.pk] = entry


def gather(shop: Rehearsal, evidence: Evidence) -> Evidence:
    """Adds to `evidence` what tables, bus and queues hold now."""
    reader = _Reader(evidence)
    for table in TABLES:
        for attributes in _scan(shop, table):
            reader.take(table, attributes)
    for record in shop.meter.of("published"):
        event = record.detail["event"]
        evidence.published.append(bus_event(event["detail-type"], event["detail"]))
    dead = set(shop.dead_letter_queues())
    for queue, depth in shop.queue_depths().items():
        if queue in dead:
            evidence.dead_letters[queue] = shop.messages(queue) if depth else []
        else:
            evidence.waiting[queue] = depth
    return evidence


def _scan(shop: Rehearsal, table: str) -> Iterator[dict[str, Any]]:
    pages = shop.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=shop.physical_id(table), ConsistentRead=True):
        yield from page["Items"]


def bus_event(detail_type: str, envelope: dict[str, Any]) -> BusEvent:
    """What the books need of an event's envelope."""
    copy = "supersededby" in envelope
    event_id = f"{envelope['id']} as {detail_type}" if copy else envelope["id"]
    return BusEvent(event_id, detail_type, envelope["subject"], envelope["data"], copy)


def _id(key: str) -> str:
    return key.partition("#")[2]
