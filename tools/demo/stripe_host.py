"""Stripe, as the shop sees it: the documented part of its API, its own ledger, and its events.

It remembers idempotency keys for 24 hours, and holds amounts for seven days. The payment tokens of
the demo decide about confirmations: `tok_approve`, `tok_decline`, `tok_flaky_N` (N times 503) and
`tok_timeout` (no answer). The bank of Stripe's test card `pm_card_authenticationRequired` asks the
customer to authenticate.

https://docs.stripe.com/api/idempotent_requests
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
https://docs.stripe.com/testing#regulatory-cards
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cdk_rehearsal import HttpResponse, Rehearsal, Request, Response
from lambdas.eventing.signature import STRIPE, sign
from tools.demo.evidence import Evidence, ProviderEntry
from tools.demo.partner_host import PartnerHost

NAME = "api.stripe.com"
KEY, SIGNING_SECRET = "Payments/StripeKey", "Payments/ProviderSecret"
_ADDRESS = "192.31.196.7"
"""A global address without a host: https://www.iana.org/assignments/iana-ipv4-special-registry/"""
_VERSIONS = re.compile(r"\d{4}-\d\d-\d\d(\.[a-z]+)?")
_KEYS_LAST = timedelta(hours=24)
_HOLD = timedelta(days=7)
_SILENCE_S = 80.0
_EVENT_TRIES, _EVENT_PAUSE_S = 8, 30.0
_FLAKY = re.compile(r"tok_flaky_(\d{1,4})")
_OPEN = {"requires_payment_method", "requires_confirmation"}
_AUTHENTICATES = "pm_card_authenticationRequired"
_DOCUMENTED = ("open", "confirm", "capture", "cancel", "refund", "find")

Form = Mapping[str, str]


@dataclass
class Intent:
    """A PaymentIntent and its charge."""

    id: str
    order_id: str
    amount: int
    currency: str
    created: datetime
    status: str = "requires_payment_method"
    held: bool = False
    """Whether the amount was ever held."""
    captured: bool = False
    refunded: int = 0
    attempts: int = 0
    disputes: dict[str, str] = field(default_factory=dict)
    """The status of each dispute, by id."""
    refunds: dict[str, int] = field(default_factory=dict)
    """The amount of each refund, by id."""
    failed_refunds: dict[str, int] = field(default_factory=dict)
    """The amounts of those that came back."""

    @property
    def held_until(self) -> datetime:
        """The time after which the amount is released."""
        return self.created + _HOLD

    @property
    def charge(self) -> dict[str, Any] | None:
        """The charge, as the API returns it."""
        if not self.held:
            return None
        return {
            "id": self.id.replace("pi_", "ch_"),
            "object": "charge",
            "amount": self.amount,
            "amount_refunded": self.refunded,
            "captured": self.captured,
            "currency": self.currency,
            "metadata": {"order_id": self.order_id},
            "payment_intent": self.id,
            "payment_method_details": {
                "type": "card",
                "card": {"brand": "visa", "capture_before": int(self.held_until.timestamp())},
            },
            "refunded": self.refunded == self.amount,
            "status": "succeeded",
        }

    def document(self, *, expanded: bool = True) -> dict[str, Any]:
        """Returns the PaymentIntent, as the API returns it."""
        charge = self.charge
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "capture_method": "manual",
            "created": int(self.created.timestamp()),
            "currency": self.currency,
            "latest_charge": charge if expanded or charge is None else charge["id"],
            "metadata": {"order_id": self.order_id},
            "status": self.status,
        }


@dataclass(frozen=True)
class _Remembered:
    request: tuple[str, str]
    response: Response
    until: datetime


class StripeError(Exception):
    """An error of the API: status and fields of the error object."""

    def __init__(
        self, status: int, type_: str, code: str = "", param: str = "", **more: Any
    ) -> None:
        super().__init__(code or type_)
        fields = {"type": type_, "code": code, "param": param, "message": f"{type_} {code}", **more}
        self.response = _json(status, {"error": {k: v for k, v in fields.items() if v}})


class StripeHost(PartnerHost):
    """The host of the API, with the dashboard's actions and the events for the shop."""

    def __init__(self, shop: Rehearsal) -> None:
        super().__init__()
        self.shop = shop
        self.intents: dict[str, Intent] = {}
        self.without_key: list[str] = []
        """Changes that came without an idempotency key."""
        self.events: list[dict[str, Any]] = []
        """The events that it sent."""
        self.answers: dict[str, HttpResponse] = {}
        """The shop's last answer to each event, by id."""
        self.undelivered: list[dict[str, Any]] = []
        """The events that the shop has not taken, although they were repeated."""
        self._keys: dict[str, _Remembered] = {}
        self.host = shop.web.host(NAME, self.respond, addresses=[_ADDRESS])

    # -- the API --------------------------------------------------------------------------

    def respond(self, request: Request) -> Response:
        """Answers a request."""
        path = urlsplit(request.target).path
        operation, intent_id = _route(request.method, path)

        def answer() -> Response:
            try:
                return self._answer(request, operation, intent_id)
            except StripeError as error:
                return error.response

        return self.received(operation, answer)

    def _answer(self, request: Request, operation: str, intent_id: str) -> Response:
        self._admit(request, operation)
        form = _form(request)
        if operation == "find":
            return _json(200, self._intent(intent_id).document(expanded="expand[]" in form))
        key = request.headers.get("idempotency-key", "")
        if not key:
            self.without_key.append(f"{request.method} {request.target}")
        sent = (request.target, request.body.decode())
        if known := self._remembered(key):
            if known.request != sent:
                raise StripeError(400, "idempotency_error")
            return known.response
        if operation == "confirm":
            self._before_execution(self._intent(intent_id), form)
        try:
            response = _json(200, self._execute(operation, intent_id, form))
        except StripeError as error:
            response = error.response
        if key:
            until = datetime.now(UTC) + _KEYS_LAST
            self._keys[key] = _Remembered(sent, response, until)
        return response

    def _admit(self, request: Request, operation: str) -> None:
        """Raises StripeError for a request without a valid key and version, and to other paths."""
        if not request.is_tls or request.headers.get("authorization") != f"Bearer {self._key}":
            raise StripeError(401, "invalid_request_error")
        if not _VERSIONS.fullmatch(request.headers.get("stripe-version", "")):
            raise StripeError(400, "invalid_request_error", param="Stripe-Version")
        if operation not in _DOCUMENTED:
            raise StripeError(404, "invalid_request_error")

    def remember(self, request_key: str, response: Response) -> None:
        """Replaces the saved answer of a key, as after an error in the middle of a request."""
        known = self._keys[request_key]
        self._keys[request_key] = _Remembered(known.request, response, known.until)

    def _remembered(self, key: str) -> _Remembered | None:
        known = self._keys.get(key)
        return known if known and known.until > datetime.now(UTC) else None

    def _before_execution(self, intent: Intent, form: Form) -> None:
        """Fails as an overloaded service does: nothing is remembered."""
        token = form.get("payment_method_data[card][token]", "")
        intent.attempts += 1
        if token == "tok_timeout":
            self.shop.scheduler.sleep(_SILENCE_S)
        flaky = _FLAKY.fullmatch(token)
        if token == "tok_timeout" or (flaky and intent.attempts <= int(flaky[1])):
            raise StripeError(503, "api_error")

    def _execute(self, operation: str, intent_id: str, form: Form) -> dict[str, Any]:
        match operation:
            case "open":
                return self._open(form)
            case "refund":
                return self._refund(self._intent(form.get("payment_intent", "")))
        intent = self._intent(intent_id)
        {"confirm": self._confirm, "capture": self._capture, "cancel": self._cancel}[operation](
            intent, form
        )
        return intent.document(expanded="expand[]" in form)

    def _open(self, form: Form) -> dict[str, Any]:
        amount = int(form["amount"])
        if not 50 <= amount <= 99_999_999:
            code = "amount_too_small" if amount < 50 else "amount_too_large"
            raise StripeError(400, "invalid_request_error", code, "amount")
        if form.get("capture_method") != "manual":
            raise StripeError(400, "invalid_request_error", param="capture_method")
        order_id = form["metadata[order_id]"]
        number = len(self.intents) + 1
        intent = Intent(f"pi_{number:06}", order_id, amount, form["currency"], datetime.now(UTC))
        self.intents[intent.id] = intent
        return intent.document()

    def _confirm(self, intent: Intent, form: Form) -> None:
        if intent.status not in _OPEN:
            raise self._unexpected(intent)
        token = form.get("payment_method_data[card][token]") or form.get("payment_method", "")
        if token == "tok_approve" or _FLAKY.fullmatch(token):
            intent.status, intent.held, intent.created = "requires_capture", True, datetime.now(UTC)
        elif token == _AUTHENTICATES and form.get("error_on_requires_action") == "true":
            raise StripeError(
                402,
                "card_error",
                "authentication_required",
                decline_code="authentication_not_handled",
                payment_intent=intent.document(),
            )
        elif token == _AUTHENTICATES:
            intent.status = "requires_action"
        elif token == "tok_decline":
            raise StripeError(
                402,
                "card_error",
                "card_declined",
                decline_code="generic_decline",
                payment_intent=intent.document(),
            )
        else:
            where = "payment_method_data[card][token]"
            raise StripeError(400, "invalid_request_error", "resource_missing", where)

    def _capture(self, intent: Intent, _: Form) -> None:
        if intent.status != "requires_capture":
            raise self._unexpected(intent)
        intent.status, intent.captured = "succeeded", True

    def _cancel(self, intent: Intent, _: Form) -> None:
        if intent.status not in {*_OPEN, "requires_action", "requires_capture"}:
            raise self._unexpected(intent)
        self._end(intent)

    def _refund(self, intent: Intent, amount: int | None = None) -> dict[str, Any]:
        if not intent.captured:
            raise StripeError(400, "invalid_request_error", "charge_not_captured")
        amount = intent.amount - intent.refunded if amount is None else amount
        if not 0 < amount <= intent.amount - intent.refunded:
            raise StripeError(400, "invalid_request_error", "charge_already_refunded")
        intent.refunded += amount
        refund_id = f"{intent.id.replace('pi_', 're_')}_{len(intent.refunds) + 1}"
        intent.refunds[refund_id] = amount
        self._send("charge.refunded", intent.charge or {})
        return self._refund_of(intent, refund_id, "succeeded")

    @staticmethod
    def _refund_of(intent: Intent, refund_id: str, status: str, **more: str) -> dict[str, Any]:
        return {
            "id": refund_id,
            "object": "refund",
            "amount": intent.refunds[refund_id],
            "charge": intent.id.replace("pi_", "ch_"),
            "currency": intent.currency,
            "payment_intent": intent.id,
            "status": status,
            **more,
        }

    def _end(self, intent: Intent) -> None:
        intent.status = "canceled"
        if intent.held:
            intent.refunded = intent.amount
        self._send("payment_intent.canceled", intent.document(expanded=False))

    def _intent(self, intent_id: str) -> Intent:
        """Returns a PaymentIntent as of now. Raises StripeError."""
        if intent_id not in self.intents:
            raise StripeError(404, "invalid_request_error", "resource_missing", "intent")
        intent = self.intents[intent_id]
        if intent.status == "requires_capture" and intent.held_until < datetime.now(UTC):
            self._end(intent)
        return intent

    @staticmethod
    def _unexpected(intent: Intent) -> StripeError:
        code = "payment_intent_unexpected_state"
        return StripeError(
            400, "invalid_request_error", code, payment_intent=intent.document(expanded=False)
        )

    # -- the dashboard --------------------------------------------------------------------

    def of_order(self, order_id: str) -> Intent:
        """Returns the payment of an order that holds or held money. Raises LookupError."""
        for intent in self.intents.values():
            if intent.order_id == order_id and intent.held:
                return intent
        raise LookupError(f"Stripe has no payment of order {order_id}")

    def has_captured(self, order_id: str) -> bool:
        """Whether the money of an order was captured, and is not refunded."""
        return any(
            intent.order_id == order_id and _state(intent) == "captured"
            for intent in self.intents.values()
        )

    def disputes_of(self, order_id: str) -> Mapping[str, str]:
        """Returns the status of each dispute of an order's payment, by id."""
        return self.of_order(order_id).disputes

    def refund(self, order_id: str, amount: int) -> None:
        """Staff refunds a part of a payment."""
        self._refund(self.of_order(order_id), amount)

    def fail_refunds(self, order_id: str) -> None:
        """The bank sends the refunds of an order back: the card is closed. Two events report each.

        https://docs.stripe.com/refunds#failed-refunds
        """
        for intent in self.intents.values():
            for refund_id in intent.refunds if intent.order_id == order_id else ():
                if refund_id not in intent.failed_refunds:
                    self._fail_refund(intent, refund_id)

    def _fail_refund(self, intent: Intent, refund_id: str) -> None:
        amount = intent.failed_refunds[refund_id] = intent.refunds[refund_id]
        intent.refunded -= amount
        reason = {"failure_reason": "expired_or_canceled_card"}
        refund = self._refund_of(intent, refund_id, "failed", **reason)
        for type_ in ("charge.refund.updated", "refund.failed"):
            self._send(type_, refund)

    def dispute(self, order_id: str) -> str:
        """The customer disputes a payment at the bank. Returns the id of the dispute."""
        intent = self.of_order(order_id)
        dispute_id = intent.id.replace("pi_", "du_")
        intent.disputes[dispute_id] = "needs_response"
        self._send("charge.dispute.created", self._dispute(intent, dispute_id))
        return dispute_id

    def close_dispute(self, order_id: str, *, won: bool) -> None:
        """The bank decides about the dispute of a payment."""
        intent = self.of_order(order_id)
        for dispute_id in intent.disputes:
            intent.disputes[dispute_id] = "won" if won else "lost"
            self._send("charge.dispute.closed", self._dispute(intent, dispute_id))

    @staticmethod
    def _dispute(intent: Intent, dispute_id: str) -> dict[str, Any]:
        return {
            "id": dispute_id,
            "object": "dispute",
            "amount": intent.amount,
            "charge": intent.id.replace("pi_", "ch_"),
            "currency": intent.currency,
            "payment_intent": intent.id,
            "reason": "product_not_received",
            "status": intent.disputes[dispute_id],
        }

    # -- events ---------------------------------------------------------------------------

    def _send(self, type_: str, subject: dict[str, Any]) -> None:
        event = {
            "id": f"evt_{len(self.events) + 1:06}",
            "object": "event",
            "created": int(datetime.now(UTC).timestamp()),
            "type": type_,
            "data": {"object": subject},
        }
        self.events.append(event)
        self.shop.spawn(self._deliver, event, name=f"Stripe {type_}")

    def _deliver(self, event: dict[str, Any]) -> None:
        """Sends an event until the shop takes it.

        Stripe tries for three days: https://docs.stripe.com/webhooks#retries
        """
        for attempt in range(_EVENT_TRIES):
            answer = self.answers[event["id"]] = send_event(self.shop, event)
            if answer.status < 300:
                return
            self.shop.scheduler.sleep(_EVENT_PAUSE_S * 2**attempt)
        self.undelivered.append(event)

    def resend(self) -> None:
        """Sends the undelivered events again, as the dashboard does on request."""
        while self.undelivered:
            event = self.undelivered.pop(0)
            self.shop.spawn(self._deliver, event, name=f"Stripe {event['type']} again")

    # -- evidence -------------------------------------------------------------------------

    def add_to(self, evidence: Evidence) -> None:
        """Adds the ledger to the evidence."""
        evidence.provider.update(self.entries())
        evidence.calls_without_key += self.without_key

    def entries(self) -> dict[str, ProviderEntry]:
        """Returns the ledger by order, as the audit reads it."""
        entries: dict[str, ProviderEntry] = {}
        for intent in self.intents.values():
            before = entries.get(intent.order_id)
            amount = intent.amount if intent.held else None
            if before and before.amount_minor is not None:
                if amount is None:
                    continue
                amount += before.amount_minor  # Two payments for one order are a finding.
            entries[intent.order_id] = ProviderEntry(
                pk=intent.id,
                state=_state(intent),
                amount_minor=amount,
                currency=intent.currency.upper(),
                attempts=intent.attempts,
                refunded_minor=intent.refunded if intent.captured else 0,
                disputes=dict(intent.disputes),
                failed_refunds=dict(intent.failed_refunds),
            )
        return entries

    @property
    def _key(self) -> str:
        return _secret(self.shop, KEY)


def provider_secret(shop: Rehearsal) -> str:
    """Returns the secret with which the payment provider signs its events."""
    return _secret(shop, SIGNING_SECRET)


def send_event(
    shop: Rehearsal,
    event: Mapping[str, Any],
    *,
    secret: str | None = None,
    at: datetime | None = None,
) -> HttpResponse:
    """Signs an event of the payment provider and sends it once."""
    body = json.dumps(event)
    headers = signed(body, secret or provider_secret(shop), at=at)
    return shop.http.request("POST", "/payments/events", headers=headers, body=body)


def signed(body: str, secret: str, *, at: datetime | None = None) -> dict[str, str]:
    """Returns the headers of an event of the payment provider."""
    signature = sign(secret, body.encode(), at=at or datetime.now(UTC))
    # Stripe adds signatures of other schemes.
    return {STRIPE.header: f"{signature},v0={'0' * 64}"}


def stripe_of(shop: Rehearsal) -> StripeHost | None:
    """Returns the host of the stage's payment provider, if that is Stripe, and makes it reachable.

    The sandbox keeps its records in a table instead.
    """
    uses_stripe = any(resource.path == KEY for resource in shop.resources)
    return StripeHost(shop) if uses_stripe else None


def _state(intent: Intent) -> str | None:
    if intent.captured and intent.refunded == intent.amount:
        return "refunded"
    if intent.captured:
        all_given_back = intent.refunded + sum(intent.failed_refunds.values()) == intent.amount
        return "refund_failed" if all_given_back else "captured"
    if intent.status == "requires_capture":
        return "authorized"
    return "cancelled" if intent.status == "canceled" else None


def _route(method: str, path: str) -> tuple[str, str]:
    """Returns the operation and the id in a path."""
    match method, path.removeprefix("/v1/").split("/"):
        case "POST", ["payment_intents"]:
            return "open", ""
        case "GET", ["payment_intents", intent_id]:
            return "find", intent_id
        case "POST", ["payment_intents", intent_id, operation]:
            return operation, intent_id
        case "POST", ["refunds"]:
            return "refund", ""
    return "unknown", ""


def _form(request: Request) -> Form:
    text = request.body.decode() or urlsplit(request.target).query
    return {name: values[-1] for name, values in parse_qs(text).items()}


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return status, {"content-type": "application/json"}, json.dumps(body)


def _secret(shop: Rehearsal, path: str) -> str:
    secrets = shop.client("secretsmanager")
    return str(secrets.get_secret_value(SecretId=shop.physical_id(path))["SecretString"])
