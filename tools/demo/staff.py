"""The staff: decides about returns, and reads the sales."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cdk_rehearsal import HttpResponse, Record, Rehearsal
from lambdas.shared.staff import CUSTOMER_CLAIM, NO_CUSTOMER

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
    """A clerk who approves two returns, refuses the third, and so on."""

    shop: Rehearsal
    decided: dict[str, bool] = field(default_factory=dict)
    """Whether the return was approved, by order."""

    def on_record(self, record: Record) -> None:
        """Reviews a return once it was requested."""
        if record.kind == "published":
            event = record.detail["event"]
            if event["detail-type"] == "ReturnRequested.v1":
                order_id = event["detail"]["data"]["order_id"]
                self.shop.spawn(self._review, order_id, name="staff")

    def _review(self, order_id: str) -> None:
        for _ in range(_LOOKS):
            self.shop.scheduler.sleep(_LOOK_AGAIN_S)
            waiting = self.ask("GET", "/returns?waiting=true").json()["returns"]
            if order_id in {each["order_id"] for each in waiting}:
                break
        self.ask("POST", f"/returns/{order_id}/review")
        self.shop.scheduler.sleep(_THINKS_S)
        approved = len(self.decided) % 3 < 2
        note = "as good as new" if approved else "it was worn"
        answer = self.ask(
            "POST", f"/returns/{order_id}/decision", {"approved": approved, "note": note}
        )
        if answer.status < 400:
            self.decided[order_id] = approved

    def sales(self, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        """Yields the sales of a period, by minute and item."""
        query = {"from": _instant(start), "to": _instant(end)}
        while True:
            answer = require(self.ask("GET", f"/sales?{urlencode(query)}"), 200).json()
            yield from answer["sales"]
            if not answer.get("next"):
                return
            query["after"] = answer["next"]

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        """Sends a request with the clerk's token."""
        # Tokens expire after an hour.
        token = staff_token(self.shop)
        headers = {"authorization": f"Bearer {token}"}
        return self.shop.http.request(method, path, headers=headers, body=body)


def staff_token(shop: Rehearsal, *, customer_id: str | None = NO_CUSTOMER, **claims: Any) -> str:
    """Returns the ID token of a clerk whose own customer account is `customer_id`.

    https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
    """
    return shop.token(
        "clerk-1", authorizer="Staff", **{"token_use": "id", CUSTOMER_CLAIM: customer_id, **claims}
    )


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
