"""A sample context for the tests of the kernel, which knows no domain."""

from typing import Annotated, ClassVar

from msgspec import Meta

from lambdas.eventing.consumer import Consumer, consumer
from lambdas.eventing.declaration import PUT, UPDATE
from lambdas.eventing.event import Cause, Delivery, Event
from lambdas.eventing.settings import TableSettings
from lambdas.eventing.transaction import Transaction
from tests.support.messages import enveloped

SETTINGS = TableSettings(table_name="ledger", inbox_days=22)
CAUSE = Cause(correlation_id="correlation-1", causation_id="cause-1")


class CoinEvent(Event, frozen=True, kw_only=True):
    """Base of the events of coins."""

    source: ClassVar[str] = "orderflow.sample"

    purse: str

    @property
    def subject(self) -> str:
        """The purse."""
        return self.purse


class CoinAdded(CoinEvent, frozen=True, kw_only=True):
    """A coin was put into a purse."""

    cents: Annotated[int, Meta(ge=1)]


class CoinCounted(CoinEvent, frozen=True, kw_only=True):
    """The sum of a purse has changed."""

    note: str = ""


class CoinCountedLater(CoinEvent, frozen=True, kw_only=True):
    """An event with version 2."""

    version: ClassVar[int] = 2


def coin(cents: int = 1, purse: str = "p") -> CoinAdded:
    return CoinAdded(purse=purse, cents=cents)


def delivery(event: CoinAdded | None = None, *, to: str = "sample.count") -> Delivery[CoinAdded]:
    return enveloped(event or coin()).deliver_to(to, (CoinAdded,))


def counting(delivered: Delivery[CoinAdded]) -> Transaction:
    """The reaction of all sample consumers: add up the coins and publish it, once per event."""
    transaction = Transaction.reacting_to(delivered, SETTINGS)
    key = (f"PURSE#{delivered.event.purse}", "PURSE")
    transaction.update(
        key,
        "SET kind = :kind ADD cents :cents",
        values={":kind": "purse", ":cents": delivered.event.cents},
        label="purse",
    )
    transaction.publish(key, CoinCounted(purse=delivered.event.purse))
    return transaction


@consumer(CoinAdded, publishes=(CoinCounted,), uses=(UPDATE, PUT))
def count(delivered: Delivery[CoinAdded]) -> None:
    """Counts coins."""
    counting(delivered).commit()


COUNT: Consumer[CoinAdded] = count
