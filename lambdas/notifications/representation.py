"""Preferences as their customer sees them."""

from typing import Any

import msgspec

from lambdas.eventing.secret import secret
from lambdas.notifications.domain import Preferences, signing_secret
from lambdas.notifications.settings import settings


def represent(customer_id: str, wishes: Preferences) -> dict[str, Any]:
    """The preferences, and beside a webhook's URL what its customer checks signatures with."""
    view: dict[str, Any] = msgspec.to_builtins(wishes)
    if view["webhook"]:
        master = secret(settings().webhook_secret_arn)
        view["webhook"]["signing_secret"] = signing_secret(master, customer_id)
    return view
