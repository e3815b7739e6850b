"""A load test of a stage: synthetic customers, items, orders, what is measured, and cleaning up."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, nan
from typing import Any

from lambdas.shared.vocabulary import SYNTHETIC_ITEMS
from tools.load.simulation import percentile
from tools.load_test.bounds import Bounds
from tools.load_test.driver import Answer, LocustFailed, Orders, place
from tools.load_test.figures import Figures
from tools.load_test.prediction import per_second
from tools.load_test.queues import Queues
from tools.smoke.accounts import Account
from tools.smoke.cleaning import ERASING, erase, orders_of
from tools.smoke.goods import IMPORTED, PRICED, first_order, import_stock, order_for, set_prices
from tools.smoke.partners import has_real_provider
from tools.smoke.run import Run, StepFailed

ITEMS = 20
"""The most items: an item that all orders have would be a bottleneck that no shop has."""
ORDERS_EACH = 40
"""The orders of a customer, who may place 60 per hour. The first customer also tries each item."""

_ACCEPTED, _REFUSED = 202, 429
_AT_ONCE = 4
"""So many customers are created or erased at the same time."""
_PAUSE_S = 1.0


@dataclass
class LoadTest:
    """One load on a stage."""

    run: Run
    bounds: Bounds
    consumers: Sequence[str]
    """The construct paths of the consumers whose queues are watched."""
    problems: list[str] = field(default_factory=list)
    """What went wrong with orders, in words."""
    figures: Figures | None = None
    """What was measured, unless a step has failed."""

    def play(self) -> None:
        """Plays all steps up to the first one that fails, and cleans up."""
        customers: list[Account] = []
        with suppress(StepFailed):
            with self.run.step("staff sign in"):
                staff = self.run.accounts.staff()
            try:
                with self.run.step("customers sign in"):
                    self._sign_in(customers)
                complete = self._load(staff, customers)
            finally:
                self._leave(staff, customers)
            # As late as possible: CloudWatch needs minutes.
            with self.run.step("ages of messages are read"):
                self.figures = complete()

    def _sign_in(self, customers: list[Account]) -> None:
        number = ceil(self.bounds.orders / ORDERS_EACH)
        _at_once(lambda _: customers.append(self.run.accounts.customer()), range(number))

    def _load(self, staff: Account, customers: Sequence[Account]) -> Callable[[], Figures]:
        """Loads and measures. Returns a function that reads the ages of messages, too."""
        run, bounds = self.run, self.bounds
        number = min(ITEMS, ceil(bounds.rate))
        skus = [f"{SYNTHETIC_ITEMS}LOAD-{each:02}" for each in range(number)]
        with run.step("items are in stock", *IMPORTED):
            import_stock(run, dict.fromkeys(skus, ceil(bounds.orders / number) + 1))
        with run.step("items have prices", *PRICED):
            set_prices(run, staff, skus)
            for sku in skus:
                first_order(run, customers[0], sku)
        queues = Queues(run.stage, self.consumers)
        url, headers = run.stage.api
        orders = Orders(
            name=f"load-{run.id}",
            url=url,
            headers=headers,
            bodies=[order_for(sku) for sku in skus],
            tokens=[customer.token for customer in customers],
        )
        begun = time.time()
        with run.step(f"{bounds.orders} orders are placed"):
            try:
                answers = place(orders, bounds, queues.sample)
            except LocustFailed as failure:
                raise StepFailed(str(failure)) from failure
        with run.step("orders end"):
            ended = self._ended(customers, queues.sample)
        figures = self.figures = self._measured(answers, ended, number, queues)
        until = time.time()
        return lambda: replace(figures, oldest_s=queues.oldest_s(begun, until))

    def _ended(self, customers: Sequence[Account], meanwhile: Callable[[], object]) -> list[Any]:
        """Returns all orders as soon as none is open, or when that takes too long."""
        deadline = time.monotonic() + self.run.patience_s
        orders: list[Any] = []
        waiting = list(customers)
        while waiting:
            meanwhile()
            late, still = time.monotonic() > deadline, []
            for customer in waiting:
                found = orders_of(self.run, customer)
                if late or all(order["status"] != "placed" for order in found):
                    orders += found
                else:
                    still.append(customer)
            waiting = still
            if waiting:
                time.sleep(_PAUSE_S)
        return orders

    def _measured(
        self,
        answers: Sequence[Answer],
        orders: Sequence[Any],
        tried: int,
        queues: Queues,
    ) -> Figures:
        """Returns the figures. `tried` orders were placed before the load."""
        accepted = sorted(each.sent for each in answers if each.status == _ACCEPTED)
        refused = [each for each in answers if each.status == _REFUSED]
        others = [each for each in answers if each.status not in {_ACCEPTED, _REFUSED}]
        took = sorted(1000 * each.seconds for each in answers if each.status == _ACCEPTED)
        placed = sorted(orders, key=lambda order: str(order["placed_at"]))[tried:]
        what = "rejected" if has_real_provider(self.run.stage) else "confirmed"
        spans = [found for order in placed if (found := _span(order, what))]
        waits = sorted(end - begin for begin, end in spans)
        self._check(answers, accepted=len(accepted), ended=len(spans), what=what)
        return Figures(
            accepted_per_s=per_second(accepted),
            refused=len(refused),
            failed=len(others),
            answer_ms=(percentile(took, 50), percentile(took, 95)),
            confirmed_per_s=per_second(sorted(end for _, end in spans)),
            confirmed_s=(percentile(waits, 50), percentile(waits, 95)),
            deepest=queues.deepest,
            oldest_s=nan,
            dead_letters=queues.new_dead_letters(),
        )

    def _check(self, answers: Sequence[Answer], *, accepted: int, ended: int, what: str) -> None:
        """Notes answers that are problems, orders that were not sent, and those that are open."""
        codes = Counter((each.status, each.code) for each in answers if each.status != _ACCEPTED)
        for (status, code), times in codes.most_common():
            self.problems.append(f"{times} orders were answered with {status} {code}")
        if unsent := self.bounds.orders - len(answers):
            self.problems.append(
                f"{unsent} orders were not sent in time: this machine or the API is too slow"
            )
        if ended < accepted:
            self.problems.append(
                f"{accepted - ended} of {accepted} accepted orders are not {what}: wait longer "
                "with --patience, or look for them in the console (make console)"
            )

    def _leave(self, staff: Account, customers: Sequence[Account]) -> None:
        """Erases the customers, and deletes the staff account. Raises StepFailed."""
        run = self.run
        try:
            with run.step("customers are erased", *ERASING):
                _at_once(lambda customer: erase(run, customer, staff), customers)
        finally:
            with run.step("the staff account is deleted"):
                run.accounts.delete(staff.pool, staff.email)


def _at_once(action: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Calls a function for all items, some at the same time, and raises the first error."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = [pool.submit(action, item) for item in items]
    for each in done:
        each.result()


def _span(order: Any, what: str) -> tuple[float, float] | None:
    """Returns when an order was placed and when something happened, by the stage's clock."""
    times = {step["what"]: datetime.fromisoformat(step["at"]) for step in order["history"]}
    if what not in times:
        return None
    return times["placed"].timestamp(), times[what].timestamp()
