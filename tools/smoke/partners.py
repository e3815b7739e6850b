"""The carrier of a stage with sandbox partners: the smoke test signs its callbacks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tools.demo.carrier import callback, signed
from tools.smoke.stage import ApiReply, Stage

_SECRET = "AWS::SecretsManager::Secret"
_STRIPE, _EASYPOST = ("Payments", _SECRET, "StripeKey"), ("Shipping", _SECRET, "EasyPostKey")


def has_real_provider(stage: Stage) -> bool:
    """Whether the stage charges customers: it has the key of a payment provider."""
    return stage.find(*_STRIPE) is not None


def has_real_carrier(stage: Stage) -> bool:
    """Whether the stage ships parcels: it has the key of a carrier."""
    return stage.find(*_EASYPOST) is not None


def report_parcel(
    stage: Stage, order: Mapping[str, Any], kind: str, headers: Mapping[str, str]
) -> ApiReply:
    """Reports as the sandbox carrier that the parcel of an order was `picked_up` or `delivered`.

    The sandbox knows a parcel by its order. A repeated report has the same id. It is signed at the
    time of the last step in the order's history: the clock of this machine may differ.
    """
    steps = order["history"]
    tracking_id = next(each["tracking_id"] for each in steps if "tracking_id" in each)
    at = datetime.fromisoformat(steps[-1]["at"])
    secret = stage.resource("Shipping", _SECRET, "CarrierSecret")
    value = stage.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    body = callback(order["order_id"], tracking_id, kind, f"{tracking_id}-{kind}")
    sent = {**headers, **signed(body, value, at=at)}
    return stage.ask("POST", "/carrier/events", body=body, headers=sent)
