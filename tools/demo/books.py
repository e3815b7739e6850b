"""The books of the shop: they can be audited at any time, once everything has settled."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cdk_rehearsal import Rehearsal
from tools.demo.audit import Check, audit, check
from tools.demo.carrier import SimulatedCarrier, add_parcels
from tools.demo.customers import Journal, shop_id_of
from tools.demo.evidence import Evidence, count_sales, gather
from tools.demo.partner import WebhookPartner
from tools.demo.staff import Staff, UnexpectedAnswer
from tools.demo.stripe_host import StripeHost
from tools.demo.supplier import SupplierFile, reports
from tools.demo.visits import Visit

_SALES = timedelta(hours=23)
"""The span of one request for sales, which may be a day at most."""


@dataclass(frozen=True, kw_only=True)
class Books:
    """Everything that the outside world knows about a run, and the shop itself."""

    shop: Rehearsal
    visits: Sequence[Visit]
    """The visits so far. The list may grow."""
    files: list[SupplierFile]
    right: dict[str, int]
    """Units of each item in the correct rows of the files."""
    journal: Journal
    carrier: SimulatedCarrier
    staff: Staff
    partner: WebhookPartner
    stripe: StripeHost | None
    """None if the stage has a sandbox."""
    opened: datetime

    def take(self, file: SupplierFile) -> None:
        """Enters a file that was uploaded after the first ones. The shop may refuse it."""
        self.files.append(file)
        for sku, units in file.units().items():
            self.right[sku] = self.right.get(sku, 0) + units

    def audit(self) -> tuple[Evidence, list[Check]]:
        """Compares the shop with the outside world. Returns the evidence and all checks."""
        evidence = deepcopy(self.journal.known)
        evidence.supplied = dict(self.right)
        evidence.files = len(self.files)
        evidence.rows = sum(file.rows for file in self.files)
        evidence.reports = reports(self.shop)
        evidence.decided = dict(self.staff.decided)
        evidence.sent.update(self.partner.sent_messages())
        if self.stripe:
            self.stripe.add_to(evidence)
        add_parcels(self.carrier.ledger, evidence)
        unread: list[str] = []
        try:
            for start, end in self._spans():
                count_sales(evidence, self.staff.sales(start, end))
        except UnexpectedAnswer as error:
            unread.append(f"staff cannot read the sales: {error}")
        checks = [
            self._orders_sent(),
            *audit(gather(self.shop, evidence)),
            self._access(),
            *([check("Sales read", {}, {}, unread)] if unread else []),
        ]
        return evidence, checks

    def _spans(self) -> Iterator[tuple[datetime, datetime]]:
        """Yields the spans of time since the shop opened, the first one even before its end."""
        start = self.opened.replace(second=0, microsecond=0)
        while start < datetime.now(UTC):
            yield start, start + _SALES
            start += _SALES

    def _orders_sent(self) -> Check:
        sent = {shop_id_of(visit.order): visit.order.order_id for visit in self.visits}
        journal = self.journal
        answered = {*journal.known.accepted, *journal.refused}
        findings = (
            f"order {name} was sent, but got no answer"
            for order_id, name in sent.items()
            if order_id not in answered
        )
        refused = journal.refused.keys() - journal.known.accepted
        right = {"accepted": len(journal.known.accepted), "refused": len(refused)}
        return check("Orders sent", {"": len(sent)}, right, findings)

    def _access(self) -> Check:
        journal, carrier = self.journal, self.carrier
        breaches = (*journal.breaches, *carrier.accepted_forgeries)
        tried = {"by others": journal.access_attempts, "forged callbacks": carrier.forged}
        refused = journal.access_attempts + carrier.forged - len(breaches)
        return check("Access refused", tried, {"refused": refused}, breaches)
