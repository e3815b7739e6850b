"""The evidence for the audit: what the tables, the bus, the queues and the outside world say."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cdk_rehearsal import Rehearsal
from lambdas.eventing.attributes import Item, from_attributes
from lambdas.notifications.events import Channel
from lambdas.shared.vocabulary import SYNTHETIC_ITEMS

ORDERS = "Orders/Orders/Table"
STOCK = "Inventory/Stock/Table"
PAYMENTS = "Payments/Payments/Table"
PROVIDER = "Payments/SandboxProvider"
SHIPMENTS = "Shipping/Shipments/Table"
CARRIER = "Shipping/SandboxCarrier"
RETURNS = "Returns/Returns/Table"
NOTIFICATIONS = "Notifications/Customers/Table"
SALES = "Analytics/Sales/Table"
VAULT = "Backbone/Vault/Table"
ERASURES = "Privacy/Erasures/Table"
TABLES = (
    *(ORDERS, STOCK, PAYMENTS, PROVIDER, SHIPMENTS),
    *(CARRIER, RETURNS, NOTIFICATIONS, ERASURES),
)

# These types have no constraints: the audit must be able to read wrong items.


class Units(msgspec.Struct, frozen=True):
    """Units of one item."""

    sku: str
    quantity: int


class OrderLine(Units, frozen=True):
    """Units of one item at a price."""

    unit_price_minor: int


class OrderItem(msgspec.Struct, frozen=True):
    """An order in its table."""

    order_id: str
    status: str
    currency: str
    total_minor: int
    lines: tuple[OrderLine, ...]
    history: Mapping[str, Any] = {}
    """The steps of the order, by name."""
    reason: str | None = None

    @property
    def total(self) -> tuple[int, str]:
        """Minor units and currency."""
        return (self.total_minor, self.currency)

    @property
    def sum_of_lines(self) -> int:
        """The price of all lines, in minor units."""
        return sum(line.quantity * line.unit_price_minor for line in self.lines)


class StockItem(msgspec.Struct, frozen=True):
    """The units of an item: its counters."""

    pk: str
    received: int
    available: int
    reserved: int
    issued: int = 0
    returned: int = 0
    cost_revision: int = 0


class PriceItem(msgspec.Struct, frozen=True):
    """The price of an item: according to inventory, or in the price list of orders."""

    sku: str
    unit_price_minor: int | None = None
    currency: str | None = None
    cost: Mapping[str, Any] | None = None

    @property
    def price(self) -> tuple[int, str] | None:
        """Minor units and currency, or None if the item is not for sale."""
        return (
            None if self.unit_price_minor is None else (self.unit_price_minor, self.currency or "?")
        )

    @property
    def cost_revision(self) -> int:
        """The number of the cost that the price follows."""
        return int(self.cost["revision"]) if self.cost else 0


class ReservationItem(msgspec.Struct, frozen=True):
    """The units of one order."""

    pk: str
    state: str
    items: tuple[Units, ...]


class Payment(msgspec.Struct, frozen=True):
    """The payment of one order.

    The shop holds its money in the state `authorized`, and has it in the state `captured`.
    """

    pk: str
    state: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    refunded_minor: int = 0
    """What was refunded outside the shop (shop), or at all (provider), if not everything was."""
    dispute_id: str | None = None
    dispute_won: bool | None = None
    failed_refunds: Collection[str] = ()
    """The provider's ids of the refunds that did not reach the customer."""

    @property
    def amount(self) -> tuple[int, str]:
        """Minor units and currency."""
        return (self.amount_minor or 0, self.currency or "?")


class ProviderEntry(Payment, frozen=True):
    """A payment in the provider's ledger. One with an amount was authorized at some time."""

    attempts: int = 0
    disputes: Mapping[str, str] = {}
    """The status of each dispute, by id."""
    failed_refunds: Mapping[str, int] = {}
    """The amount of each refund that came back, by id."""


class OutboxItem(msgspec.Struct, frozen=True):
    """A committed event with its envelope."""

    detail_type: str
    detail: str


@dataclass(frozen=True)
class BusEvent:
    """An event, with the fields that the audit needs."""

    id: str
    type: str
    subject: str
    data: dict[str, Any]
    copy: bool = False
    """Whether another event says the same in a newer version."""


@dataclass(kw_only=True)
class Evidence:
    """Everything that the audit compares. Keys are order ids, SKUs and event ids of the shop."""

    accepted: set[str] = field(default_factory=set)
    """Orders that the API accepted."""
    unanswered: set[str] = field(default_factory=set)
    """Orders without an answer, which the API may have accepted."""
    cancelled: set[str] = field(default_factory=set)
    """Orders that the API cancelled."""
    supplied: dict[str, int] = field(default_factory=dict)
    """Units of each item in the correct rows of the suppliers' files."""
    files: int = 0
    rows: int = 0
    """The suppliers' files, and their rows without headers."""
    return_requests: set[str] = field(default_factory=set)
    """Orders whose return a customer requested and the API accepted."""
    decided: dict[str, bool] = field(default_factory=dict)
    """The staff's decisions about returns: whether each was approved."""
    erasure_requests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Customers who requested the erasure of their data, with values that occur only there."""
    preferences: dict[str, Mapping[Channel, str]] = field(default_factory=dict)
    """The address of each customer by channel."""
    activity: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Views, and units put into carts, by kind and SKU."""
    orders: dict[str, OrderItem] = field(default_factory=dict)
    stock: dict[str, StockItem] = field(default_factory=dict)
    prices: dict[str, PriceItem] = field(default_factory=dict)
    """The prices of inventory."""
    price_list: dict[str, PriceItem] = field(default_factory=dict)
    """The prices at which orders sells."""
    reservations: dict[str, ReservationItem] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    provider: dict[str, ProviderEntry] = field(default_factory=dict)
    calls_without_key: list[str] = field(default_factory=list)
    """Changes at the provider without an idempotency key: a repetition would count twice."""
    shipments: dict[str, str] = field(default_factory=dict)
    """The state of each order's shipment."""
    parcels: dict[str, str] = field(default_factory=dict)
    """The state of each parcel in the carrier's ledger."""
    labels: Counter[str] = field(default_factory=Counter)
    """The labels that were bought for each order, if the carrier sells labels."""
    erasures: dict[str, str] = field(default_factory=dict)
    """The state of each customer's erasure."""
    traces: list[str] = field(default_factory=list)
    """Places that still have data of customers whose erasure is complete."""
    sent: dict[Channel, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Messages that customers received, by address."""
    sold_units: Counter[str] = field(default_factory=Counter)
    """Sold units in `GET /sales`, by SKU."""
    sold_for: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Revenue in `GET /sales` in minor units, by SKU and currency."""
    counted_activity: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Views and units in carts in `GET /sales`, by kind and SKU."""
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The shop's reports on suppliers' files, by key."""
    committed: dict[str, BusEvent] = field(default_factory=dict)
    """Events in the outboxes."""
    published: list[BusEvent] = field(default_factory=list)
    """Events that reached the bus in order, duplicates included."""
    waiting: dict[str, int] = field(default_factory=dict)
    """The number of messages in each queue, without dead-letter queues."""
    dead_letters: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Messages in each dead-letter queue."""
    may_repeat: frozenset[Channel] = frozenset()
    """Channels without an idempotency key, on which a crash after sending repeats a message."""
    unreadable: list[str] = field(default_factory=list)
    """Items with a wrong structure: table, key and reason."""

    def rejections(self) -> Counter[str]:
        """Counts the orders that checkout rejected, by reason."""
        return Counter(
            order.reason or "unknown"
            for order in self.orders.values()
            if order.status == "rejected"
        )

    def published_types(self) -> Counter[str]:
        """Counts the events that reached the bus, by type."""
        return Counter(event.type for event in self.published)


def _add(evidence: Evidence, table: str, item: Item) -> None:
    """Adds an item to the evidence, unless the audit does not need it (inbox keys, records)."""
    kind = item.get("kind")
    if kind == "outbox":
        _add_event(evidence, msgspec.convert(item, OutboxItem))
    elif (table, kind) == (ORDERS, "order"):
        evidence.orders[item["order_id"]] = msgspec.convert(item, OrderItem)
    elif (table, kind) == (ORDERS, "price"):
        evidence.price_list[item["sku"]] = msgspec.convert(item, PriceItem)
    elif table == STOCK:
        _add_stock(evidence, kind, item)
    elif (table, kind) == (PAYMENTS, "payment"):
        evidence.payments[_id(item["pk"])] = msgspec.convert(item, Payment)
    elif (table, kind) == (SHIPMENTS, "shipment"):
        evidence.shipments[_id(item["pk"])] = item["state"]
    elif (table, kind) == (ERASURES, "erasure"):
        evidence.erasures[item["customer_id"]] = item["state"]
    elif table == CARRIER:
        evidence.parcels[item["pk"]] = item.get("status", "opened")
    elif table == PROVIDER:
        entry = {**item, "state": item.get("status")}
        evidence.provider[item["pk"]] = msgspec.convert(entry, ProviderEntry)


def _add_event(evidence: Evidence, outbox: OutboxItem) -> None:
    envelope = msgspec.json.decode(outbox.detail)
    if not is_synthetic(envelope):
        event = bus_event(outbox.detail_type, envelope)
        evidence.committed[event.id] = event


def _add_stock(evidence: Evidence, kind: object, item: Item) -> None:
    if kind == "stock":
        evidence.stock[_id(item["pk"])] = msgspec.convert(item, StockItem)
    elif kind == "pricing":
        evidence.prices[item["sku"]] = msgspec.convert(item, PriceItem)
    elif kind == "reservation":
        evidence.reservations[_id(item["pk"])] = msgspec.convert(item, ReservationItem)


def gather(shop: Rehearsal, evidence: Evidence) -> Evidence:
    """Adds the present content of tables, bus and queues to the evidence.

    Tests of the deployed system are no evidence: their orders are synthetic, with items of their
    own.
    """
    present = {resource.path for resource in shop.resources}
    synthetic: set[str] = set()
    for table in filter(present.__contains__, TABLES):
        for attributes in scan(shop, table):
            try:
                item = from_attributes(attributes)
                if item.get("synthetic") and "order_id" in item:
                    synthetic.add(item["order_id"])
                _add(evidence, table, item)
            except (ValueError, KeyError, TypeError) as error:
                key = attributes.get("pk", {}).get("S")
                evidence.unreadable.append(f"{table}, {key}: {error}")
    for record in shop.meter.of("published"):
        event = record.detail["event"]
        if not is_synthetic(event["detail"]):
            evidence.published.append(bus_event(event["detail-type"], event["detail"]))
    dead = set(shop.dead_letter_queues())
    for queue, depth in shop.queue_depths().items():
        if queue in dead:
            evidence.dead_letters[queue] = shop.messages(queue) if depth else []
        else:
            evidence.waiting[queue] = depth
    _leave_out(evidence, synthetic)
    return evidence


def _leave_out(evidence: Evidence, synthetic: Collection[str]) -> None:
    """Removes synthetic orders with their events, and the items that only they can have.

    A release that does not know the mark publishes events without it, during an upgrade.
    """
    by_order: tuple[dict[str, Any], ...] = (
        *(evidence.orders, evidence.reservations, evidence.payments, evidence.provider),
        *(evidence.shipments, evidence.parcels),
    )
    by_item: tuple[dict[str, Any], ...] = (evidence.stock, evidence.prices, evidence.price_list)
    for order_id in synthetic:
        for found in by_order:
            found.pop(order_id, None)
    evidence.published = [each for each in evidence.published if each.subject not in synthetic]
    evidence.committed = {
        event_id: each
        for event_id, each in evidence.committed.items()
        if each.subject not in synthetic
    }
    for found in by_item:
        for sku in [each for each in found if each.startswith(SYNTHETIC_ITEMS)]:
            del found[sku]


def count_sales(evidence: Evidence, sales: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows of `GET /sales` to the evidence, except those of synthetic items."""
    for row in sales:
        sku = row["sku"]
        if sku.startswith(SYNTHETIC_ITEMS):
            continue
        evidence.sold_units[sku] += row["units"]
        for currency, amount in row["revenue_minor"].items():
            evidence.sold_for[sku, currency] += amount
        evidence.counted_activity["viewed", sku] += row["views"]
        evidence.counted_activity["added_to_cart", sku] += row["added_to_cart"]


def scan(shop: Rehearsal, table: str) -> Iterator[dict[str, Any]]:
    """Yields the items of a table, by its path, with DynamoDB's attribute types."""
    pages = shop.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(TableName=shop.physical_id(table), ConsistentRead=True):
        yield from page["Items"]


def bus_event(detail_type: str, envelope: dict[str, Any]) -> BusEvent:
    """Returns the fields of an envelope that the audit needs."""
    copy = "supersededby" in envelope
    event_id = f"{envelope['id']} as {detail_type}" if copy else envelope["id"]
    return BusEvent(event_id, detail_type, envelope["subject"], envelope["data"], copy)


def is_synthetic(envelope: Mapping[str, Any]) -> bool:
    """Whether an event follows from a test of the deployed system, not from a customer."""
    return envelope.get("synthetic") is True


def _id(key: str) -> str:
    return key.partition("#")[2]
