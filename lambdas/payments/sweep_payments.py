"""Sweep payments: reports authorizations that end before their parcels leave."""

from lambdas.eventing import pending, telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import PUT
from lambdas.eventing.event import Delivery
from lambdas.payments import payment_store
from lambdas.payments.events import AuthorizationExpiring, PaymentSweepDue

ROUNDS = 20
"""Maximum number of reads in one sweep; the next sweep continues."""
MOST = 100
"""Maximum number of payments in one read."""


@consumer(PaymentSweepDue, publishes=(AuthorizationExpiring,), uses=(*pending.FIND, PUT))
def handler(delivery: Delivery[PaymentSweepDue]) -> None:
    """Needs no inbox: a payment is reported once, and not if it changed since it was read."""
    for _ in range(ROUNDS):
        found = payment_store.expiring(limit=MOST)
        for payment in found:
            if payment_store.expire(payment, delivery):
                telemetry.count("ExpiringAuthorizations")
        if len(found) < MOST:
            return
