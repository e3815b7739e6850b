"""The staff: sets prices, decides about returns, and reads the sales."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from cdk_rehearsal import HttpResponse, Record, Rehearsal
from lambdas.inventory.price_store import AT_ONCE
from lambdas.shared.staff import CUSTOMER_CLAIM, NO_CUSTOMER
from tools.demo.stock_file import CatalogueItem

_LOOKS, _LOOK_AGAIN_S = 30, 1.0
_THINKS_S = 2.0


class UnexpectedAnswer(AssertionError):
    """The API gave another answer than its caller needs."""


def require(answer: HttpResponse, status: int) -> HttpResponse:
    """Returns the answer. Raises UnexpectedAnswer if it has another status."""
    if answer.status != status:
        raise UnexpectedAnswer(f"{answer.status} instead of {status}: {answer.body}")
    return answer


@dataclass
class Staff:
    """A clerk who approves about two of three returns: which ones depends on the order's id."""

    shop: Rehearsal
    decided: dict[str, bool] = field(default_factory=dict)
    """Whether the return was approved, by order."""
    by_hand: set[str] = field(default_factory=set)
    """The orders whose returns are left to the viewer."""

    def on_record(self, record: Record) -> None:
        """Reviews a return once it was requested."""
        if record.kind == "published":
            event = record.detail["event"]
            if event["detail-type"] == "ReturnRequested.v2":
                order_id = event["detail"]["data"]["order_id"]
                if order_id not in self.by_hand:
                    self.shop.spawn(self._review, order_id, name="staff")

    def _review(self, order_id: str) -> None:
        for _ in range(_LOOKS):
            self.shop.scheduler.sleep(_LOOK_AGAIN_S)
            waiting = self.ask("GET", "/returns?waiting=true").json()["returns"]
            if order_id in {each["order_id"] for each in waiting}:
                break
        self.ask("POST", f"/returns/{order_id}/review")
        self.shop.scheduler.sleep(_THINKS_S)
        approved = UUID(order_id).int % 3 < 2
        answer = self.ask("POST", f"/returns/{order_id}/decision", decision_body(approved=approved))
        if answer.status < 400:
            self.decided[order_id] = approved

    def price(
        self, items: Sequence[CatalogueItem], *, bounds: Mapping[str, int] | None = None
    ) -> None:
        """Sets the prices of items, and approves those that wait. Raises UnexpectedAnswer."""
        for start in range(0, len(items), AT_ONCE):
            prices = [
                {
                    "sku": item.sku,
                    "unit_price_minor": item.unit_price_minor,
                    "currency": item.currency,
                    "bounds": bounds,
                }
                for item in items[start : start + AT_ONCE]
            ]
            answer = require(self.ask("PUT", "/prices", {"prices": prices}), 200)
            self.approve([view for view in answer.json()["prices"] if view["proposal"]])

    def approve(self, views: Iterable[Mapping[str, Any]]) -> None:
        """Approves prices that wait, as a colleague. Raises UnexpectedAnswer."""
        for view in views:
            decision = {"number": view["proposal"]["number"], "approved": True, "reason": "other"}
            body = {"sku": view["sku"], **decision}
            require(self.ask("POST", "/prices/decision", body, clerk="clerk-2"), 200)

    def sales(self, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        """Yields the sales of a period, by minute and item."""
        query = {"from": _instant(start), "to": _instant(end)}
        while True:
            answer = require(self.ask("GET", f"/sales?{urlencode(query)}"), 200).json()
            yield from answer["sales"]
            if not answer.get("next"):
                return
            query["after"] = answer["next"]

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        clerk: str = "clerk-1",
    ) -> Any:
        """Sends a request with a clerk's token."""
        # Tokens expire after an hour.
        token = staff_token(self.shop, clerk)
        headers = {"authorization": f"Bearer {token}"}
        return self.shop.http.request(method, path, headers=headers, body=body)


def decision_body(*, approved: bool, reason: str = "used") -> dict[str, object]:
    """Returns the body of a decision about a return. An approval has no reason."""
    return {"approved": approved} if approved else {"approved": approved, "reason": reason}


def staff_token(
    shop: Rehearsal,
    clerk: str = "clerk-1",
    *,
    customer_id: str | None = NO_CUSTOMER,
    **claims: Any,
) -> str:
    """Returns the ID token of a clerk whose own customer account is `customer_id`.

    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
    """
    return shop.token(
        clerk, authorizer="Staff", **{"token_use": "id", CUSTOMER_CLAIM: customer_id, **claims}
    )


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
