"""Sweep payments: reports authorizations that end before their parcels leave."""

from lambdas.eventing import pending, sweep, telemetry
from lambdas.eventing.consumer import consumer
from lambdas.eventing.declaration import PUT
from lambdas.eventing.event import Delivery
from lambdas.payments import payment_store
from lambdas.payments.events import AuthorizationExpiring, PaymentSweepDue


@consumer(PaymentSweepDue, publishes=(AuthorizationExpiring,), uses=(*pending.FIND, PUT))
def handler(delivery: Delivery[PaymentSweepDue]) -> None:
    """Needs no inbox: a payment is reported once, and not if it changed since it was read."""
    for payments in sweep.in_time(payment_store.expiring(), delivery):
        if expiring := payment_store.expire(payments, delivery):
            telemetry.count("ExpiringAuthorizations", expiring)
