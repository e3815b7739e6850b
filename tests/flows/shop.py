"""The shop as its customers, its partners and its accountant see it."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zlib import crc32

from demo.books import audit
from demo.carrier import SECRET
from demo.evidence import (
    ORDERS,
    PAYMENTS,
    PROVIDER,
    RETURNS,
    SHIPMENTS,
    STOCK,
    TABLES,
    BusEvent,
    Evidence,
    bus_event,
    gather,
)
from demo.partner import PARTNER, Partner
from demo.staff import Staff
from demo.supplier import File, files_of, hand_in, reports
from lambdas.eventing.attributes import Item, from_attributes
from lambdas.eventing.signature import HEADER, sign
from lambdas.inventory.domain import ReceivedItem
from lambdas.notifications.events import Channel
from rehearsal import Rehearsal
from rehearsal.http_api import HttpResponse

ADDRESS = {
    "name": "A. Customer",
    "street": "Main Street 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}
PRICE = 1250
REASON = "it is not what I thought"
FOREVER = 10_000
"""More times than anything is retried."""

_UNDER_WAY = re.compile(r"parcel of order .* is (requested|shipped), with 0 ends")
"""No fault here, though it is one in the demo, whose carrier brings each parcel to an end."""

_ADDRESS_FIELDS = {Channel.EMAIL: "address", Channel.SMS: "phone", Channel.WEBHOOK: "url"}


class Shop:
    """A rehearsal of the application, with the words of the shop.

    No carrier calls back by itself, and nobody decides about returns: tests say who does what.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.staff = Staff(rehearsal)
        self.partner = Partner(rehearsal)
        self.partner.open()
        self.known = Evidence()
        """What those outside know: what they sent, and what they were told."""
        self._choosy = set[str]()
        """Addresses of those who want to hear of some occasions: the books know nothing of that."""
        self._opened = datetime.now(UTC)

    # -- suppliers ------------------------------------------------------------------------

    def receive(self, quantities: Mapping[str, int], **options: Any) -> None:
        """Takes in a supplier's file, and waits until orders knows the prices. See `supply`."""
        self.supply(quantities, **options)
        self.settle()

    def supply(
        self, quantities: Mapping[str, int], *, delivery: str = "delivery-1", price: int = PRICE
    ) -> None:
        """Has a supplier hand in a file that is right."""
        items = [
            ReceivedItem(sku=sku, quantity=quantity, unit_price_minor=price, currency="EUR")
            for sku, quantity in quantities.items()
        ]
        (file,) = files_of(items)
        self.hand_in(replace(file, name=f"{delivery}.csv"), quantities)

    def hand_in(self, file: File, right: Mapping[str, int]) -> None:
        """Has a supplier hand in a file, in which these units stand in right rows."""
        hand_in(self.rehearsal, [file])
        self.known.files += 1
        self.known.rows += file.rows
        self.known.handed_in = dict(Counter(self.known.handed_in) + Counter(right))

    # -- customers ------------------------------------------------------------------------

    def order(
        self,
        lines: Mapping[str, int],
        *,
        key: str = "key-1",
        token: str = "tok_approve",
        customer: str = "customer-1",
    ) -> HttpResponse:
        """Posts an order and returns the answer at once."""
        body = {
            "currency": "EUR",
            "lines": [
                {"sku": sku, "quantity": quantity, "unit_price_minor": PRICE}
                for sku, quantity in lines.items()
            ],
            "shipping_address": ADDRESS,
            "payment_token": token,
        }
        answer = self.request("POST", "/orders", customer, {"idempotency-key": key}, body)
        if answer.status == 202:
            self.known.accepted.add(answer.json()["order_id"])
        return answer

    def place(self, lines: Mapping[str, int], **options: str) -> str:
        """Posts an order that is accepted, and returns its id."""
        answer = self.order(lines, **options)
        assert answer.status == 202, answer.body
        order_id: str = answer.json()["order_id"]
        return order_id

    def cancel(self, order_id: str, *, customer: str = "customer-1") -> HttpResponse:
        """Asks for a cancellation."""
        answer = self.request("DELETE", f"/orders/{order_id}", customer)
        if answer.status == 200:
            self.known.cancelled.add(order_id)
        return answer

    def view(self, order_id: str, *, customer: str = "customer-1") -> dict[str, Any]:
        """The order as the customer sees it."""
        answer = self.request("GET", f"/orders/{order_id}", customer)
        assert answer.status == 200, answer.body
        view: dict[str, Any] = answer.json()
        return view

    def status(self, order_id: str, *, customer: str = "customer-1") -> str:
        """The status that the customer sees."""
        return str(self.view(order_id, customer=customer)["status"])

    def history(self, order_id: str) -> list[str]:
        """The steps that the customer sees."""
        return [step["what"] for step in self.view(order_id)["history"]]

    def prefer(
        self,
        *channels: Channel,
        customer: str = "customer-1",
        occasions: list[str] | None = None,
    ) -> None:
        """Has a customer told on these channels, of all occasions or some."""
        addresses = {
            Channel.EMAIL: f"{customer}@example.com",
            Channel.SMS: f"+4930{crc32(customer.encode()):010}",
            Channel.WEBHOOK: f"https://{PARTNER}/{customer}",
        }
        body = {
            channel.value: {
                _ADDRESS_FIELDS[channel]: addresses[channel],
                **({"occasions": occasions} if occasions else {}),
            }
            for channel in channels
        }
        answer = self.request("PUT", "/preferences", customer, body=body)
        assert answer.status == 200, answer.body
        wanted = {channel: addresses[channel] for channel in channels}
        if occasions:
            self._choosy.update(wanted.values())
        else:
            self.known.preferences[customer] = wanted

    def browse(self, sku: str, *, visit: str = "visit-1", customer: str = "customer-1") -> None:
        """Looks at an item and puts two units of it into the cart."""
        seen = {"sku": sku, "unit_price_minor": PRICE, "currency": "EUR"}
        acts = [
            {"activity_id": f"{visit}-1", "kind": "viewed", **seen},
            {"activity_id": f"{visit}-2", "kind": "added_to_cart", "quantity": 2, **seen},
        ]
        answer = self.request("POST", "/activity", customer, body={"activities": acts})
        assert answer.status == 202, answer.body
        self.known.activity.update({("viewed", sku): 1, ("added_to_cart", sku): 2})

    def give_back(self, order_id: str, *, customer: str = "customer-1") -> HttpResponse:
        """Asks to give an order back."""
        path = f"/orders/{order_id}/returns"
        answer = self.request("POST", path, customer, body={"reason": REASON})
        if answer.status == 202:
            self.known.wanted_back.add(order_id)
        return answer

    def request(
        self,
        method: str,
        path: str,
        customer: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> HttpResponse:
        """Any request of a customer who is signed in."""
        token = self.rehearsal.token(customer)
        headers = {"authorization": f"Bearer {token}", **(headers or {})}
        return self.rehearsal.http.request(method, path, headers=headers, body=body)

    # -- carrier and staff ----------------------------------------------------------------

    def report(
        self,
        order_id: str,
        kind: str,
        *,
        tracking_id: str | None = None,
        event_id: str | None = None,
        secret: str | None = None,
    ) -> HttpResponse:
        """Has the carrier call back about a parcel; the same event has the same id each time."""
        told = {
            "event_id": event_id or f"{order_id}-{kind}",
            "order_id": order_id,
            "tracking_id": tracking_id or self.tracking_id(order_id),
            "kind": kind,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        body = json.dumps(told)
        signature = sign(secret or self.carrier_secret(), body.encode(), at=datetime.now(UTC))
        return self.rehearsal.http.request(
            "POST", "/carrier/events", headers={HEADER: signature}, body=body
        )

    def carrier_secret(self) -> str:
        """What the carrier signs with."""
        secrets = self.rehearsal.client("secretsmanager")
        answer = secrets.get_secret_value(SecretId=self.rehearsal.physical_id(SECRET))
        return str(answer["SecretString"])

    def tracking_id(self, order_id: str) -> str | None:
        """What the carrier calls the parcel; None if it does not know of one."""
        for event in self.on_bus("ShipmentRequested.v1"):
            if event.subject == order_id:
                return str(event.data["tracking_id"])
        return None

    def deliver(self, order_id: str) -> None:
        """Has the carrier pick a parcel up and deliver it, if it knows of one."""
        if self.tracking_id(order_id):
            for kind in ("picked_up", "delivered"):
                answer = self.report(order_id, kind)
                assert answer.status == 200, answer.body

    def decide(self, order_id: str, *, approved: bool, note: str = "looked at") -> HttpResponse:
        """Has the clerk decide about a return."""
        answer: HttpResponse = self.staff.ask(
            "POST", f"/returns/{order_id}/decision", {"approved": approved, "note": note}
        )
        if answer.status == 200:
            self.known.decided[order_id] = approved
        return answer

    # -- time and failures ----------------------------------------------------------------

    def settle(self) -> None:
        """Lets everything happen that is under way."""
        self.rehearsal.run_until_idle()

    def pass_time(self, **duration: float) -> None:
        """Lets virtual time pass: `days=2`, as for `timedelta`."""
        self.rehearsal.run_for(timedelta(**duration).total_seconds())

    def parked(self) -> dict[str, int]:
        """Messages in each dead-letter queue that has any."""
        depths = self.rehearsal.queue_depths()
        return {
            path: depths[path] for path in self.rehearsal.dead_letter_queues() if depths.get(path)
        }

    def redrive(self) -> None:
        """Brings back what was parked, and lets it happen."""
        for path in self.parked():
            self.rehearsal.redrive(path)
        self.settle()

    def tell_again(self) -> None:
        """Has everything that the contexts ever told delivered a second time."""
        bus = self.rehearsal.client("events")
        outboxes = [item for table in TABLES for item in self.items(table, "outbox")]
        for item in outboxes:
            entry = {
                "EventBusName": self.rehearsal.physical_id("Backbone/Bus"),
                "Source": item["source"],
                "DetailType": item["detail_type"],
                "Detail": item["detail"],
            }
            assert bus.put_events(Entries=[entry])["FailedEntryCount"] == 0
        self.settle()

    # -- books ----------------------------------------------------------------------------

    def items(self, table: str, kind: str | None = None) -> list[Item]:
        """Items of a table, by the table's path."""
        client = self.rehearsal.client("dynamodb")
        pages = client.get_paginator("scan").paginate(TableName=self.rehearsal.physical_id(table))
        items = [from_attributes(item) for page in pages for item in page["Items"]]
        return [item for item in items if kind in (None, item.get("kind"))]

    def stock(self) -> dict[str, tuple[int, int]]:
        """Units available and reserved, per SKU."""
        return {
            item["pk"].removeprefix("STOCK#"): (item["available"], item["reserved"])
            for item in self.items(STOCK, "stock")
        }

    def held(self) -> int:
        """Minor units that the shop's books say the provider holds."""
        payments = self.items(PAYMENTS, "payment")
        return sum(item["amount_minor"] for item in payments if item["state"] == "authorized")

    def held_by_provider(self) -> int:
        """Minor units that the provider's own book says it holds."""
        entries = self.items(PROVIDER)
        return sum(item["amount_minor"] for item in entries if item["status"] == "authorized")

    def statuses(self) -> Counter[str]:
        """How many orders have which status."""
        return Counter(item["status"] for item in self.items(ORDERS, "order"))

    def shipment(self, order_id: str) -> str | None:
        """The state of an order's shipment."""
        states = {
            item["pk"].removeprefix("SHIPMENT#"): item["state"]
            for item in self.items(SHIPMENTS, "shipment")
        }
        return states.get(order_id)

    def returned(self, order_id: str) -> str | None:
        """The state of an order's return."""
        states = {item["order_id"]: item["state"] for item in self.items(RETURNS, "return")}
        return states.get(order_id)

    def published(self) -> Counter[str]:
        """Events in the outboxes, by detail-type."""
        return Counter(
            item["detail_type"] for table in TABLES for item in self.items(table, "outbox")
        )

    def on_bus(self, *types: str) -> list[BusEvent]:
        """Events of these types, or all, that have reached the bus."""
        events = (record.detail["event"] for record in self.rehearsal.meter.of("published"))
        return [
            bus_event(event["detail-type"], event["detail"])
            for event in events
            if not types or event["detail-type"] in types
        ]

    def sent(self) -> dict[Channel, Counter[str]]:
        """Messages that arrived outside, by channel and address."""
        emails = chain.from_iterable(mail.to_addresses for mail in self.rehearsal.sent_email)
        return {
            Channel.EMAIL: Counter(emails),
            Channel.SMS: Counter(sms.phone_number for sms in self.rehearsal.sent_sms),
            Channel.WEBHOOK: Counter(
                f"https://{PARTNER}{path}" for path in self.partner.received.values()
            ),
        }

    def sales(self) -> list[Mapping[str, Any]]:
        """What the staff is shown of all minutes since the beginning."""
        start, now = self._opened, datetime.now(UTC) + timedelta(minutes=1)
        rows: list[Mapping[str, Any]] = []
        while start < now:
            end = min(start + timedelta(hours=23), now)
            rows += self.staff.sales(start.replace(second=0), end)
            start = end
        return rows

    def evidence(self) -> Evidence:
        """What those outside know, and what the shop's own tables say."""
        evidence = deepcopy(self.known)
        evidence.reports = reports(self.rehearsal)
        for channel, messages in self.sent().items():
            evidence.sent[channel] = Counter(
                {to: count for to, count in messages.items() if to not in self._choosy}
            )
        for row in self.sales():
            sku = row["sku"]
            evidence.sold_units[sku] += row["units"]
            for currency, amount in row["revenue_minor"].items():
                evidence.sold_for[sku, currency] += amount
            evidence.counted_activity["viewed", sku] += row["views"]
            evidence.counted_activity["added_to_cart", sku] += row["added_to_cart"]
        return gather(self.rehearsal, evidence)

    def assert_books_balance(self) -> None:
        """Nothing lost, nothing twice: the books of all contexts agree, and nothing is parked."""
        faults = [
            fault
            for check in audit(self.evidence())
            for fault in check.faults
            if not _UNDER_WAY.search(fault)
        ]
        assert not faults, "\n".join(faults)
        assert not self.parked(), self.parked()


class Broken(Exception):
    """What a test makes a handler raise."""


def place_some_orders(shop: Shop, name: str = "some") -> None:
    """Four orders for items of their own: two end well, one lacks money and one lacks stock."""
    shop.receive({f"MUG-{name}": 2, f"CUP-{name}": 50}, delivery=name)
    for number, token in enumerate(["tok_approve", "tok_decline", "tok_flaky_1", "tok_approve"]):
        shop.place({f"MUG-{name}": 1, f"CUP-{name}": 2}, key=f"{name}-{number}", token=token)


def confirmed_order(shop: Shop, sku: str) -> str:
    """An order of one of five units, whose parcel the carrier knows of."""
    shop.receive({sku: 5}, delivery=sku)
    order_id = shop.place({sku: 1}, key=sku)
    shop.settle()
    assert shop.shipment(order_id) == "requested"
    return order_id


def order_wanted_back(shop: Shop, sku: str) -> str:
    """An order that was delivered, and whose return waits for a decision."""
    order_id = confirmed_order(shop, sku)
    shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.returned(order_id) == "awaiting"
    return order_id
