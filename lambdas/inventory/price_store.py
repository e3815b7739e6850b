"""Inventory's table: the selling price of each item, and the records of its changes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from msgspec import Struct, to_builtins

from lambdas.eventing.aggregate import Change
from lambdas.eventing.event import Cause, Delivery
from lambdas.eventing.store import TRIES, Store
from lambdas.eventing.transaction import (
    MAX_OPERATIONS,
    ConditionFailed,
    Contention,
    Key,
    Transaction,
    read,
)
from lambdas.inventory.events import ItemCosted
from lambdas.inventory.pricing import NewPrice, PriceReason, Pricing, Step
from lambdas.inventory.settings import settings
from lambdas.inventory.stock_store import record_key, stock_key

AT_ONCE = MAX_OPERATIONS // 3
"""Prices in one transaction: each has its item, a record and an event at most."""


class Repriced(Struct, frozen=True):
    """The pricing of an item before a call, and as it is now."""

    before: Pricing
    pricing: Pricing

    @property
    def is_changed(self) -> bool:
        """Whether the call changed it."""
        return self.pricing.revision != self.before.revision

    @property
    def step(self) -> Step | None:
        """What happened to the price by the call, if anything did."""
        return self.pricing.last if self.pricing.last != self.before.last else None


Decide = Callable[[Pricing], Change[Pricing] | None]


def _key(sku: str) -> Key:
    """Prices share the partition of their stock, so that the relay keeps the order of events."""
    return (stock_key(sku)[0], "PRICE")


_pricings = Store(Pricing, "pricing", settings, _key, id_field="sku")


def find(sku: str) -> Pricing | None:
    """Returns the pricing of an item as of now, or None if the item is unknown."""
    found = _pricings.find(sku)
    if found is None and (stock := read(settings(), stock_key(sku))):
        # Files of suppliers used to set the price: it counts until staff change it.
        return Pricing(
            sku=sku,
            unit_price_minor=stock.get("unit_price_minor"),
            currency=stock.get("currency"),
            price_revision=stock.get("price_revision", 0),
        )
    return found


def waiting(*, limit: int) -> list[Pricing]:
    """Returns up to `limit` pricings with a price that waits for approval, the oldest first."""
    return _pricings.pending(limit=limit)


def follow(delivery: Delivery[ItemCosted]) -> list[Repriced]:
    """Lets the price of an item follow its cost."""
    event, now = delivery.event, datetime.now(UTC)
    return _change({event.sku: lambda found: found.follow(event, now)}, delivery)


def set_prices(prices: Iterable[NewPrice], by: str, cause: Cause) -> list[Repriced]:
    """Sets up to AT_ONCE prices of different items, all or none."""
    now = datetime.now(UTC)

    def setting(new: NewPrice) -> Decide:
        return lambda found: found.set(new, by, now)

    return _change({new.sku: setting(new) for new in prices}, cause)


def decide(
    sku: str, number: int, *, approved: bool, reason: PriceReason, by: str, cause: Cause
) -> Pricing:
    """Decides about a proposal; returns the pricing. Raises NoProposal or OwnProposal."""
    now = datetime.now(UTC)

    def deciding(found: Pricing) -> Change[Pricing] | None:
        return found.decide(number, approved=approved, reason=reason, by=by, now=now)

    (repriced,) = _change({sku: deciding}, cause)
    return repriced.pricing


def _change(decisions: Mapping[str, Decide], cause: Cause) -> list[Repriced]:
    """Commits what becomes of some items, each with a record that is never changed.

    Raises Contention if others keep changing them.
    """
    for _ in range(TRIES):
        transaction = Transaction(settings(), cause)
        repriced = [_write(transaction, sku, decide) for sku, decide in decisions.items()]
        if not any(each.is_changed for each in repriced):
            return repriced
        try:
            transaction.commit()
        except ConditionFailed:
            continue  # Somebody else was faster: look again.
        return repriced
    raise Contention(f"prices of {', '.join(decisions)} kept changing: try again later")


def _write(transaction: Transaction, sku: str, decide: Decide) -> Repriced:
    """Adds what becomes of an item to a transaction."""
    found = find(sku) or Pricing(sku=sku)
    change = decide(found)
    if change is None:
        return Repriced(found, found)
    repriced = Repriced(
        found, _pricings.write(transaction, found if found.revision else None, change)
    )
    if repriced.step:
        key = record_key(sku, f"PRICE#{repriced.pricing.revision:08}")
        transaction.create(key, {"kind": "price record", **to_builtins(repriced.step)})
    return repriced
