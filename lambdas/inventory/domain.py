"""Rules of stock and of reservations, without AWS."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Self, TypeAlias

from msgspec import Meta, Struct, structs

from lambdas.eventing.aggregate import Aggregate, Change, Refusal
from lambdas.inventory.events import (
    ItemCosted,
    ItemEvent,
    Reserved,
    Sku,
    StockDepleted,
    StockIssued,
    StockReleased,
    StockReplenished,
    StockReserved,
)
from lambdas.shared.vocabulary import Currency, Minor

CHUNK = 49
"""Items reserved in one transaction: each may need a second operation, to report that it is sold
out, and the reservation and its event need two."""

MAX_UNITS = 10**9


class StockRefused(Refusal):
    """The order's stock cannot be reserved: it is out of stock, or was released before."""


class ItemRow(Struct, frozen=True, kw_only=True):
    """Base of the rows of files in which each item is once."""

    sku: Sku


class ReceivedItem(ItemRow, frozen=True, kw_only=True):
    """Units of one item that come in, and its cost from now on; zero units only set the cost."""

    quantity: Annotated[int, Meta(ge=0, le=MAX_UNITS)]
    unit_cost_minor: Minor
    currency: Currency


class Stock(Struct, frozen=True, kw_only=True):
    """The stock of one item as it was read. An item that never came in has none of it.

    Its numbers of units are counters: transactions add to them, whatever others add at the same
    time. Its cost is the one of the file that was uploaded last.
    """

    available: int = 0
    supplier: str | None = None
    """The only supplier whose files may contain the item; none before its first delivery."""
    unit_cost_minor: int | None = None
    cost_currency: str | None = None
    costed_at: int = 0
    """When the file with this cost was uploaded, in seconds since 1970."""
    cost_revision: int = 0

    def lacks(self, wanted: Reserved) -> bool:
        """Whether there are too few units to reserve."""
        return self.available < wanted.quantity

    def is_depleted_by(self, wanted: Reserved) -> bool:
        """Whether a reservation takes the last units."""
        return self.available == wanted.quantity

    def depletion(self, wanted: Reserved) -> tuple[StockDepleted, ...]:
        """The event to publish with a reservation: none unless it takes the last units."""
        return (StockDepleted(sku=wanted.sku),) if self.is_depleted_by(wanted) else ()

    def is_open_to(self, supplier: str) -> bool:
        """Whether a supplier may deliver the item: it is theirs, or nobody's yet."""
        return self.supplier in {None, supplier}

    def is_newer_than(self, uploaded_at: int) -> bool:
        """Whether the cost was uploaded later: files may overtake each other."""
        return uploaded_at < self.costed_at

    def costed(self, item: ReceivedItem, uploaded_at: int) -> Self:
        """The stock with the item's cost, unless its own is newer. Units stay as they are."""
        if self.is_newer_than(uploaded_at):
            return self
        is_new = (self.unit_cost_minor, self.cost_currency) != (item.unit_cost_minor, item.currency)
        return structs.replace(
            self,
            unit_cost_minor=item.unit_cost_minor,
            cost_currency=item.currency,
            costed_at=uploaded_at,
            cost_revision=self.cost_revision + is_new,
        )

    def arrival(self, item: ReceivedItem, uploaded_at: int) -> list[ItemEvent]:
        """The events to publish when an item comes in: its units, and its cost if it is new."""
        events: list[ItemEvent] = []
        if item.quantity:
            events.append(StockReplenished(sku=item.sku, quantity=item.quantity))
        after = self.costed(item, uploaded_at)
        if after.cost_revision != self.cost_revision:
            events.append(
                ItemCosted(
                    sku=item.sku,
                    unit_cost_minor=item.unit_cost_minor,
                    currency=item.currency,
                    revision=after.cost_revision,
                )
            )
        return events


class NotReserved(Exception):
    """An order was shipped whose units are not reserved: its reservation is not complete."""


class State(StrEnum):
    """The state of a reservation. It never leaves `RELEASED`."""

    RESERVING = "reserving"
    RESERVED = "reserved"
    ISSUED = "issued"
    RELEASING = "releasing"
    RELEASED = "released"


class Move(Struct, frozen=True, kw_only=True):
    """How a chunk of a reservation changes the counters of each of its items, per unit."""

    available: int = 0
    reserved: int = 0
    issued: int = 0
    returned: int = 0


TAKE = Move(available=-1, reserved=1)
PUT_BACK = Move(available=1, reserved=-1)
ISSUE = Move(reserved=-1, issued=1)
RETURN = Move(available=1, returned=1)
ISSUE_AFTER_RETURN = Move(issued=1, returned=1)
"""The units left the shelf and are back already: the news about it was late."""


class Reservation(Aggregate, frozen=True, kw_only=True):
    """The units that an order holds. They are taken, issued and put back in chunks.

    Two facts about a chunk decide where its units are: whether it is taken, and whether it was
    issued. The news about them comes in any order, and the counters end the same.
    """

    order_id: str
    state: State
    taken: int
    """Chunks that are out of the stock: the first ones."""
    issued: int = 0
    """Chunks that have left the shelf at some time: the first ones."""
    items: tuple[Reserved, ...]
    reason: str | None = None
    announced: bool = False
    """Once it is being released: whether StockReserved was published for it."""

    @classmethod
    def begin(cls, order_id: str, items: tuple[Reserved, ...]) -> Self:
        """A reservation of which nothing is taken yet."""
        return cls(order_id=order_id, state=State.RESERVING, taken=0, items=items)

    @classmethod
    def block(cls, order_id: str, reason: str) -> Change[Self]:
        """Marks an order that holds nothing, so that it never does."""
        return Change(
            cls(order_id=order_id, state=State.RELEASED, taken=0, items=(), reason=reason)
        )

    @property
    def parts(self) -> list[Sequence[Reserved]]:
        """The chunks, in the order in which they are taken."""
        return chunks(self.items)

    def is_complete(self) -> bool:
        """Whether all chunks are taken. Raises StockRefused if it was released."""
        if self.state in {State.RELEASING, State.RELEASED}:
            raise StockRefused(self.reason or "released")
        return self.state is not State.RESERVING

    def is_issued(self) -> bool:
        """Whether all chunks were issued. Raises NotReserved if it was never complete."""
        if not (self.announced or self.state in {State.RESERVED, State.ISSUED}):
            raise NotReserved(f"order {self.order_id} was shipped, but is {self.state.value}")
        return self.issued == len(self.parts)

    def take(self) -> "Step":
        """Takes the next chunk."""
        part, taken = self.parts[self.taken], self.taken + 1
        if taken < len(self.parts):
            return part, TAKE, self.becomes(taken=taken)
        event = StockReserved(order_id=self.order_id, items=self.items)
        return part, TAKE, self.becomes(event, taken=taken, state=State.RESERVED)

    def issue(self) -> "Step":
        """Issues the next chunk."""
        part, issued = self.parts[self.issued], self.issued + 1
        move = ISSUE if self.issued < self.taken else ISSUE_AFTER_RETURN
        if issued < len(self.parts):
            return part, move, self.becomes(issued=issued)
        event = StockIssued(order_id=self.order_id, items=self.items)
        state = State.ISSUED if self.state is State.RESERVED else self.state
        return part, move, self.becomes(event, issued=issued, state=state)

    def holds_nothing(self) -> bool:
        """Whether no chunk is out of the stock."""
        return not self.taken

    def close(self, reason: str) -> Change[Self] | None:
        """Has nothing more taken: the chunks that are taken are to be put back."""
        if self.state in {State.RELEASING, State.RELEASED}:
            return None
        announced = self.state is not State.RESERVING
        return self.becomes(state=State.RELEASING, reason=reason, announced=announced)

    def put_back(self) -> "Step":
        """Puts the last chunk back."""
        part, taken = self.parts[self.taken - 1], self.taken - 1
        move = RETURN if taken < self.issued else PUT_BACK
        if taken:
            return part, move, self.becomes(taken=taken)
        released = StockReleased(order_id=self.order_id, items=self.items)
        events = [released] if self.announced else []
        return part, move, self.becomes(*events, taken=0, state=State.RELEASED)


Step: TypeAlias = tuple[Sequence[Reserved], Move, Change[Reservation]]
"""A chunk of a reservation, how it moves, and what becomes of the reservation."""


def reserved_items(lines: Iterable[tuple[str, int]]) -> tuple[Reserved, ...]:
    """Units per SKU of an order's (sku, quantity) lines, each SKU once, in a fixed order.

    The fixed order makes large orders for the same items meet at their first chunk, where the loser
    has nothing to put back yet.
    """
    units: Counter[str] = Counter()
    for sku, quantity in lines:
        units[sku] += quantity
    return tuple(Reserved(sku=sku, quantity=units[sku]) for sku in sorted(units))


def chunks(items: Sequence[Reserved]) -> list[Sequence[Reserved]]:
    """The parts of a reservation that fit one transaction each."""
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
