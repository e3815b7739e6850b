"""Happenings: what customers, carriers, staff, faults and whoever is on call do, in any order."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from random import Random

from cdk_rehearsal import FAULTS
from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.faults.catalogue import CATALOGUE, Trouble
from tools.faults.cell import trace, violations
from tools.faults.matrix import Usual
from tools.faults.on_call import OnCall
from tools.faults.places import Place
from tools.faults.shop import Shop, UnexpectedAnswer
from tools.faults.stories import CUP, CUSTOMER, MUG
from tools.faults.trouble import between

TOKENS = ("tok_approve", "tok_approve", "tok_approve", "tok_decline", "tok_flaky_2")
"""How customers pay: most of them well."""

_REPEATS = frozenset({Channel.EMAIL, Channel.SMS})
_MOST_TIMES = 8
"""More often than any queue hands a message out."""

_ROUNDS = 6
"""How often, at the end, everybody asks again for what they are owed, and parked messages are
brought back."""


@dataclass(frozen=True)
class Possible:
    """Something that can go wrong at a place."""

    trouble: Trouble
    place: Place

    def __str__(self) -> str:
        """As a trace tells it."""
        return f"{self.trouble.name} at {self.place}"


def possible(tales: Iterable[Usual]) -> list[Possible]:
    """All that can go wrong anywhere on the ways of the usual stories."""
    places = sorted({place for tale in tales for place in tale.places})
    return [
        Possible(trouble, place)
        for place in places
        for trouble in CATALOGUE.values()
        if not trouble.control and trouble.reason_against(place) is None
    ]


@dataclass(frozen=True)
class Happening:
    """One thing that happens: what, to which order (counted from the first), with what besides."""

    what: str
    number: int = 0
    option: int = 0

    def __str__(self) -> str:
        """As a trace tells it."""
        return f"{self.what} {self.number} {self.option}"


@dataclass
class Run:
    """A shop to which things happen, one after the other."""

    shop: Shop
    troubles: Sequence[Possible]
    orders: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """Which faults were to come, and who got no answer."""
    late: int = 0
    """In the end, orders that were cancelled though their customers had got the parcel."""
    _over: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on_call = OnCall(self.shop)
        kinds = itertools.groupby(sorted(self.troubles, key=str), lambda each: each.trouble.name)
        self._kinds = [tuple(kind) for _, kind in kinds]

    def perform(self, happening: Happening) -> None:
        """Lets one thing happen; that somebody gets no answer is nothing to stop for."""
        if happening.what not in WHATS:
            raise ValueError(f"nothing is known of {happening.what}: {', '.join(WHATS)}")
        try:
            getattr(self, f"_{happening.what}")(happening.number, happening.option)
        except UnexpectedAnswer as answer:
            self.told.append(f"{happening}: {answer}")

    def end(self) -> list[str]:
        """Takes the causes away, has all that is owed asked for, and returns what is wrong."""
        self.shop.rehearsal.faults.clear()
        for over in self._over:
            over()
        self.shop.settle()
        for _ in range(_ROUNDS):
            self.on_call.bring_back()
            self.shop.settle()
            self.on_call.look_after_files()
            self.shop.settle()
            self._finish()
            if not self.shop.parked() and not self.on_call.to_start_again():
                break
        evidence = self.shop.evidence()
        evidence.may_repeat = _REPEATS
        self.late = sum(
            "cancelled" in order.history and evidence.shipments.get(order_id) == "delivered"
            for order_id, order in evidence.orders.items()
        )
        parked = [f"{count} messages stay in {path}" for path, count in self.shop.parked().items()]
        failed = [f"execution {each['name']} failed" for each in self.on_call.to_start_again()]
        return [*violations(evidence), *parked, *failed]

    def _finish(self) -> None:
        for number, order_id in enumerate(self.orders):
            self.perform(Happening("deliver", number))
            if self.shop.returned(order_id) == "awaiting":
                self.perform(Happening("decide", number, 1))
        self.shop.settle()

    def _id(self, number: int) -> str | None:
        return self.orders[number % len(self.orders)] if self.orders else None

    # -- what happens ---------------------------------------------------------------------

    def _order(self, number: int, option: int) -> None:
        key = f"any-{len(self.orders)}"
        self.orders.append(order_id_for(CUSTOMER, key))
        lines = {MUG: 1 + option % 2} | ({CUP: 1} if option % 3 == 0 else {})
        self.shop.place(lines, key=key, token=TOKENS[number % len(TOKENS)])

    def _cancel(self, number: int, option: int) -> None:
        if order_id := self._id(number):
            self.shop.cancel(order_id)

    def _regret(self, number: int, option: int) -> None:
        """Cancels what the carrier has just delivered, before it tells the shop."""
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
        self.on_call.bring_back()

    def _fail(self, number: int, option: int) -> None:
        """Lets something go wrong somewhere, some times, after some that go well."""
        # First the kind, so that those that few places know happen as often as others.
        which, kind = divmod(number, len(self._kinds))
        places = self._kinds[kind]
        chosen = places[which % len(places)]
        self.told.append(str(chosen))
        if chosen.trouble.planned:
            fault = FAULTS[chosen.trouble.name]
            where = between(fault, chosen.place)
            times, passes = 1 + option % _MOST_TIMES, option // _MOST_TIMES % 4
            self.shop.rehearsal.faults.plan(fault, **where, times=times, passes=passes)
        else:
            chosen.trouble.begin(self.shop, chosen.place)
            self._over.append(lambda: chosen.trouble.end(self.shop, chosen.place))

    def _recover(self, number: int, option: int) -> None:
        self.shop.rehearsal.faults.clear()


_SHARES = {
    "order": 30,
    "cancel": 4,
    "regret": 4,
    "deliver": 20,
    "give_back": 12,
    "decide": 12,
    "supply": 1,
    "browse": 3,
    "wait": 25,
    "settle": 2,
    "redrive": 1,
    "fail": 20,
    "recover": 3,
}
"""How often each happens among others at random."""
WHATS = tuple(_SHARES)
"""What can happen."""


def at_random(orders: int, seed: int) -> Iterator[Happening]:
    """So many orders, and whatever else happens meanwhile; the same for the same seed."""
    random = Random(seed)
    yield Happening("supply")
    placed = 0
    while placed < orders:
        (what,) = random.choices(tuple(_SHARES), tuple(_SHARES.values()))
        # Most that happens, happens to orders of the last minutes.
        recent = max(0, placed - random.randrange(1, 6))
        number = random.randrange(1 << 20) if what in ("fail", "order", "browse") else recent
        yield Happening(what, number, random.randrange(1 << 10))
        placed += what == "order"


@dataclass(kw_only=True)
class Tally:
    """What came of a run: how much happened, and what is wrong in the end."""

    happenings: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """In the end, of all who wanted to order."""
    late: int = 0
    """Orders that were cancelled though their customers had got the parcel."""
    faults: Counter[str] = field(default_factory=Counter)
    """Those that acted, by name."""
    brought_back: int = 0
    thrown_away: int = 0
    """Messages that were parked."""
    problems: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def __iadd__(self, other: "Tally") -> "Tally":
        """Takes in what came of another run."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


def run(shop: Shop, troubles: Sequence[Possible], happenings: Iterable[Happening]) -> Tally:
    """Lets things happen to a shop, brings everything to its end, and looks at the books."""
    started, begun = time.process_time(), len(shop.rehearsal.meter.records)
    running = Run(shop, troubles)
    done = 0
    for happening in happenings:
        running.perform(happening)
        done += 1
    problems = running.end()
    ends, records = shop.ends(), shop.rehearsal.meter.records[begun:]
    return Tally(
        happenings=done,
        statuses=Counter(ends.get(order_id, "not taken") for order_id in running.orders),
        late=running.late,
        faults=Counter(record.detail["name"] for record in records if record.kind == "fault"),
        brought_back=running.on_call.brought_back,
        thrown_away=running.on_call.thrown_away,
        problems=problems,
        told=running.told,
        trace=trace(records, problems) if problems else [],
        cpu_s=time.process_time() - started,
    )


def mix(shop: Shop, troubles: Sequence[Possible], orders: int, seed: int) -> Tally:
    """Has so many orders placed, with all faults at random among them; the same for a seed."""
    shop.receive({MUG: 2 * orders, CUP: orders}, delivery="plenty")
    shop.rehearsal.scheduler.random.seed(seed)
    return run(shop, troubles, at_random(orders, seed))
