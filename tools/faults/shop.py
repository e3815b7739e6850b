"""The shop as its customers, its partners and its accountant see it."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zlib import crc32

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.services.http_api import HttpResponse
from lambdas.eventing.signature import HEADER, sign
from lambdas.inventory.domain import ReceivedItem
from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.demo.carrier import SECRET
from tools.demo.customers import no_answer
from tools.demo.evidence import CARRIER, TABLES, Evidence, gather
from tools.demo.partner import PARTNER, Partner
from tools.demo.staff import Staff, UnexpectedAnswer
from tools.demo.supplier import File, files_of, hand_in, reports
from tools.faults.ledger import Ledger

ADDRESS = {
    "name": "A. Customer",
    "street": "Main Street 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}
__all__ = ["BUS", "PRICE", "REASON", "Shop", "UnexpectedAnswer"]

BUS = "Backbone/Bus"
PRICE = 1250
REASON = "it is not what I thought"
_PATIENCE_S = 20 * 86_400.0
"""Longer than anything is tried here."""
_TRIES, _PAUSE_S = 12, 20.0
"""How often somebody patient asks the same, and the virtual seconds before they ask again."""

_ADDRESS_FIELDS = {Channel.EMAIL: "address", Channel.SMS: "phone", Channel.WEBHOOK: "url"}


class _Staff(Staff):
    """The staff, who ask again like the shop's other visitors."""

    def __init__(self, shop: "Shop") -> None:
        super().__init__(shop.rehearsal)
        self._ask_on = shop.ask_on

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> HttpResponse:
        """A request with the clerk's token."""
        ask = super().ask
        return self._ask_on(lambda: ask(method, path, body))


class Shop(Ledger):
    """A rehearsal of the application, with the words of the shop.

    No carrier calls back by itself, and nobody decides about returns: whoever uses it says who does
    what. With `patient` all those outside ask again when they get no proper answer, as they have
    to.
    """

    def __init__(self, rehearsal: Rehearsal, *, patient: bool = False) -> None:
        super().__init__(rehearsal)
        self.round = "first"
        """Which telling of the stories this is: those of another one are of other orders."""
        self._tries = _TRIES if patient else 1
        self.staff = _Staff(self)
        self.partner = Partner(rehearsal)
        self.partner.open()
        self.known = Evidence()
        """What those outside know: what they sent, and what they were told."""
        self._choosy = set[str]()
        """Addresses of those who want to hear of some occasions: the books know nothing of that."""
        self._opened = datetime.now(UTC)
        self._visits: set[str] = set()
        self._parcels: dict[str, str] = {}

    def key(self, name: str) -> str:
        """The name, in this round, of an order or of whatever else a story is about."""
        return f"{name}-{self.round}"

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
        elif no_answer(answer.status):
            self.known.unanswered.add(order_id_for(customer, key))
        return answer

    def place(self, lines: Mapping[str, int], **options: str) -> str:
        """Posts an order that is accepted, and returns its id."""
        answer = self.order(lines, **options)
        _require(answer, 202)
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
        _require(answer, 200)
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
        _require(answer, 200)
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
        _require(answer, 202)
        if visit not in self._visits:
            self._visits.add(visit)
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

        def send() -> HttpResponse:
            # Tokens are valid for an hour: who asks for long has to sign in again.
            token = self.rehearsal.token(customer)
            signed_in = {"authorization": f"Bearer {token}", **(headers or {})}
            return self.rehearsal.http.request(method, path, headers=signed_in, body=body)

        return self.ask_on(send)

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

        def send() -> HttpResponse:
            signature = sign(secret or self.carrier_secret(), body.encode(), at=datetime.now(UTC))
            return self.rehearsal.http.request(
                "POST", "/carrier/events", headers={HEADER: signature}, body=body
            )

        # 409: a request about the parcel is under way.
        return self.ask_on(send, again=lambda status: no_answer(status) or status == 409)

    def tracking_id(self, order_id: str) -> str | None:
        """What the carrier calls the parcel; None if it does not know of one."""
        if order_id not in self._parcels:
            for event in self.on_bus("ShipmentRequested.v1", subject=order_id):
                self._parcels.setdefault(order_id, str(event.data["tracking_id"]))
        return self._parcels.get(order_id)

    def deliver(self, order_id: str) -> None:
        """Has the carrier pick a parcel up and deliver it, if it knows of one."""
        if self.tracking_id(order_id):
            for kind in ("picked_up", "delivered"):
                answer = self.report(order_id, kind)
                _require(answer, 200)

    def hand_over(self, order_id: str) -> None:
        """Has the carrier deliver a parcel, if it has one, without telling the shop yet."""
        client = self.rehearsal.client("dynamodb")
        try:
            client.update_item(
                TableName=self.rehearsal.physical_id(CARRIER),
                Key={"pk": {"S": order_id}},
                UpdateExpression="SET #status = :delivered",
                ConditionExpression="#status = :accepted",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":accepted": {"S": "accepted"},
                    ":delivered": {"S": "delivered"},
                },
            )
        except client.exceptions.ConditionalCheckFailedException:
            return

    def decide(self, order_id: str, *, approved: bool, note: str = "looked at") -> HttpResponse:
        """Has the clerk decide about a return."""
        wish = {"approved": approved, "note": note}
        answer = self.staff.ask("POST", f"/returns/{order_id}/decision", wish)
        if answer.status == 200:
            self.known.decided[order_id] = approved
        return answer

    # -- time and failures ----------------------------------------------------------------

    def settle(self) -> None:
        """Lets everything happen that is under way, until it succeeds or is given up."""
        self.rehearsal.run_until_idle(limit_s=_PATIENCE_S)

    def pass_time(self, **duration: float) -> None:
        """Lets virtual time pass: `days=2`, as for `timedelta`."""
        self.rehearsal.run_for(timedelta(**duration).total_seconds())

    def pass_days(self, days: float) -> None:
        """Lets days pass in which nobody looks for stuck orders, as otherwise each half hour."""
        scheduler = self.rehearsal.client("scheduler")
        schedule = scheduler.get_schedule(
            Name=self.rehearsal.physical_id("Orders/SweepOrders/Schedule"),
            GroupName=self.rehearsal.physical_id("Orders/SweepOrders/Group"),
        )
        kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        request = {name: schedule[name] for name in kept}
        scheduler.update_schedule(**request, State="DISABLED")
        self.pass_time(days=days)
        scheduler.update_schedule(**request, State="ENABLED")

    def pause(self, function: str) -> None:
        """Switches off what feeds a function, by its path, from queues and streams."""
        self._switch(function, on=False)

    def resume(self, function: str) -> None:
        """Switches it on again."""
        self._switch(function, on=True)

    def _switch(self, function: str, *, on: bool) -> None:
        client = self.rehearsal.client("lambda")
        name = self.rehearsal.physical_id(function)
        for mapping in client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)

    def replay(self, rule: str) -> None:
        """Sends all that was archived so far to one rule, by its path, once more."""
        events, now = self.rehearsal.client("events"), datetime.now(UTC)
        (archive,) = (r for r in self.rehearsal.resources if r.type == "AWS::Events::Archive")
        rule_arn = self.rehearsal.resource(rule, "AWS::Events::Rule").attributes["Arn"]
        bus = self.rehearsal.resource(BUS).attributes["Arn"]
        events.start_replay(
            ReplayName=f"replay-{len(events.list_replays()['Replays'])}",
            EventSourceArn=archive.attributes["Arn"],
            EventStartTime=self._opened - timedelta(days=1),
            EventEndTime=now + timedelta(minutes=1),
            Destination={"Arn": bus, "FilterArns": [rule_arn]},
        )

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
                "EventBusName": self.rehearsal.physical_id(BUS),
                "Source": item["source"],
                "DetailType": item["detail_type"],
                "Detail": item["detail"],
            }
            bus.put_events(Entries=[entry])
        self.settle()

    # -- books ----------------------------------------------------------------------------

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

    def ask_on(
        self, send: Callable[[], HttpResponse], *, again: Callable[[int], bool] = no_answer
    ) -> HttpResponse:
        """Asks, and with patience asks again until the answer is one."""
        answer = send()
        for _ in range(self._tries - 1):
            if not again(answer.status):
                break
            self.rehearsal.scheduler.sleep(_PAUSE_S)
            answer = send()
        return answer

    def carrier_secret(self) -> str:
        """What the carrier signs with."""
        secrets = self.rehearsal.client("secretsmanager")
        answer = secrets.get_secret_value(SecretId=self.rehearsal.physical_id(SECRET))
        return str(answer["SecretString"])


def _require(answer: HttpResponse, status: int) -> None:
    if answer.status != status:
        raise UnexpectedAnswer(f"{answer.status} instead of {status}: {answer.body}")
