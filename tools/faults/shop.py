"""The rehearsed shop as its customers, partners and staff use it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

from cdk_rehearsal import HttpResponse, Rehearsal
from cdk_rehearsal.replays import Span, replay, retained
from lambdas.notifications.events import Channel
from lambdas.orders.domain import order_id_for
from tools.demo.carrier import add_parcels, callback, carrier_secret, ledger_of, send_callback
from tools.demo.customers import CUSTOMERS, RETURN_REASON, no_answer, preferences_body
from tools.demo.evidence import Evidence, count_sales, gather
from tools.demo.orders_file import ADDRESS
from tools.demo.partner import PARTNER, WebhookPartner
from tools.demo.staff import Staff, UnexpectedAnswer, decision_body, require
from tools.demo.stock_file import CatalogueItem
from tools.demo.stores import places_with
from tools.demo.stripe_host import send_event, stripe_of
from tools.demo.supplier import SupplierFile, files_of, hand_in, reports
from tools.faults.state import ShopState

__all__ = ["BUS", "PRICE", "ROUTES", "RehearsedShop", "UnexpectedAnswer"]

BUS = "Backbone/Bus"
ROUTES = ("AWS::Events::Rule", "AWS::EventsV2::Subscriber")
"""The types of resources that route events from a bus."""
PRICE = 1250
_PATIENCE_S = 20 * 86_400.0
"""Virtual seconds after which nothing is retried any more."""
_OFTEN_DAYS = 5
"""Outboxes keep events for longer."""
_TRIES, _PAUSE_S = 12, 20.0
"""The number of requests of a patient caller, and the virtual seconds between them."""


class _PatientStaff(Staff):
    """Staff who repeat requests without an answer."""

    def __init__(self, shop: "RehearsedShop") -> None:
        super().__init__(shop.rehearsal)
        self._ask_on = shop.ask_on

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        *,
        clerk: str = "clerk-1",
    ) -> HttpResponse:
        """See `Staff`."""
        ask = super().ask
        return self._ask_on(lambda: ask(method, path, body, clerk=clerk))


class RehearsedShop(ShopState):
    """A rehearsal of the application with the actions of customers, carrier, staff and suppliers.

    The carrier and the staff act only on request. If `patient`, callers repeat a request that gets
    no answer, as clients must.
    """

    def __init__(self, rehearsal: Rehearsal, *, patient: bool = False) -> None:
        super().__init__(rehearsal)
        self.round = "first"
        """The round of scenarios. Each round uses other orders."""
        self._tries = _TRIES if patient else 1
        self.staff = _PatientStaff(self)
        self.partner = WebhookPartner(rehearsal)
        self.partner.open()
        self.carrier = ledger_of(rehearsal)
        self.stripe = stripe_of(rehearsal)
        """The payment provider's host; None if the stage has the sandbox."""
        self.known = Evidence()
        """What the outside world knows: its requests and the answers."""
        self.delivered = set[str]()
        """The names of suppliers' files."""
        self._selective = set[str]()
        """Addresses that get only some notification types. The audit leaves them out."""
        self._opened = datetime.now(UTC)
        self._visits: set[str] = set()
        self._parcels: dict[str, str] = {}

    def key(self, name: str) -> str:
        """Returns the name of an order, visit or item in this round."""
        return f"{name}-{self.round}"

    # -- suppliers ------------------------------------------------------------------------

    def receive(self, quantities: Mapping[str, int], *, price: int = PRICE, **options: Any) -> None:
        """Hands in a supplier's file, lets staff set the prices, and waits until orders knows them.

        See `supply`.
        """
        self.supply(quantities, price=price, **options)
        self.settle()
        self.price(quantities, price)
        self.settle()

    def supply(
        self, quantities: Mapping[str, int], *, delivery: str = "delivery-1", price: int = PRICE
    ) -> None:
        """Hands in a supplier's file with these units, for items that will have this price."""
        (file,) = files_of([_item(sku, price, quantity) for sku, quantity in quantities.items()])
        self.hand_in(replace(file, name=delivery), quantities)

    def price(
        self,
        skus: Iterable[str],
        price: int = PRICE,
        *,
        bounds: Mapping[str, int] | None = None,
    ) -> None:
        """Lets staff set the price of some items. Raises UnexpectedAnswer."""
        self.staff.price([_item(sku, price) for sku in skus], bounds=bounds)

    def is_priced(self, sku: str) -> bool:
        """Whether staff know a price of an item."""
        answer = self.staff.ask("GET", f"/prices?{urlencode({'sku': sku})}")
        return answer.status == 200 and answer.json()["unit_price_minor"] is not None

    def approve(self, sku: str) -> None:
        """Lets staff approve the price of an item that waits. Raises UnexpectedAnswer."""
        views = require(self.staff.ask("GET", "/prices/proposals"), 200).json()["prices"]
        self.staff.approve([view for view in views if view["sku"] == sku])

    def hand_in(self, file: SupplierFile, right: Mapping[str, int]) -> None:
        """Hands in a supplier's file whose correct rows have these units."""
        hand_in(self.rehearsal, [file])
        self.delivered.add(file.name)
        self.known.files += 1
        self.known.rows += file.rows
        self.known.supplied = dict(Counter(self.known.supplied) + Counter(right))

    # -- customers ------------------------------------------------------------------------

    def order(
        self,
        lines: Mapping[str, int],
        *,
        key: str = "key-1",
        token: str = "tok_approve",
        customer: str = "customer-1",
        address: Mapping[str, str] = ADDRESS,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """Posts an order, and returns the answer."""
        body = {
            "currency": "EUR",
            "lines": [
                {"sku": sku, "quantity": quantity, "unit_price_minor": PRICE}
                for sku, quantity in lines.items()
            ],
            "shipping_address": address,
            "payment_token": token,
        }
        sent = {"idempotency-key": key, **(headers or {})}
        answer = self.request("POST", "/orders", customer, sent, body)
        if answer.status == 202:
            self.known.accepted.add(answer.json()["order_id"])
        elif no_answer(answer.status):
            self.known.unanswered.add(order_id_for(customer, key))
        return answer

    def place(self, lines: Mapping[str, int], **options: Any) -> str:
        """Posts an order, and returns its id. Raises UnexpectedAnswer if it is not accepted."""
        order_id: str = require(self.order(lines, **options), 202).json()["order_id"]
        return order_id

    def cancel(self, order_id: str, *, customer: str = "customer-1") -> HttpResponse:
        """Requests a cancellation."""
        answer = self.request("DELETE", f"/orders/{order_id}", customer)
        if answer.status == 200:
            self.known.cancelled.add(order_id)
        return answer

    def view(self, order_id: str, *, customer: str = "customer-1") -> dict[str, Any]:
        """Returns an order as its customer sees it."""
        answer = require(self.request("GET", f"/orders/{order_id}", customer), 200)
        view: dict[str, Any] = answer.json()
        return view

    def prefer(
        self,
        *channels: Channel,
        customer: str = "customer-1",
        occasions: list[str] | None = None,
    ) -> None:
        """Sets a customer's channels, for all notification types or some (`occasions`)."""
        addresses = {
            Channel.EMAIL: f"{customer}@example.com",
            Channel.SMS: f"+4930{crc32(customer.encode()):010}",
            Channel.WEBHOOK: f"https://{PARTNER}/{customer}",
        }
        wanted = {channel: addresses[channel] for channel in channels}
        options = {"occasions": occasions} if occasions else {}
        body = preferences_body(wanted, **options)
        require(self.request("PUT", "/preferences", customer, body=body), 200)
        if occasions:
            self._selective.update(wanted.values())
        else:
            self.known.preferences[customer] = wanted

    def browse(self, sku: str, *, visit: str = "visit-1", customer: str = "customer-1") -> None:
        """Views an item, and puts two units of it into the cart."""
        seen = {"sku": sku, "unit_price_minor": PRICE, "currency": "EUR"}
        activities = [
            {"activity_id": f"{visit}-1", "kind": "viewed", **seen},
            {"activity_id": f"{visit}-2", "kind": "added_to_cart", "quantity": 2, **seen},
        ]
        body = {"activities": activities}
        require(self.request("POST", "/activity", customer, body=body), 202)
        if visit not in self._visits:
            self._visits.add(visit)
            self.known.activity.update({("viewed", sku): 1, ("added_to_cart", sku): 2})

    def give_back(self, order_id: str, *, customer: str = "customer-1") -> HttpResponse:
        """Requests a return."""
        path = f"/orders/{order_id}/returns"
        answer = self.request("POST", path, customer, body={"reason": RETURN_REASON})
        if answer.status == 202:
            self.known.return_requests.add(order_id)
        return answer

    def erase(self, customer: str, *values: str) -> HttpResponse:
        """Requests the erasure of a customer's data; `values` occur only in them."""
        answer = self.request("POST", "/erasure", customer)
        if answer.status == 202:
            self.known.erasure_requests[customer] = values
        return answer

    def request(
        self,
        method: str,
        path: str,
        customer: str,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> HttpResponse:
        """Sends a request of a customer who is signed in."""

        def send() -> HttpResponse:
            # Tokens expire after an hour.
            token = self.rehearsal.token(customer, authorizer=CUSTOMERS)
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
        """Sends a callback of the carrier. The same event has the same id each time."""
        body = callback(
            self.carrier.parcel_id(order_id),
            tracking_id or self.tracking_id(order_id),
            kind,
            event_id or f"{order_id}-{kind}",
        )

        self.carrier.move(order_id, kind)

        def send() -> HttpResponse:
            return send_callback(self.rehearsal, body, secret or carrier_secret(self.rehearsal))

        # A carrier sends its event again until it is taken.
        return self.ask_on(send, again=lambda status: status != 200)

    def tracking_id(self, order_id: str) -> str | None:
        """Returns the carrier's id of a parcel, or None if the carrier has no parcel."""
        if order_id not in self._parcels:
            for event in self.on_bus("ShipmentRequested.v1", subject=order_id):
                self._parcels.setdefault(order_id, str(event.data["tracking_id"]))
        return self._parcels.get(order_id)

    def deliver(self, order_id: str) -> None:
        """Reports that the carrier picked up and delivered a parcel, if it has one."""
        if self.tracking_id(order_id):
            for kind in ("picked_up", "delivered"):
                require(self.report(order_id, kind), 200)

    def hand_over(self, order_id: str) -> None:
        """Delivers a parcel, if the carrier has one, without a callback yet."""
        self.carrier.hand_over(order_id)

    def report_payment(
        self,
        type_: str,
        subject: Mapping[str, Any],
        *,
        event_id: str,
        secret: str | None = None,
        age: timedelta = timedelta(),
    ) -> HttpResponse:
        """Sends an event of the payment provider. The same event has the same id each time."""
        event = {"id": event_id, "type": type_, "data": {"object": subject}}
        at = datetime.now(UTC) - age
        return self.ask_on(
            lambda: send_event(self.rehearsal, event, secret=secret, at=at if age else None)
        )

    def decide(self, order_id: str, *, approved: bool, reason: str = "used") -> HttpResponse:
        """Decides about a return. An approval has no reason."""
        body = decision_body(approved=approved, reason=reason)
        answer = self.staff.ask("POST", f"/returns/{order_id}/decision", body)
        if answer.status == 200:
            self.known.decided[order_id] = approved
        return answer

    # -- time and failures ----------------------------------------------------------------

    def settle(self) -> None:
        """Runs until everything in progress has succeeded or was given up."""
        self.rehearsal.run_until_idle(limit_s=_PATIENCE_S)

    def pass_time(self, **duration: float) -> None:
        """Lets virtual time pass. Takes the arguments of `timedelta`."""
        self.rehearsal.run_for(timedelta(**duration).total_seconds())

    def pass_until(self, moment: datetime) -> None:
        """Lets virtual time pass until `moment`, unless it is past."""
        self.pass_time(seconds=max(0.0, (moment - datetime.now(UTC)).total_seconds()))

    def pass_days(self, days: int) -> None:
        """Lets days pass, and keeps for the audit what the outboxes delete meanwhile."""
        for passed in range(0, days, _OFTEN_DAYS):
            self.keep_committed()
            self.pass_time(days=min(_OFTEN_DAYS, days - passed))

    def keep_committed(self) -> None:
        """Keeps for the audit the events that the outboxes have now, and delete later."""
        self.known.committed |= gather(self.rehearsal, Evidence()).committed

    def pause(self, function: str) -> None:
        """Disables the event source mappings of a function, by its path."""
        self._switch(function, on=False)

    def resume(self, function: str) -> None:
        """Enables the event source mappings of a function."""
        self._switch(function, on=True)

    def _switch(self, function: str, *, on: bool) -> None:
        client = self.rehearsal.client("lambda")
        name = self.rehearsal.physical_id(function)
        for mapping in client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)

    @property
    def is_custom(self) -> bool:
        """Whether the bus is a Custom Event Bus."""
        return ":event-busv2/" in self.rehearsal.physical_id(BUS)

    def publish(self, *, source: str, type_: str, detail: str) -> None:
        """Puts an event on the bus, beside the outboxes: it may be there already."""
        entry = {"Source": source, "DetailType": type_, "Detail": detail}
        bus = self.rehearsal.physical_id(BUS)
        if self.is_custom:
            custom = self.rehearsal.client("eventbridgev2")
            answer = custom.put_events(EventBusArn=bus, Entries=[entry])
        else:
            classic = self.rehearsal.client("events")
            answer = classic.put_events(Entries=[{"EventBusName": bus, **entry}])
        if answer["FailedEntryCount"]:
            raise UnexpectedAnswer(f"the bus refuses {entry}: {answer['Entries']}")

    def replay(self, consumer: str) -> None:
        """Delivers all retained events again by the rule or subscriber at a path, or below it."""
        (rule,) = (
            resource.path
            for resource in self.rehearsal.resources
            if resource.type in ROUTES and f"{resource.path}/".startswith(f"{consumer}/")
        )
        now = datetime.now(UTC)
        if ":subscriber/" in (arn := self.rehearsal.physical_id(rule)):
            bus = self.rehearsal.client("eventbridgev2")
            all_time = Span(self._opened - timedelta(days=1), now + timedelta(minutes=1))
            stated = bus.describe_subscriber(SubscriberArn=arn)
            replay(bus, arn, retained(bus, stated["EventBusArn"], all_time))
            return
        events = self.rehearsal.client("events")
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

    # -- evidence -------------------------------------------------------------------------

    def sent(self) -> dict[Channel, Counter[str]]:
        """Returns the messages that customers received, by channel and address."""
        return self.partner.sent_messages()

    def sales(self) -> list[Mapping[str, Any]]:
        """Returns the sales that the staff sees, since the beginning."""
        # Whole minutes: otherwise, two ranges share a minute, or the last one is empty.
        start, end = _minute(self._opened), _minute(datetime.now(UTC)) + timedelta(minutes=2)
        rows: list[Mapping[str, Any]] = []
        while start < end:
            until = min(start + timedelta(hours=23), end)
            rows += self.staff.sales(start, until)
            start = until
        return rows

    def evidence(self) -> Evidence:
        """Returns the evidence for the audit: what the outside world and the tables say."""
        evidence = deepcopy(self.known)
        evidence.reports = reports(self.rehearsal)
        if self.stripe:
            self.stripe.add_to(evidence)
        for channel, messages in self.sent().items():
            evidence.sent[channel] = Counter(
                {to: count for to, count in messages.items() if to not in self._selective}
            )
        add_parcels(self.carrier, evidence)
        gather(self.rehearsal, evidence)
        # Last, because these requests take time, in which a schedule may fire.
        count_sales(evidence, self.sales())
        erased = [
            value
            for customer, values in evidence.erasure_requests.items()
            if evidence.erasures.get(customer) == "completed"
            for value in values
        ]
        if erased:
            evidence.traces += places_with(self.rehearsal, erased)
        return evidence

    def ask_on(
        self, send: Callable[[], HttpResponse], *, again: Callable[[int], bool] = no_answer
    ) -> HttpResponse:
        """Sends a request. If patient, repeats it until there is an answer."""
        answer = send()
        for _ in range(self._tries - 1):
            if not again(answer.status):
                break
            self.rehearsal.scheduler.sleep(_PAUSE_S)
            answer = send()
        return answer


def _item(sku: str, price: int, quantity: int = 0) -> CatalogueItem:
    return CatalogueItem(sku=sku, quantity=quantity, unit_price_minor=price, currency="EUR")


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
