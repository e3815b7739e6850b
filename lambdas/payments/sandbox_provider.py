"""A payment provider for trials: the payment token determines its answer.

`tok_approve` approves, `tok_decline` declines, `tok_flaky_N` is unavailable N times and then
approves, `tok_timeout` never answers. With `pm_card_authenticationRequired`, the bank asks the
customer to authenticate. Any other token is declined. It keeps its own records, as a real provider
does, so that the audit can compare them with the shop's.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.payments.provider import (
    AuthenticationRequired,
    Declined,
    NoLongerHeld,
    Settlement,
    Unavailable,
)

PATIENCE_S = 2.0
"""Timeout of a call to this provider, in seconds."""
HOLD = timedelta(days=7)
"""How long an amount is held, as with cards."""

_FLAKY = re.compile(r"tok_flaky_(\d{1,4})")


class SandboxProvider:
    """Implements `PaymentProvider` on a table that stands for the provider's system.

    The id of a payment is that of its order.
    """

    def __init__(self, table_name: str) -> None:
        self._table_name = table_name

    def open(self, order_id: str, *, amount_minor: int, currency: str) -> str:
        """See `PaymentProvider`."""
        self._change(
            order_id,
            "SET kind = :kind, asked_minor = :amount, currency = :currency",
            {":kind": "authorization", ":amount": amount_minor, ":currency": currency},
        )
        return order_id

    def authorize(self, payment_id: str, *, token: str) -> datetime:
        """See `PaymentProvider`. Counts every attempt."""
        entry = self._change(payment_id, "ADD attempts :one", {":one": 1})
        match entry.get("status"):
            case None:
                return self._hold(payment_id, token, entry["attempts"])
            case "cancelled":
                raise Declined("the authorization was cancelled")
        return datetime.fromisoformat(entry["authorized_until"])

    def capture(self, payment_id: str) -> None:
        """See `PaymentProvider`."""
        entry = self._change(
            payment_id,
            "SET #status = :captured",
            {":captured": "captured", ":authorized": "authorized", ":now": _now().isoformat()},
            condition="#status = :captured OR #status = :authorized AND authorized_until > :now",
        )
        if entry is None:
            raise NoLongerHeld("the authorization expired or was cancelled")

    def order_of(self, payment_id: str) -> str | None:
        """See `PaymentProvider`."""
        return payment_id

    def release(self, payment_id: str) -> Settlement:
        """See `PaymentProvider`."""
        values = {":captured": "captured", ":refunded": "refunded"}
        taken = "#status IN (:captured, :refunded)"
        if self._change(payment_id, "SET #status = :refunded", values, condition=taken):
            return Settlement.REFUNDED
        entry = self._change(
            payment_id,
            "SET #status = :cancelled, kind = :kind",
            {**values, ":cancelled": "cancelled", ":kind": "authorization"},
            condition=f"attribute_not_exists(#status) OR NOT {taken}",
        )
        if entry is None:
            raise Unavailable("another call about the payment is under way")
        return Settlement.RELEASED if "amount_minor" in entry else Settlement.NOTHING

    def _hold(self, payment_id: str, token: str, attempt: int) -> datetime:
        if token == "tok_timeout":
            time.sleep(PATIENCE_S)
            raise Unavailable(f"no answer within {PATIENCE_S} s")
        flaky = _FLAKY.fullmatch(token)
        if flaky and attempt <= int(flaky[1]):
            raise Unavailable("try again later")
        if token == "pm_card_authenticationRequired":
            raise AuthenticationRequired("the bank asks the customer to authenticate")
        if not flaky and token != "tok_approve":
            raise Declined(f"declined {token}" if token == "tok_decline" else "unknown token")
        until = _now() + HOLD
        entry = self._change(
            payment_id,
            "SET #status = :authorized, amount_minor = asked_minor, authorized_until = :until",
            {":authorized": "authorized", ":until": until.isoformat()},
            condition="attribute_not_exists(#status)",
        )
        if entry is None:
            raise Unavailable("another call about the payment is under way")
        return until

    def _change(
        self, payment_id: str, expression: str, values: Item, *, condition: str | None = None
    ) -> Any:
        """Changes an entry and returns it, or None if `condition` does not hold."""
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": to_attributes({"pk": payment_id}),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": to_attributes(values),
            "ReturnValues": "ALL_NEW",
        }
        if condition:
            request["ConditionExpression"] = condition
            request["ExpressionAttributeNames"] = {"#status": "status"}
        try:
            return from_attributes(aws.dynamodb().update_item(**request)["Attributes"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise


def _now() -> datetime:
    return datetime.now(UTC)
