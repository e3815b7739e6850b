"""A run: the shop opens, customers come, everything settles, and the books are compared."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cdk_rehearsal import Record, Rehearsal
from lambdas.notifications.events import Channel
from tools.demo.books import Check, audit, check
from tools.demo.carrier import Carrier
from tools.demo.customers import Answer, Customers, Journal, shop_id_of
from tools.demo.display import Display
from tools.demo.evidence import Evidence, gather
from tools.demo.pace import Pace
from tools.demo.partner import PARTNER, Partner
from tools.demo.scenario import Visit, open_doors, wishes_of
from tools.demo.staff import Staff
from tools.demo.story import Stories
from tools.demo.supplier import File, hand_in, reports
from tools.demo.tally import Tally

ARRIVALS_PER_SECOND = 50.0
_LONGEST_S = 2 * 86_400
"""Virtual seconds after which nothing more is waited for: longer than any retry goes on."""

_OVERDUE_AFTER = timedelta(days=6)
"""Longer than the carrier has for a parcel."""

_monotonic = time.monotonic


@dataclass(frozen=True, kw_only=True)
class World:
    """What suppliers hand in, who comes, and how reliable the carrier is."""

    files: Sequence[File]
    """What suppliers hand in."""
    right: Mapping[str, int]
    """Units of each item in the right rows of those files."""
    visits: Sequence[Visit]
    lost_parcels: int = 0
    careless_carrier: bool = False


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


def rehearse(
    assembly: Path,
    world: World,
    *,
    seed: int,
    display: Display,
    hurried: bool = False,
    announce: Callable[[Rehearsal], None] = lambda _: None,
    conclude: Callable[[Rehearsal, Run], None] = lambda _, __: None,
) -> Run:
    """Runs the synthesized application for this world; if `hurried`, for nobody to watch.

    `announce` is called when it stands, `conclude` at the end, before it is taken down.
    """
    started = _monotonic()
    visits = world.visits
    stories = Stories({shop_id_of(visit.order): visit.order.order_id for visit in visits})
    tally, journal = Tally(), Journal()

    def heard(answer: Answer) -> None:
        tally.heard(answer)
        stories.heard(answer)

    with ExitStack() as stack:
        listeners: list[Callable[[Record], None]] = [tally.seen, stories.seen]

        def seen(record: Record) -> None:
            for listener in listeners:
                listener(record)

        with display.working("Creating the resources of the templates"):
            shop = stack.enter_context(Rehearsal(assembly, seed=seed, on_record=seen))
        announce(shop)
        customers = Customers(shop, journal, seed=seed, on_answer=heard)
        carrier = Carrier(shop, seed=seed, lost=world.lost_parcels, careless=world.careless_carrier)
        staff, partner = Staff(shop), Partner(shop)
        listeners += [carrier.seen, staff.seen]
        partner.open()
        opened = datetime.now(UTC)
        with display.watching(shop, tally, stories, len(visits)):
            pace = Pace(shop, hurried=hurried)
            _take_in(shop, world.files, pace, display)
            _serve(customers, visits, seed, pace, display)
            if world.lost_parcels:
                _let_days_pass(pace, display)
        evidence = Evidence(
            accepted=journal.accepted,
            unanswered=journal.unanswered,
            cancelled=journal.cancelled,
            handed_in=dict(world.right),
            files=len(world.files),
            rows=sum(file.rows for file in world.files),
            reports=reports(shop),
            wanted_back=journal.returns,
            decided=staff.decided,
            preferences=journal.preferences,
            activity=journal.activity,
        )
        _ask_outside(evidence, shop, partner)
        _ask_for_sales(evidence, staff, opened)
        checks = [
            _sent(visits, journal),
            *audit(gather(shop, evidence)),
            _private(journal, carrier),
        ]
        seconds = _monotonic() - started
        run = Run(evidence, checks, journal, tally, stories, seconds, shop.meter.records)
        conclude(shop, run)
        return run


def _take_in(shop: Rehearsal, files: Sequence[File], pace: Pace, display: Display) -> None:
    """Has suppliers hand in their files, and waits until orders' price list has heard of it."""
    display.phase("suppliers' files come in")
    handing_in = shop.spawn(hand_in, shop, files, name="supplier")
    pace.run_until(lambda: shop.scheduler.idle, display.tick)
    handing_in.result()


def _serve(
    customers: Customers, visits: Sequence[Visit], seed: int, pace: Pace, display: Display
) -> None:
    """Lets the customers in, and waits until everything has come to its end."""
    scheduler = customers.shop.scheduler
    display.phase("customers say how to reach them")
    asking = customers.shop.spawn(_prefer, customers, visits, name="preferences")
    pace.run_until(lambda: asking.done, display.tick)
    asking.result()
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
    refused = journal.refused.keys() - journal.accepted
    right = {"accepted": len(journal.accepted), "refused": len(refused)}
    return check("Orders sent", {"": len(sent)}, right, faults)


def _prefer(customers: Customers, visits: Sequence[Visit]) -> None:
    for customer_id in dict.fromkeys(visit.order.customer_id for visit in visits):
        if wishes := wishes_of(customer_id):
            customers.prefer(customer_id, wishes)


def _let_days_pass(pace: Pace, display: Display) -> None:
    """Skips the days until a parcel that did not come is missed."""
    display.phase("days go by")
    pace.skip(_OVERDUE_AFTER, display.tick)


def _ask_outside(evidence: Evidence, shop: Rehearsal, partner: Partner) -> None:
    """Counts the messages where they arrived."""
    evidence.sent[Channel.EMAIL].update(
        address for mail in shop.sent_email for address in mail.to_addresses
    )
    evidence.sent[Channel.SMS].update(sms.phone_number for sms in shop.sent_sms)
    evidence.sent[Channel.WEBHOOK].update(
        f"https://{PARTNER}{path}" for path in partner.received.values()
    )


def _ask_for_sales(evidence: Evidence, staff: Staff, opened: datetime) -> None:
    """Reads the sales as the shop's staff sees them."""
    for row in staff.sales(opened, opened + timedelta(hours=23)):
        sku = row["sku"]
        evidence.sold_units[sku] += row["units"]
        for currency, amount in row["revenue_minor"].items():
            evidence.sold_for[sku, currency] += amount
        evidence.counted_activity["viewed", sku] += row["views"]
        evidence.counted_activity["added_to_cart", sku] += row["added_to_cart"]


def _private(journal: Journal, carrier: Carrier) -> Check:
    breaches = (*journal.breaches, *carrier.forgeries)
    tried = {"looks": journal.looks, "forged call-backs": carrier.forged}
    refused = journal.looks + carrier.forged - len(breaches)
    return check("Others' orders", tried, {"refused": refused}, breaches)
