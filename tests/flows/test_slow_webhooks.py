"""Slow webhook hosts of some customers do not delay the calls to the other customers."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from cdk_rehearsal import Host, Request, Response
from lambdas.eventing.event import Cause, CloudEvent
from lambdas.orders.events import OrderRejected, RejectionReason
from tests.flows.shop import Shop

ON_TIME_S = 60.0
"""The longest delay of a call that is on time, in seconds from the event."""
SHARE = 0.99
OTHERS = 30
"""Customers whose hosts answer at once. They get an event every four seconds, for ten minutes."""
EVENTS = 150


@dataclass
class Calls:
    """Events of customers, and the calls to their webhooks."""

    shop: Shop
    hosts: dict[str, Host] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    """The time of each event, by order."""
    delays: dict[str, float] = field(default_factory=dict)
    """Seconds from an event to the first call about it, by order."""

    def open(self, customer: str) -> Host:
        """Sets a customer's webhook; returns its host, which answers at once."""
        name = f"{customer}.example"
        address = f"93.184.217.{len(self.hosts)}"
        body = {"webhook": {"url": f"https://{name}/orders"}}
        assert self.shop.request("PUT", "/preferences", customer, body=body).status == 200
        self.hosts[customer] = self.shop.rehearsal.web.host(name, self._called, addresses=[address])
        return self.hosts[customer]

    def tell(self, customer: str) -> str:
        """Publishes an event about which a customer is notified; returns its order."""
        event = OrderRejected(
            order_id=str(uuid4()), customer_id=customer, reason=RejectionReason.OUT_OF_STOCK
        )
        envelope = CloudEvent.wrap(event, Cause(correlation_id=event.order_id))
        self.shop.publish(source=envelope.source, type_=envelope.type, detail=envelope.to_json())
        self.published[event.order_id] = time.time()
        return event.order_id

    def share_on_time(self) -> float:
        """Notifies the other customers; returns the share of their calls that are on time."""
        others = [f"other-{number}" for number in range(OTHERS)]
        for customer in others:
            self.open(customer)
        orders = []
        for number in range(EVENTS):
            self.shop.pass_time(seconds=4)
            orders.append(self.tell(others[number % OTHERS]))
        self.shop.pass_time(seconds=ON_TIME_S)
        return sum(self.delays.get(order, ON_TIME_S + 1) <= ON_TIME_S for order in orders) / EVENTS

    def _called(self, request: Request) -> Response:
        order = json.loads(request.body)["subject"]
        self.delays.setdefault(order, time.time() - self.published[order])
        return 204, {}, b""


def drips(host: Host) -> None:
    """A byte each second: no timeout of a read ends the call."""
    host.drip_s = 1.0


def never_connects(host: Host) -> None:
    host.on_connect = "silent"


def answers_late(host: Host) -> None:
    """Before the timeout of a read, and it accepts the message."""

    def respond(_: Request) -> Response:
        time.sleep(2.9)
        return 204, {}, b""

    host.respond = respond


@pytest.mark.parametrize("slow", [drips, never_connects, answers_late])
def test_while_a_host_is_slow_99_percent_of_the_other_calls_are_on_time(
    shop: Shop, slow: Callable[[Host], None]
) -> None:
    calls = Calls(shop)
    slow(calls.open("slow"))
    for _ in range(600):
        calls.tell("slow")
    assert calls.share_on_time() >= SHARE


def test_while_ten_hosts_drip_99_percent_of_the_other_calls_are_on_time(shop: Shop) -> None:
    calls = Calls(shop)
    for number in range(10):
        drips(calls.open(f"slow-{number}"))
    for customer in list(calls.hosts) * 30:
        calls.tell(customer)
    assert calls.share_on_time() >= SHARE


def test_a_customer_gets_each_message_after_the_host_was_slow_for_half_an_hour(
    shop: Shop,
) -> None:
    calls = Calls(shop)
    host = calls.open("slow")
    drips(host)
    for _ in range(100):
        calls.tell("slow")
    shop.pass_time(minutes=30)
    host.drip_s = 0
    host.requests.clear()
    shop.settle()
    assert len({request.headers["idempotency-key"] for request in host.requests}) == 100
    assert not shop.parked()
