"""A carrier for trials: the postal code determines what happens to the parcel.

| postal code | what happens                                                        |
|-------------|---------------------------------------------------------------------|
| `FLAKY-N`   | requests are answered with "try later" N times, and then as usual   |
| `LOST`      | the carrier takes the request and never reports anything            |
| `HASTY`     | the delivery is reported before the pick-up                         |
| `STUTTER`   | everything is reported twice                                        |
| any other   | the pick-up is reported, and then the delivery                      |

It knows a parcel by the id of its order. It keeps its own records, as a real carrier does, so that
the audit can compare them with the shop's. It sends no callbacks itself. The program that plays the
carrier reads the `reports` to send about a parcel, in their order, from these records, and calls
`hand_over` when it is delivered.
"""

import re
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from lambdas.eventing import aws
from lambdas.eventing.attributes import Item, from_attributes, to_attributes
from lambdas.orders.events import Address
from lambdas.shipping.carrier import TooLate, Unavailable
from lambdas.shipping.domain import Report

_FLAKY = re.compile(r"FLAKY-([0-9]{1,4})")
_USUAL = [Report.PICKED_UP.value, Report.DELIVERED.value]
_REPORTS = {"LOST": [], "HASTY": _USUAL[::-1], "STUTTER": [_USUAL[0]] * 2 + [_USUAL[1]] * 2}


def way_of(postal_code: str) -> list[str]:
    """Returns the kinds of the reports about a parcel to a postal code, in their order."""
    return list(_REPORTS.get(postal_code, _USUAL))


class Recalled(Exception):
    """The parcel was recalled: it is not to be delivered."""


class SandboxCarrier:
    """Implements `Carrier` on a table that stands for the carrier's system."""

    def __init__(self, table_name: str) -> None:
        self._table_name = table_name

    def open(self, order_id: str, *, address: Address, units: int) -> str:
        """See `Carrier`."""
        self._change(
            order_id,
            "SET kind = if_not_exists(kind, :kind), units = if_not_exists(units, :units),"
            " postal_code = if_not_exists(postal_code, :postal_code)",
            {":kind": "parcel", ":units": units, ":postal_code": address.postal_code},
        )
        return order_id

    def buy(self, parcel_id: str) -> str:
        """See `Carrier`. Counts every attempt."""
        entry = self._change(parcel_id, "ADD attempts :one", {":one": 1})
        if "tracking_id" not in entry:
            postal_code = entry.get("postal_code", "")
            flaky = _FLAKY.fullmatch(postal_code)
            if flaky and entry["attempts"] <= int(flaky[1]):
                raise Unavailable("try again later")
            entry = self._accept(parcel_id, postal_code)
        return str(entry["tracking_id"])

    def recall(self, parcel_id: str) -> None:
        """See `Carrier`."""
        self._change(
            parcel_id,
            "SET #status = :recalled",
            {":recalled": "recalled", ":delivered": "delivered"},
            condition="attribute_not_exists(#status) OR #status <> :delivered",
            otherwise=TooLate(Report.DELIVERED),
        )

    def order_of(self, parcel_id: str) -> str | None:
        """See `Carrier`."""
        return parcel_id

    def hand_over(self, parcel_id: str) -> None:
        """Hands the parcel to the customer. Raises Recalled if it is not to be delivered."""
        self._change(
            parcel_id,
            "SET #status = :delivered",
            {":delivered": "delivered", ":recalled": "recalled"},
            condition="attribute_exists(tracking_id) AND #status <> :recalled",
            otherwise=Recalled(f"parcel {parcel_id} is not to be delivered"),
        )

    def _accept(self, parcel_id: str, postal_code: str) -> Item:
        return self._change(
            parcel_id,
            "SET #status = :accepted, tracking_id = :tracking_id, reports = :reports",
            {
                ":accepted": "accepted",
                ":tracking_id": f"SANDBOX-{uuid4().hex[:12].upper()}",
                ":reports": way_of(postal_code),
            },
            condition="attribute_not_exists(tracking_id)",
            otherwise=Unavailable("another call for the same parcel is under way"),
        )

    def _change(
        self,
        parcel_id: str,
        expression: str,
        values: Item,
        *,
        condition: str | None = None,
        otherwise: Exception | None = None,
    ) -> Item:
        """Changes an entry and returns it. Raises `otherwise` if `condition` does not hold."""
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": to_attributes({"pk": parcel_id}),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": to_attributes(values),
            "ReturnValues": "ALL_NEW",
        }
        if condition:
            request["ConditionExpression"] = condition
        if "#status" in expression:
            request["ExpressionAttributeNames"] = {"#status": "status"}
        try:
            return from_attributes(aws.dynamodb().update_item(**request)["Attributes"])
        except ClientError as error:
            if otherwise and error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise otherwise from error
            raise
