"""A run: the shop opens, customers come, everything settles, and the books are compared."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from demo.books import Check, audit
from demo.customers import Answer, Customers, Journal, shop_id_of
from demo.display import Display
from demo.evidence import Evidence, gather
from demo.scenario import Visit, open_doors
from demo.stock_file import deliveries
from demo.story import Stories
from demo.tally import Tally
from lambdas.inventory.domain import ReceivedItem
from rehearsal import Record, Rehearsal

ARRIVALS_PER_SECOND = 50.0
_RECEIVE_STOCK = "Inventory/ReceiveStock"
_STEP_S = 0.25
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


class StockRefused(Exception):
    """Inventory did not take the stock in."""


def rehearse(
    assembly: Path,
    items: Sequence[ReceivedItem],
    visits: Sequence[Visit],
    *,
    seed: int,
    display: Display,
    announce: Callable[[Rehearsal], None],
    linger: Callable[[], None] = lambda: None,
) -> Run:
    """Runs the synthesized application for these customers.

    `announce` is called when it stands, `linger` before it is taken down. Raises StockRefused.
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

    with Rehearsal(assembly, seed=seed, pace="real", on_record=seen) as shop:
        announce(shop)
        _take_in(shop, items)
        shop.run_until_idle()
        customers = Customers(shop, journal, seed=seed, on_answer=heard)
        display.watch(shop, tally, stories, len({visit.order.order_id for visit in visits}))
        try:
            processes = open_doors(customers, visits, per_second=ARRIVALS_PER_SECOND, seed=seed)
            while not all(process.done for process in processes):
                shop.run_for(_STEP_S)
                display.tick()
            _settle(shop, display)
        finally:
            display.stop()
        for process in processes:
            process.result()
        evidence = Evidence(
            accepted=journal.accepted,
            unanswered=journal.unanswered,
            delivered={item.sku: item.quantity for item in items},
        )
        gather(shop, evidence)
        seconds = _monotonic() - started
        linger()
        checks = [*audit(evidence), _private(journal)]
        return Run(evidence, checks, journal, tally, stories, seconds, shop.meter.records)


def _take_in(shop: Rehearsal, items: Sequence[ReceivedItem]) -> None:
    for delivery in deliveries(items):
        result = shop.invoke(_RECEIVE_STOCK, delivery)
        if result.function_error:
            raise StockRefused(f"{_RECEIVE_STOCK} failed: {result.payload}")


def _settle(shop: Rehearsal, display: Display) -> None:
    while not shop.scheduler.idle:
        shop.run_for(_STEP_S)
        display.tick()


def _private(journal: Journal) -> Check:
    asked = sum(answer.status in {401, 404} for answer in journal.answers)
    return Check(
        "Others' orders", f"{asked:,} looks refused", "all of them", tuple(journal.breaches)
    )
