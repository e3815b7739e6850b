"""Removes what a run has created, and what stopped runs have left."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from lambdas.orders.domain import CANCELLABLE, OPEN
from tools.smoke.accounts import Account
from tools.smoke.hops import hops
from tools.smoke.partners import has_real_carrier, report_parcel
from tools.smoke.run import Run, StepFailed, require

LEFT_AFTER = timedelta(hours=1)
"""The age at which an account is one of a stopped run: its token has expired."""
ERASING = hops(
    *("Privacy/RequestErasure", "Privacy/ErasuresRelay", "Privacy/StartErasure"),
    *("Orders/CheckOrders", "Privacy/DeleteAccount"),
)
"""The hops that an erasure passes."""


def erase(run: Run, customer: Account, staff: Account) -> None:
    """Ends the orders of a synthetic customer, and has the shop erase the customer.

    The account is deleted at once, and the personal data an hour later. Raises StepFailed.
    """

    def closed() -> bool:
        still_open = [order for order in orders_of(run, customer) if _is_open(order)]
        for order in still_open:
            # Again, if the API has refused it: many orders exceed the limit of its route.
            _end(run, order, customer, staff)
        return not still_open

    run.wait(closed, *ERASING)
    require(run.ask("POST", "/erasure", customer.token), 202)

    def gone() -> bool:
        found = require(run.ask("GET", "/erasure", customer.token), 200)
        if found["state"] == "refused":
            raise StepFailed(f"the erasure was refused: {found['reason']}")
        return not run.accounts.exists(customer)

    run.wait(gone, *ERASING)


def remove_left(
    run: Run, staff: Account, older_than: timedelta | None = LEFT_AFTER
) -> Iterator[str]:
    """Erases customers and deletes staff that stopped runs have left. Yields what was done."""
    for email, sub in [*run.accounts.left_customers(older_than)]:
        try:
            erase(run, run.accounts.again(email, sub), staff)
        except StepFailed as failure:
            yield f"{email} of an earlier run stays: {failure}"
        else:
            yield f"{email} of an earlier run is erased"
    for pool, email in [*run.accounts.left_staff(older_than)]:
        if email != staff.email:
            run.accounts.delete(pool, email)
            yield f"{email} of an earlier run is deleted"


def orders_of(run: Run, customer: Account) -> list[Any]:
    """Returns all orders of a customer, as the API represents them. Raises StepFailed."""
    found: list[Any] = []
    query = ""
    while True:
        page = require(run.ask("GET", f"/orders{query}", customer.token), 200)
        found += page["orders"]
        if page["next"] is None:
            return found
        query = f"?{urlencode({'after': page['next']})}"


def _steps(order: Any) -> set[str]:
    return {step["what"] for step in order["history"]}


def _is_open(order: Any) -> bool:
    returning = {"return_requested"} & _steps(order)
    return order["status"] in OPEN or bool(
        returning and not {"returned", "return_refused"} & _steps(order)
    )


def _end(run: Run, order: Any, customer: Account, staff: Account) -> None:
    """Ends an order at which an earlier step has failed, as far as that is possible."""
    order_id = order["order_id"]
    if order["status"] in CANCELLABLE:
        run.ask("DELETE", f"/orders/{order_id}", customer.token)
    elif order["status"] == "shipped" and not has_real_carrier(run.stage):
        report_parcel(run.stage, order, "delivered", run.trace)
    elif _is_open(order):
        run.ask("POST", f"/returns/{order_id}/review", staff.token)
        run.ask("POST", f"/returns/{order_id}/decision", staff.token, {"approved": True})
