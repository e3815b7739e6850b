"""Random actions of customers, carrier, staff and suppliers, among faults and recoveries.

An action is a name and two numbers, which select among what exists at that moment. So each list of
actions has a meaning, and so does each part of it: hypothesis can shrink it.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from random import Random

from cdk_rehearsal import FaultSite, Traces, inject
from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.demo.order_trees import order_trees
from tools.faults.case import trace, unrecovered, violations
from tools.faults.kinds import KINDS, FaultKind
from tools.faults.matrix import Baseline
from tools.faults.recovery import Recovery
from tools.faults.scenarios import CUP, CUSTOMER, MUG
from tools.faults.shop import RehearsedShop, UnexpectedAnswer

TOKENS = ("tok_approve", "tok_approve", "tok_approve", "tok_decline", "tok_flaky_2")
"""The payment tokens of customers."""

_REPEATS = frozenset({Channel.EMAIL, Channel.SMS})
_MOST_TIMES = 8
"""More often than a queue delivers a message."""
_RECOVERIES = 6

_WEIGHTS = {
    "order": 30,
    "cancel": 4,
    "cancel_late": 4,
    "deliver": 20,
    "give_back": 12,
    "decide": 12,
    "supply": 1,
    "erase": 2,
    "browse": 3,
    "wait": 25,
    "settle": 2,
    "redrive": 1,
    "inject": 20,
    "clear": 3,
}
"""The weight of each action in a random sequence."""


@dataclass(frozen=True)
class PossibleFault:
    """A fault kind at a site where it can occur."""

    kind: FaultKind
    site: FaultSite

    def __str__(self) -> str:
        """The fault as a line of a trace."""
        return f"{self.kind.name} at {self.site}"


def possible_faults(known: Iterable[Baseline]) -> list[PossibleFault]:
    """Returns the faults that can occur at the sites of the scenarios."""
    sites = sorted({site for baseline in known for site in baseline.sites})
    return [
        PossibleFault(kind, site)
        for site in sites
        for kind in KINDS.values()
        if not kind.control and kind.reason_against(site) is None
    ]


@dataclass(frozen=True)
class Action:
    """An action: its name, the number of an order from the first, and an option."""

    name: str
    number: int = 0
    option: int = 0

    def __str__(self) -> str:
        """The action as a line of a trace."""
        return f"{self.name} {self.number} {self.option}"


@dataclass(kw_only=True)
class SequenceResult:
    """The figures of a sequence of actions, and its problems."""

    actions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """The number of orders by final status."""
    late: int = 0
    """Orders that were cancelled after their delivery."""
    faults: Counter[str] = field(default_factory=Counter)
    """The faults that acted, by name."""
    redriven: int = 0
    discarded: int = 0
    """Parked messages, by what the recovery did with them."""
    traced: int = 0
    """Orders whose traces were checked."""
    trees: int = 0
    """Those of them that are one tree, with each hop as often as it happened."""
    spans: int = 0
    links: int = 0
    """The spans in their traces, and the links between them and other spans."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """The injected faults, and the requests without an answer."""
    trace: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def __iadd__(self, other: "SequenceResult") -> "SequenceResult":
        """Adds another result."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


class ActionSequence:
    """Performs actions on a shop, one after the other, and then lets everything end."""

    def __init__(self, shop: RehearsedShop, faults: Sequence[PossibleFault]) -> None:
        self.shop = shop
        self.orders: list[str] = []
        self.notes: list[str] = []
        self.recovery = Recovery(shop)
        by_kind = itertools.groupby(sorted(faults, key=str), lambda each: each.kind.name)
        self._faults = [tuple(alike) for _, alike in by_kind]
        self._ends: list[Callable[[], None]] = []

    @property
    def known(self) -> frozenset[str]:
        """The names of the actions."""
        return frozenset(_WEIGHTS)

    def perform(self, action: Action) -> None:
        """Performs an action. A request without an answer becomes a note."""
        if action.name not in self.known:
            known = ", ".join(sorted(self.known))
            raise ValueError(f"unknown action {action.name}: use one of {known}")
        try:
            getattr(self, f"_{action.name}")(action.number, action.option)
        except UnexpectedAnswer as answer:
            self.notes.append(f"{action}: {answer}")

    def end(self) -> None:
        """Removes all causes of faults, recovers, and completes deliveries and returns."""
        self.shop.rehearsal.faults.clear()
        for end in self._ends:
            end()
        self.shop.settle()
        for _ in range(_RECOVERIES):
            self.recovery.redrive()
            self.shop.settle()
            self.recovery.resubmit_files()
            self.shop.settle()
            for number, order_id in enumerate(self.orders):
                self.perform(Action("deliver", number))
                if self.shop.returned(order_id) == "awaiting":
                    self.perform(Action("decide", number, 1))
            self.shop.settle()
            if not self.shop.parked() and not self.recovery.failed_executions():
                break

    def _id(self, number: int) -> str:
        """Returns the id of an order, or an id that no order has if there is none yet."""
        return self.orders[number % len(self.orders)] if self.orders else ""

    def _order(self, number: int, option: int) -> None:
        key = f"any-{len(self.orders)}"
        self.orders.append(order_id_for(CUSTOMER, key))
        lines = {MUG: 1 + option % 2} | ({CUP: 1} if option % 3 == 0 else {})
        self.shop.place(lines, key=key, token=TOKENS[number % len(TOKENS)])

    def _cancel(self, number: int, option: int) -> None:
        if order_id := self._id(number):
            self.shop.cancel(order_id)

    def _cancel_late(self, number: int, option: int) -> None:
        """Cancels an order that the carrier has delivered, before the callback about it."""
        if order_id := self._id(number):
            self.shop.hand_over(order_id)
            self.shop.cancel(order_id)

    def _deliver(self, number: int, option: int) -> None:
        if order_id := self._id(number):
            self.shop.deliver(order_id)

    def _give_back(self, number: int, option: int) -> None:
        if order_id := self._id(number):
            self.shop.give_back(order_id)

    def _decide(self, number: int, option: int) -> None:
        order_id = self._id(number)
        if order_id and self.shop.returned(order_id) == "awaiting":
            self.shop.decide(order_id, approved=bool(option % 2))

    def _erase(self, number: int, option: int) -> None:
        """Erases the data of another customer, who has no orders."""
        customer = f"leaver-{len(self.shop.known.erasure_requests)}"
        self.shop.prefer(Channel.EMAIL, customer=customer)
        self.shop.erase(customer, f"{customer}@example.com")

    def _supply(self, number: int, option: int) -> None:
        name = f"any-{self.shop.known.files}"
        self.shop.supply({MUG: 5 + option % 10}, delivery=name)

    def _browse(self, number: int, option: int) -> None:
        self.shop.browse(CUP, visit=f"any-{number}")

    def _wait(self, number: int, option: int) -> None:
        self.shop.pass_time(seconds=(1, 5, 30, 300)[option % 4])

    def _settle(self, number: int, option: int) -> None:
        self.shop.settle()

    def _redrive(self, number: int, option: int) -> None:
        self.recovery.redrive()

    def _inject(self, number: int, option: int) -> None:
        """Injects a fault somewhere, some times, after some occasions without it."""
        # The kind first, so that kinds with few sites are as frequent as others.
        which, kind = divmod(number, len(self._faults))
        chosen = self._faults[kind][which % len(self._faults[kind])]
        self.notes.append(str(chosen))
        if fault := chosen.kind.injected:
            times, passes = 1 + option % _MOST_TIMES, option // _MOST_TIMES % 4
            inject(self.shop.rehearsal.faults, fault, chosen.site, times=times, passes=passes)
        else:
            chosen.kind.begin(self.shop, chosen.site)
            self._ends.append(lambda: chosen.kind.end(self.shop, chosen.site))

    def _clear(self, number: int, option: int) -> None:
        self.shop.rehearsal.faults.clear()


def random_actions(orders: int, seed: int) -> Iterator[Action]:
    """Yields actions until so many orders are placed; the same ones for the same seed."""
    random = Random(seed)
    yield Action("supply")
    placed = 0
    while placed < orders:
        (name,) = random.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))
        # Most actions are about recent orders.
        recent = max(0, placed - random.randrange(1, 6))
        number = random.randrange(1 << 20) if name in ("inject", "order", "browse") else recent
        yield Action(name, number, random.randrange(1 << 10))
        placed += name == "order"


def run(
    shop: RehearsedShop, faults: Sequence[PossibleFault], actions: Iterable[Action]
) -> SequenceResult:
    """Performs the actions, lets everything end, and audits the shop."""
    started, begun = time.process_time(), len(shop.rehearsal.meter.records)
    traces = Traces(shop.rehearsal)
    sequence = ActionSequence(shop, faults)
    done = 0
    for action in actions:
        sequence.perform(action)
        done += 1
    sequence.end()
    evidence = shop.evidence()
    evidence.may_repeat = _REPEATS
    statuses, records = shop.order_statuses(), shop.rehearsal.meter.records[begun:]
    trees = order_trees(traces, records, statuses.keys() & {*sequence.orders})
    problems = [
        *violations(evidence),
        *unrecovered(shop, sequence.recovery),
        *trees.findings,
    ]
    return SequenceResult(
        actions=done,
        statuses=Counter(statuses.get(order_id, "not accepted") for order_id in sequence.orders),
        late=sum(
            "cancelled" in order.history and evidence.shipments.get(order_id) == "delivered"
            for order_id, order in evidence.orders.items()
        ),
        faults=Counter(record.detail["name"] for record in records if record.kind == "fault"),
        redriven=sequence.recovery.redriven,
        discarded=sequence.recovery.discarded,
        traced=trees.orders,
        trees=trees.trees,
        spans=trees.spans,
        links=trees.links,
        problems=problems,
        notes=sequence.notes,
        trace=trace(records, problems) if problems else [],
        cpu_s=time.process_time() - started,
    )


def run_random(
    shop: RehearsedShop, faults: Sequence[PossibleFault], orders: int, seed: int
) -> SequenceResult:
    """Performs random actions with so many orders; the same ones for the same seed."""
    shop.receive({MUG: 2 * orders, CUP: orders}, delivery="plenty")
    shop.rehearsal.scheduler.random.seed(seed)
    return run(shop, faults, random_actions(orders, seed))
