"""The staff: decides about returns, and looks at the sales."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cdk_rehearsal import Record, Rehearsal

_LOOKS, _LOOK_AGAIN_S = 30, 1.0
_THINKS_S = 2.0


class UnexpectedAnswer(AssertionError):
    """The API answered something else than a caller can go on with."""


@dataclass
class Staff:
    """One clerk, who approves two returns and refuses the third, and so on."""

    shop: Rehearsal
    decided: dict[str, bool] = field(default_factory=dict)
    """By order: whether the return was approved."""

    def seen(self, record: Record) -> None:
        """Attends to a return that somebody wants."""
        if record.kind == "published":
            event = record.detail["event"]
            if event["detail-type"] == "ReturnRequested.v1":
                order_id = event["detail"]["data"]["order_id"]
                self.shop.spawn(self._attend, order_id, name="staff")

    def _attend(self, order_id: str) -> None:
        for _ in range(_LOOKS):
            self.shop.scheduler.sleep(_LOOK_AGAIN_S)
            waiting = self.ask("GET", "/returns").json()["returns"]
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
        """What was sold and looked at in that time, per minute and item."""
        query = {"from": _instant(start), "to": _instant(end)}
        while True:
            response = self.ask("GET", f"/sales?{urlencode(query)}")
            if response.status != 200:
                raise UnexpectedAnswer(f"{response.status} instead of 200: {response.body}")
            answer = response.json()
            yield from answer["sales"]
            if not answer.get("next"):
                return
            query["after"] = answer["next"]

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        """A request with the clerk's token."""
        # Tokens are valid for an hour: who comes back after days has to sign in again.
        token = self.shop.token("clerk-1", **{"cognito:groups": ["staff"]})
        headers = {"authorization": f"Bearer {token}"}
        return self.shop.http.request(method, path, headers=headers, body=body)


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
