"""A run of the demo: suppliers and customers come, everything settles, and the audit follows."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from cdk_rehearsal import Record, Rehearsal
from tools.demo import sample, schedules
from tools.demo.audit import Check
from tools.demo.books import Books
from tools.demo.carrier import SimulatedCarrier
from tools.demo.customers import ApiAnswer, Customers, Journal, shop_id_of
from tools.demo.display import Display
from tools.demo.evidence import Evidence
from tools.demo.hops import HopCounts
from tools.demo.pace import Pace
from tools.demo.page import Door, serve_page
from tools.demo.partner import WebhookPartner
from tools.demo.staff import Staff, UnexpectedAnswer
from tools.demo.stock_file import CatalogueItem
from tools.demo.stripe_host import stripe_of
from tools.demo.supplier import SupplierFile, file_at, files_of, hand_in
from tools.demo.timeline import Timelines
from tools.demo.visits import Visit, place, preferences_of, start_visits

ARRIVALS_PER_SECOND = 50.0
_HASTE = 5.0
"""How much faster the last orders settle than they came."""
_LONGEST_S = 2 * 86_400
"""Virtual seconds after which every retry has ended."""

_TRIES = 10
_TRY_AGAIN_AFTER = timedelta(minutes=1)
_OVERDUE_AFTER = timedelta(days=6)
"""Longer than the carrier's deadline for a parcel."""

_monotonic = time.monotonic


@dataclass(frozen=True, kw_only=True)
class DemoSetup:
    """The input of a run."""

    files: Sequence[SupplierFile]
    right: Mapping[str, int]
    """Units of each item in the correct rows of the files."""
    catalogue: Sequence[CatalogueItem]
    """The items that staff put on sale."""
    visits: Sequence[Visit]
    lost_parcels: int = 0
    careless_carrier: bool = False


def setup_of(
    supplies: Sequence[CatalogueItem], visits: Sequence[Visit], *, is_sample: bool
) -> DemoSetup:
    """Returns the setup. Only the sample has wrong files, lost parcels and a careless carrier."""
    files = [*files_of(supplies)]
    right = {item.sku: item.quantity for item in supplies}
    if not is_sample:
        return DemoSetup(files=files, right=right, catalogue=supplies, visits=visits)
    return DemoSetup(
        files=[file_at(sample.MISTAKES), *files],
        right={**right, **sample.RIGHT_AMONG_MISTAKES},
        catalogue=supplies,
        visits=visits,
        lost_parcels=3,
        careless_carrier=True,
    )


@dataclass
class DemoRun:
    """The results of a run."""

    evidence: Evidence
    checks: list[Check]
    journal: Journal
    counts: HopCounts
    timelines: Timelines
    seconds: float
    records: Sequence[Record] = field(repr=False)

    @property
    def passes(self) -> bool:
        """Whether no check of the audit has a finding."""
        return all(check.holds for check in self.checks)

    @property
    def refusals(self) -> Counter[str]:
        """Returns the number of orders that the API refused, by reason."""
        return Counter(
            reason
            for order_id, reason in self.journal.refused.items()
            if order_id not in self.evidence.orders
        )


def rehearse(
    assembly: Path,
    setup: DemoSetup,
    *,
    seed: int,
    display: Display,
    hurried: bool = False,
    page: bool = False,
    hold: bool = False,
    arrivals: float = ARRIVALS_PER_SECOND,
    opened: Callable[[Rehearsal], None] = lambda _: None,
    stay_at: float | None = None,
    announce: Callable[[Rehearsal, str], None] = lambda _, __: None,
    conclude: Callable[[Rehearsal, DemoRun], None] = lambda _, __: None,
    **settings: Any,
) -> DemoRun:
    """Runs the synthesized application. If `hurried`, does not keep pace with real time.

    The canary is paused while customers come and days pass, so that all calls are those of their
    orders: it has placed its first order before, and goes on if the application stays open.

    Calls `announce` when the application is ready, with the URL of its page if it has one, `opened`
    before customers come, `arrivals` of them per second, and `conclude` before it is removed. With
    `hold`, it stays open then, until Ctrl-C. With `stay_at`, so many customers per second keep
    coming, too. `settings` are those of the rehearsal.
    """
    started = _monotonic()
    visits = [*setup.visits]
    names = {shop_id_of(visit.order): visit.order.order_id for visit in visits}
    timelines = Timelines(names)
    counts, journal = HopCounts(), Journal()
    listeners: list[Callable[[Record], None]] = [counts.on_record, timelines.on_record]

    def on_answer(answer: ApiAnswer) -> None:
        counts.on_answer(answer)
        timelines.on_answer(answer)

    def on_record(record: Record) -> None:
        for listener in listeners:
            listener(record)

    with ExitStack() as stack:
        with display.working("Creating the resources of the templates"):
            shop = stack.enter_context(
                Rehearsal(assembly, seed=seed, on_record=on_record, **settings)
            )
        customers = Customers(shop, journal, seed=seed, on_answer=on_answer)
        lost = _lost(visits, setup.lost_parcels)
        carrier = SimulatedCarrier(shop, seed=seed, lost=lost, careless=setup.careless_carrier)
        staff, partner = Staff(shop), WebhookPartner(shop)
        listeners += [carrier.on_record, staff.on_record]
        partner.open()
        books = Books(
            shop=shop,
            visits=visits,
            files=[*setup.files],
            right=dict(setup.right),
            journal=journal,
            carrier=carrier,
            staff=staff,
            partner=partner,
            stripe=stripe_of(shop),
            opened=datetime.now(UTC),
        )
        door = Door(customers, books, setup.catalogue, visits, names)
        console = stack.enter_context(serve_page(books, door)) if page else None
        announce(shop, console.url if console else "")
        pace = Pace(shop, hurried=hurried, viewer=console)
        display.listener = console
        with display.watching(shop, counts, timelines, len(visits)):
            _supply(shop, setup.files, pace, display)
            _price(staff, setup.catalogue, pace, display)
            _prefer_all(customers, visits, pace, display)
            resume_canary = schedules.disable(shop, schedules.CANARY)
            opened(shop)
            _serve(customers, visits, arrivals, seed, pace, display)
            if setup.lost_parcels:
                display.phase("days pass, without canary orders, until lost parcels are overdue")
                pace.skip(_OVERDUE_AFTER, display.tick)
        evidence, checks = books.audit()
        seconds = _monotonic() - started
        run = DemoRun(evidence, checks, journal, counts, timelines, seconds, shop.meter.records)
        conclude(shop, run)
        resume_canary()
        if stay_at is not None:
            display.phase("customers keep coming")
            door.open(stay_at)
            pace.stay()
        elif hold:
            pace.hold()
        return run


def _lost(visits: Sequence[Visit], number: int) -> set[str]:
    """Returns the first orders that are only placed and paid: the carrier loses their parcels."""
    ordinary = (
        visit.order
        for visit in visits
        if visit.behaviour is place and visit.order.payment_token == "tok_approve"
    )
    return {shop_id_of(order) for order in islice(ordinary, number)}


def _supply(shop: Rehearsal, files: Sequence[SupplierFile], pace: Pace, display: Display) -> None:
    """Hands in the suppliers' files, and waits until they are imported."""
    display.phase("suppliers' files come in")
    handing_in = shop.spawn(hand_in, shop, files, name="supplier")
    pace.run_until(lambda: shop.scheduler.idle, display.tick)
    handing_in.result()


def _price(staff: Staff, catalogue: Sequence[CatalogueItem], pace: Pace, display: Display) -> None:
    """Lets staff set the prices, and waits until orders knows them.

    If an injected fault prevents it, they try again, and in the end go on without. Raises
    UnexpectedAnswer if there was no fault.
    """
    shop = staff.shop
    for _ in range(_TRIES):
        display.phase("staff set prices")
        before = len(shop.meter.of("fault"))
        pricing = shop.spawn(staff.price, catalogue, name="staff")
        pace.run_until(lambda: shop.scheduler.idle, display.tick)
        try:
            pricing.result()
        except UnexpectedAnswer as error:
            if len(shop.meter.of("fault")) == before:
                raise
            display.phase(f"a fault strikes, so that staff cannot set prices: {error}")
        else:
            return
        pace.skip(_TRY_AGAIN_AFTER, display.tick)
    display.phase("items without a price are not sold")


def _prefer_all(
    customers: Customers, visits: Sequence[Visit], pace: Pace, display: Display
) -> None:
    """Lets customers choose their channels."""
    display.phase("customers choose channels")
    choosing = customers.shop.spawn(_prefer, customers, visits, name="preferences")
    pace.run_until(lambda: choosing.done, display.tick)
    choosing.result()


def _serve(
    customers: Customers,
    visits: Sequence[Visit],
    arrivals: float,
    seed: int,
    pace: Pace,
    display: Display,
) -> None:
    """Starts the visits, and waits until everything has ended."""
    scheduler = customers.shop.scheduler
    display.phase("customers come")
    door, processes = start_visits(customers, visits, per_second=arrivals, seed=seed)
    pace.run_until(lambda: door.done, display.tick)
    display.phase("the last orders settle")
    deadline = scheduler.now() + _LONGEST_S
    # Mostly e-mails, which keep the rate of the stage's account.
    with pace.hastened(_HASTE):
        pace.run_until(lambda: scheduler.idle or scheduler.now() > deadline, display.tick)
    display.phase("everything has settled")
    for process in processes:
        process.result()


def _prefer(customers: Customers, visits: Sequence[Visit]) -> None:
    for customer_id in dict.fromkeys(visit.order.customer_id for visit in visits):
        if addresses := preferences_of(customer_id):
            customers.prefer(customer_id, addresses)
