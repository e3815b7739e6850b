"""Stripe as payment provider: PaymentIntents with manual capture.

A PaymentIntent is created, its id is stored, and only then it is confirmed. So every later call
finds it by its id, however late it comes. Each call but the first looks at the PaymentIntent before
it changes anything: Stripe remembers idempotency keys for 24 hours, and a redrive may be weeks
later. See docs/decisions/0044-stripe-through-a-thin-client.md.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from lambdas.eventing import telemetry
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.eventing.partner import Failed, Limited, NoAnswer, Partner, Refused, Timeouts
from lambdas.eventing.secret import secret
from lambdas.payments.provider import (
    AuthenticationRequired,
    Declined,
    NoLongerHeld,
    Settlement,
    Unavailable,
)

T = TypeVar("T")

HOST = "api.stripe.com"
VERSION = "2026-06-24.dahlia"
"""The version of the API that this module is written for.
https://docs.stripe.com/api/versioning"""

HOLD = timedelta(days=7)
"""How long Stripe holds an amount if the charge does not say.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method"""

_BRISK = Timeouts(connect_s=1.0, read_s=3.0, total_s=3.0)
_BANK = Timeouts(connect_s=1.0, read_s=7.0, total_s=7.0)
"""For a confirmation, which waits for the customer's bank."""

LONGEST_S: Mapping[str, float] = {
    "open": _BRISK.total_s,
    "authorize": _BRISK.total_s + _BANK.total_s,
    "capture": 2 * _BRISK.total_s,
    "order_of": _BRISK.total_s,
    "release": 2 * _BRISK.total_s,
}
"""The longest time that each operation takes, in seconds."""

_EXPANDED = {"expand[]": "latest_charge"}

_OF_THE_CUSTOMER = {"amount_too_small", "amount_too_large", "token_already_used"}
"""Codes of invalid requests that only another order or card can correct.
https://docs.stripe.com/error-codes"""

_AUTHENTICATION = {
    "authentication_required",
    "payment_intent_authentication_failure",
    "requires_action_not_handled",
}
"""Codes with which a payment fails because the bank asks the customer to authenticate.
https://docs.stripe.com/declines/codes
https://docs.stripe.com/payments/payment-intents/upgrade-to-handle-actions"""

_CHANGED_MEANWHILE = {
    "charge_already_refunded",
    "idempotency_key_in_use",
    "lock_timeout",
    "payment_intent_unexpected_state",
}
"""Codes of a conflict: the next attempt sees what the other call did."""


class _Status(StrEnum):
    """The statuses of a PaymentIntent.

    https://docs.stripe.com/payments/paymentintents/lifecycle
    """

    NEW = "requires_payment_method"
    UNCONFIRMED = "requires_confirmation"
    ACTION = "requires_action"
    PROCESSING = "processing"
    HELD = "requires_capture"
    CAPTURED = "succeeded"
    CANCELED = "canceled"


class _Card(msgspec.Struct, frozen=True):
    capture_before: int | None = None


class _Method(msgspec.Struct, frozen=True):
    card: _Card | None = None


class _Charge(msgspec.Struct, frozen=True):
    """A charge: one attempt to hold the amount.

    https://docs.stripe.com/api/charges/object
    """

    status: str
    refunded: bool = False
    payment_method_details: _Method | None = None


class _Intent(msgspec.Struct, frozen=True):
    """A PaymentIntent.

    https://docs.stripe.com/api/payment_intents/object
    """

    id: str
    status: _Status
    created: int
    latest_charge: _Charge | str | None = None
    metadata: Mapping[str, str] = {}

    @property
    def charge(self) -> _Charge | None:
        """The last charge, if it was asked for and succeeded."""
        charge = self.latest_charge
        return charge if isinstance(charge, _Charge) and charge.status == "succeeded" else None

    @property
    def held_until(self) -> datetime:
        """The time after which Stripe releases the amount."""
        method = self.charge.payment_method_details if self.charge else None
        if method and method.card and method.card.capture_before:
            return datetime.fromtimestamp(method.card.capture_before, UTC)
        return datetime.fromtimestamp(self.created, UTC) + HOLD


class _Refund(msgspec.Struct, frozen=True):
    """A refund.

    https://docs.stripe.com/api/refunds/object
    """

    id: str
    status: str


class _Error(msgspec.Struct, frozen=True):
    """The cause of an error.

    https://docs.stripe.com/api/errors
    """

    type: str = ""
    code: str = ""
    decline_code: str = ""
    param: str = ""

    @property
    def reason(self) -> str:
        """The most precise code."""
        return self.decline_code or self.code or self.type or "unknown"


class _Refusal(msgspec.Struct, frozen=True):
    error: _Error = _Error()


class StripeProvider:
    """Implements `PaymentProvider`."""

    def __init__(self, secret_arn: str) -> None:
        self._secret_arn = secret_arn

    def open(self, order_id: str, *, amount_minor: int, currency: str) -> str:
        """See `PaymentProvider`. A second PaymentIntent of an order is never confirmed."""
        form = {
            "amount": str(amount_minor),
            "currency": currency.lower(),
            "capture_method": "manual",
            "payment_method_types[]": "card",
            "metadata[order_id]": order_id,
        }
        intent = self._post("/v1/payment_intents", _Intent, form, key=f"open-{order_id}")
        return intent.id

    def authorize(self, payment_id: str, *, token: str) -> datetime:
        """See `PaymentProvider`. Declines cards whose bank asks the customer to authenticate."""
        intent = self._find(payment_id)
        match intent.status:
            case _Status.NEW | _Status.UNCONFIRMED:
                form = {**_payment_method(token), "error_on_requires_action": "true", **_EXPANDED}
                intent = self._change(intent, "confirm", form, timeouts=_BANK)
        match intent.status:
            case _Status.HELD | _Status.CAPTURED:
                return intent.held_until
            case _Status.PROCESSING:
                raise Unavailable("the payment is being processed")
            case _Status.ACTION:
                raise AuthenticationRequired(intent.status.value)
        raise Declined(intent.status.value)

    def capture(self, payment_id: str) -> None:
        """See `PaymentProvider`."""
        intent = self._find(payment_id)
        if intent.status is _Status.HELD:
            intent = self._change(intent, "capture", {})
        match intent.status:
            case _Status.CAPTURED:
                return
            case _Status.PROCESSING:
                raise Unavailable("the payment is being processed")
        raise NoLongerHeld(intent.status.value)

    def order_of(self, payment_id: str) -> str | None:
        """See `PaymentProvider`."""
        return self._find(payment_id).metadata.get("order_id")

    def release(self, payment_id: str) -> Settlement:
        """See `PaymentProvider`."""
        intent = self._find(payment_id)
        match intent.status:
            case _Status.PROCESSING:
                raise Unavailable("the payment is being processed")
            case _Status.CAPTURED:
                self._refund(intent)
                return Settlement.REFUNDED
            case _Status.CANCELED:
                pass
            case _:
                self._change(intent, "cancel", {})
                # An authorization may have come first.
                intent = self._find(payment_id)
        return Settlement.RELEASED if intent.charge else Settlement.NOTHING

    def _refund(self, intent: _Intent) -> None:
        """Refunds everything that is not refunded yet."""
        if intent.charge and intent.charge.refunded:
            return
        form = {"payment_intent": intent.id}
        refund = self._post("/v1/refunds", _Refund, form, key=f"refund-{intent.id}")
        if refund.status not in {"succeeded", "pending"}:
            raise Unavailable(f"refund {refund.id} is {refund.status}")

    def _find(self, payment_id: str) -> _Intent:
        path = f"/v1/payment_intents/{payment_id}"
        return self._call("GET", path, _Intent, _BRISK, query=_EXPANDED)

    def _change(
        self, intent: _Intent, what: str, form: dict[str, str], *, timeouts: Timeouts = _BRISK
    ) -> _Intent:
        path = f"/v1/payment_intents/{intent.id}/{what}"
        return self._post(path, _Intent, form, key=f"{what}-{intent.id}", timeouts=timeouts)

    def _post(
        self,
        path: str,
        answers: type[T],
        form: dict[str, str],
        *,
        key: str,
        timeouts: Timeouts = _BRISK,
    ) -> T:
        headers = {"idempotency-key": key}
        return self._call("POST", path, answers, timeouts, form=form, headers=headers)

    def _call(
        self, method: str, path: str, answers: type[T], timeouts: Timeouts, **options: Any
    ) -> T:
        stripe = Partner(
            HOST,
            headers={
                "authorization": f"Bearer {secret(self._secret_arn).strip()}",
                "stripe-version": VERSION,
            },
            timeouts=timeouts,
        )
        try:
            return stripe.call(method, path, answers, **options)
        except (NoAnswer, Failed, Limited) as error:
            telemetry.count("ProviderUnavailable")
            raise Unavailable(str(error)) from error
        except Refused as error:
            raise _meaning(error) from error


def _payment_method(token: str) -> dict[str, str]:
    """Returns the parameters for what the customer's browser got from Stripe.

    https://docs.stripe.com/api/payment_intents/confirm
    """
    if token.startswith("ctoken_"):
        return {"confirmation_token": token}
    if token.startswith("tok_"):
        return {"payment_method_data[type]": "card", "payment_method_data[card][token]": token}
    return {"payment_method": token}


def _meaning(refused: Refused) -> Exception:
    """Returns the error to raise for an answer 4xx other than 429.

    https://docs.stripe.com/api/errors
    """
    try:
        error = msgspec.json.decode(refused.answer.body, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        error = _Error()
    text = f"{refused} {error.reason}"
    if refused.answer.status in {401, 403}:
        return Misconfigured(f"{text}: correct Stripe's secret key (docs/how-to/deploy.md)")
    if refused.answer.status == 409 or error.code in _CHANGED_MEANWHILE:
        return Unavailable(text)
    unusable_card = error.code == "resource_missing" and error.param.startswith(
        ("payment_method", "confirmation_token")
    )
    if error.type == "card_error" and {error.code, error.decline_code} & _AUTHENTICATION:
        return AuthenticationRequired(error.reason)
    if error.type == "card_error" or error.code in _OF_THE_CUSTOMER or unusable_card:
        return Declined(error.reason)
    return Misconfigured(f"{text}: Stripe does not accept this request")
