"""The live page of the demo: the console of the package, with the shop's audit and customers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from random import Random
from typing import Any

from cdk_rehearsal import Process
from cdk_rehearsal.console import Action, Console, Site, runbook_page
from stacks.constructs.runbook import RUNBOOK
from tools.demo.audit import Check, side_text
from tools.demo.books import Books
from tools.demo.customers import Customers, shop_id_of
from tools.demo.stock_file import CatalogueItem
from tools.demo.supplier import files_of, hand_in, reports
from tools.demo.take_part import Viewer
from tools.demo.visits import Visit, start_visit
from workspace.isolation import PROJECT

_SETTLED_AFTER_S = 2 * 86_400
"""Virtual seconds after which every retry has ended."""
_STEP_S = 1.0
_IMPORTED_AFTER_S = 60.0
"""Virtual seconds after which customers come although a file has no report, because of a fault."""


@dataclass
class Door:
    """The door of the shop: while it is open, the visits of the run come again as new orders."""

    customers: Customers
    books: Books
    catalogue: Sequence[CatalogueItem]
    """What the supplier delivers again before the visits come again."""
    visits: list[Visit]
    """All visits so far; new ones are appended."""
    names: dict[str, str]
    """The customers' ids of orders by the shop's ids; new ones are added."""
    per_second: float = 0.0
    """The rate at which customers come; 0 before the door was opened."""
    _arrivals: Process | None = None
    _laps: Iterator[int] = field(default_factory=lambda: count(2))

    def __post_init__(self) -> None:
        """Remembers the visits that come again."""
        self._first = [*self.visits]

    def open(self, per_second: float) -> None:
        """Lets customers come."""
        self.per_second = per_second
        self._arrivals = self.customers.shop.spawn(self._arrive, name="arrivals")

    def close(self) -> None:
        """Lets no more customers come."""
        if self._arrivals is not None:
            self._arrivals.kill()

    def _arrive(self) -> None:
        random = Random(0)
        for lap in self._laps:
            self._deliver(lap)
            for visit in self._first:
                self.customers.shop.scheduler.sleep(random.expovariate(self.per_second))
                order = replace(visit.order, order_id=f"{visit.order.order_id}-{lap}")
                again = replace(visit, order=order)
                self.visits.append(again)
                self.names[shop_id_of(order)] = order.order_id
                start_visit(self.customers, again)

    def _deliver(self, lap: int) -> None:
        """Lets the supplier deliver everything again, and waits until it is imported."""
        shop = self.customers.shop
        for file in files_of(self.catalogue):
            again = replace(file, name=f"{lap}-{file.name}")
            hand_in(shop, [again])
            self.books.take(again)
        deadline = shop.clock.now() + _IMPORTED_AFTER_S
        while len(reports(shop)) < len(self.books.files) and shop.clock.now() < deadline:
            shop.scheduler.sleep(_STEP_S)


def serve_page(books: Books, door: Door) -> Console:
    """Returns the console of a run, which is to be entered."""
    audit = Action(
        "Audit",
        "Lets no more customers in, waits until everything has settled, and audits the books",
        lambda: _audited(books, door),
        judges=True,
    )
    viewer = Viewer(books, door.customers, door.visits, door.names)
    return Console(
        books.shop,
        title="Orderflow",
        actions=[audit, *viewer.actions()],
        site=Site(PROJECT / ".build/catalogue", "make catalogue"),
        runbook=partial(runbook_page, PROJECT / RUNBOOK),
    )


def _audited(books: Books, door: Door) -> dict[str, Any]:
    shop = books.shop
    door.close()
    deadline = shop.clock.now() + _SETTLED_AFTER_S
    while not shop.scheduler.idle and shop.clock.now() < deadline:
        shop.run_for(_STEP_S)
    _, checks = books.audit()
    if door.per_second:
        door.open(door.per_second)
    return _result(checks)


def _result(checks: Sequence[Check]) -> dict[str, Any]:
    wrong = [each for each in checks if not each.holds]
    text = (
        f"The books do not balance: {len(wrong)} of {len(checks)} checks have findings"
        if wrong
        else f"The books balance: all {len(checks)} checks hold"
    )
    ordered = sorted(checks, key=lambda each: each.holds)
    return {
        "good": not wrong,
        "text": text,
        "columns": ["result", "check", "here", "must be equal to", "findings"],
        "rows": [
            [
                "✓" if each.holds else "✕",
                each.what,
                side_text(each.left),
                side_text(each.right),
                "; ".join(each.findings[:3]),
            ]
            for each in ordered
        ],
    }
