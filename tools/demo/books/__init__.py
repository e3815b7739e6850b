"""The books: what must be equal in the end, and where it is not."""

from tools.demo.books import orders, services
from tools.demo.books.check import Check, check, shown
from tools.demo.books.orders import Authorized, authorized
from tools.demo.evidence import Evidence

__all__ = ["Authorized", "Check", "audit", "authorized", "check", "shown"]


def audit(evidence: Evidence) -> list[Check]:
    """Every check of the books, whether it holds or not."""
    checks = [*orders.checks(evidence), *services.checks(evidence)]
    if evidence.unreadable:
        found = {"items": len(evidence.unreadable)}
        checks.append(Check("Unreadable", found, {"": 0}, tuple(evidence.unreadable)))
    return checks
