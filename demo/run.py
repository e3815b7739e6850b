"""A run: the shop opens, customers come, everything settles, and the books are compared."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from demo.books import Check, audit
from demo.customers import Answer, Customers, Journal, shop_id_of
from demo.display import Display
from demo.evidence import Evidence, gather
from demo.pace import Pace
from demo.scenario import Visit, open_doors
from demo.stock_file import deliveries
from demo.story import Stories
from demo.tally import Tally
from lambdas.inventory.domain import ReceivedItem
from rehearsal import Record, Rehearsal

ARRIVALS_PER_SECOND = 50.0
_RECEIVE_STOCK = "Inventory/ReceiveStock"
_LONGEST_S = 2 * 86_400
"""Virtual seconds after which nothing more is waited for: longer than any retry goes on."""

_monotonic = time.monotonic


@dataclass
class Run:
    """All that a run leaves behind."""

    evidence: Evidence
    checks: list[Check]
    journal: Journal
    tally: Tally
    stories: Stories
    seconds: float
    records: list[Record] = field(repr=False)

    @property
    def balanced(self) -> bool:
        """Whether every check of the books holds."""
        return all(check.holds for check in self.checks)

    @property
    def refusals(self) -> Counter[str]:
        """How many orders the API refused, by reason; those that it took all the same left out."""
        return Counter(
            reason
            for order_id, reason in self.journal.refused.items()
            if order_id not in self.evidence.orders
        )


class StockNotTaken(Exception):
    """Inventory did not take the stock in."""


def rehearse(
    assembly: Path,
    items: Sequence[ReceivedItem],
    visits: Sequence[Visit],
    *,
    seed: int,
    display: Display,
    announce: Callable[[Rehearsal], None] = lambda _: None,
    conclude: Callable[[Rehearsal, Run], None] = lambda _, __: None,
) -> Run:
    """Runs the synthesized application for these customers.

    `announce` is called when it stands, `conclude` at the end, before it is taken down. Raises
    StockNotTaken.
    """
    started = _monotonic()
    stories = Stories({shop_id_of(visit.order): visit.order.order_id for visit in visits})
    tally, journal = Tally(), Journal()

    def seen(record: Record) -> None:
        tally.seen(record)
        stories.seen(record)

    def heard(answer: Answer) -> None:
        tally.heard(answer)
        stories.heard(answer)

    with ExitStack() as stack:
        with display.working("Creating the resources of the templates"):
            shop = stack.enter_context(Rehearsal(assembly, seed=seed, on_record=seen))
        announce(shop)
        customers = Customers(shop, journal, seed=seed, on_answer=heard)
        with display.watching(shop, tally, stories, len(visits)):
            pace = Pace(shop)
            _take_in(shop, items, pace, display)
            _serve(customers, visits, seed, pace, display)
        evidence = Evidence(
            accepted=journal.accepted,
            unanswered=journal.unanswered,
            cancelled=journal.cancelled,
            delivered={item.sku: item.quantity for item in items},
        )
        checks = [_sent(visits, journal), *audit(gather(shop, evidence)), _private(journal)]
        seconds = _monotonic() - started
        run = Run(evidence, checks, journal, tally, stories, seconds, shop.meter.records)
        conclude(shop, run)
        return run


def _take_in(shop: Rehearsal, items: Sequence[ReceivedItem], pace: Pace, display: Display) -> None:
    """Hands the stock in, and waits until orders' price list has heard of it."""
    display.phase("stock and prices come in")
    receiving = shop.spawn(_deliver, shop, items, name="supplier")
    pace.run_until(lambda: shop.scheduler.idle, display.tick)
    receiving.result()


def _deliver(shop: Rehearsal, items: Sequence[ReceivedItem]) -> None:
    for delivery in deliveries(items):
        result = shop.invoke(_RECEIVE_STOCK, delivery)
        if result.function_error:
            raise StockNotTaken(f"{_RECEIVE_STOCK} failed: {result.payload}")


def _serve(
    customers: Customers, visits: Sequence[Visit], seed: int, pace: Pace, display: Display
) -> None:
    """Lets the customers in, and waits until everything has come to its end."""
    scheduler = customers.shop.scheduler
    display.phase("customers come")
    door, processes = open_doors(customers, visits, per_second=ARRIVALS_PER_SECOND, seed=seed)
    pace.run_until(lambda: door.done, display.tick)
    display.phase("the last orders settle")
    deadline = scheduler.now() + _LONGEST_S
    pace.run_until(lambda: scheduler.idle or scheduler.now() > deadline, display.tick)
    display.phase("all is settled")
    for process in processes:
        process.result()


def _sent(visits: Sequence[Visit], journal: Journal) -> Check:
    sent = {shop_id_of(visit.order): visit.order.order_id for visit in visits}
    answered = {*journal.accepted, *journal.refused}
    faults = (
        f"order {name} was sent, but got no answer"
        for order_id, name in sent.items()
        if order_id not in answered
    )
    figures = f"{len(journal.accepted):,} accepted + {len(journal.refused):,} refused"
    return Check("Orders sent", f"{len(sent):,}", figures, tuple(faults))


def _private(journal: Journal) -> Check:
    asked = sum(answer.status in {401, 404} for answer in journal.answers)
    return Check(
        "Others' orders", f"{asked:,} looks refused", "all of them", tuple(journal.breaches)
    )
