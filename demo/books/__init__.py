"""The books: what must be equal in the end, and where it is not."""

from demo.books import orders, services
from demo.books.check import Check
from demo.books.orders import Authorized, authorized
from demo.evidence import Evidence

__all__ = ["Authorized", "Check", "audit", "authorized"]


def audit(evidence: Evidence) -> list[Check]:
    """Every check of the books, whether it holds or not."""
    checks = [*orders.checks(evidence), *services.checks(evidence)]
    if evidence.unreadable:
        found = f"{len(evidence.unreadable):,} items"
        checks.append(Check("Unreadable", found, "none", tuple(evidence.unreadable)))
    return checks
