"""The audit: checks that orders, stock, money, parcels and messages agree."""

from tools.demo.audit import fulfilment, orders, payments
from tools.demo.audit.check import Check, check, side_text
from tools.demo.audit.payments import Authorized, authorized
from tools.demo.evidence import Evidence

__all__ = ["Authorized", "Check", "audit", "authorized", "check", "side_text"]


def audit(evidence: Evidence) -> list[Check]:
    """Returns all checks, with and without findings."""
    checks = [*orders.checks(evidence), *payments.checks(evidence), *fulfilment.checks(evidence)]
    if evidence.unreadable:
        found = {"items": len(evidence.unreadable)}
        checks.append(Check("Unreadable", found, {"": 0}, tuple(evidence.unreadable)))
    return checks
