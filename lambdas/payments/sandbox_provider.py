"""A payment provider for trials: the payment token determines its answer.

`tok_approve` approves, `tok_decline` declines, `tok_flaky_N` is unavailable N times and then
approves, `tok_timeout` never answers. Any other token is declined. It keeps its own records, as a
real provider does, so that the audit can compare them with the shop's.
"""

import re
import time
from typing import Any

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.payments.provider import Declined, Unavailable

PATIENCE_S = 2.0
"""Timeout of a call to this provider, in seconds."""

_FLAKY = re.compile(r"tok_flaky_(\d{1,4})")


class SandboxProvider:
    """Implements `PaymentProvider` on a table that stands for the provider's system."""

    def __init__(self, table_name: str) -> None:
        self._table_name = table_name

    def authorize(
        self, idempotency_key: str, *, token: str, amount_minor: int, currency: str
    ) -> None:
        """See `PaymentProvider`. Counts every attempt."""
        entry = self._change(
            idempotency_key,
            "SET kind = if_not_exists(kind, :kind) ADD attempts :one",
            {":kind": "authorization", ":one": 1},
        )
        if entry.get("status") == "authorized":
            return
        if entry.get("status") == "cancelled":
            raise Declined("the authorization was cancelled")
        if token == "tok_timeout":
            time.sleep(PATIENCE_S)
            raise Unavailable(f"no answer within {PATIENCE_S} s")
        flaky = _FLAKY.fullmatch(token)
        if flaky and entry["attempts"] <= int(flaky[1]):
            raise Unavailable("try again later")
        if not flaky and token != "tok_approve":
            raise Declined(f"declined {token}" if token == "tok_decline" else "unknown token")
        try:
            self._change(
                idempotency_key,
                "SET #status = :authorized, amount_minor = :amount, currency = :currency",
                {
                    ":authorized": "authorized",
                    ":amount": amount_minor,
                    ":currency": currency,
                },
                condition="attribute_not_exists(#status)",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            raise Unavailable("another call for the same key is under way") from error

    def cancel(self, idempotency_key: str) -> bool:
        """See `PaymentProvider`."""
        entry = self._change(
            idempotency_key,
            "SET #status = :cancelled, kind = if_not_exists(kind, :kind)",
            {":cancelled": "cancelled", ":kind": "authorization"},
        )
        return "amount_minor" in entry

    def _change(
        self,
        idempotency_key: str,
        expression: str,
        values: Item,
        *,
        condition: str | None = None,
    ) -> Item:
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": to_attributes({"pk": idempotency_key}),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": to_attributes(values),
            "ReturnValues": "ALL_NEW",
        }
        if "#status" in expression:
            request["ExpressionAttributeNames"] = {"#status": "status"}
        if condition:
            request["ConditionExpression"] = condition
        return from_attributes(aws.dynamodb().update_item(**request)["Attributes"])
