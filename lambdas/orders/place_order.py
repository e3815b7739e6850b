"""Place an order: POST /orders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from math import ceil

import msgspec
from msgspec import Struct

from lambdas.eventing import telemetry, vault
from lambdas.eventing.declaration import BATCH_GET, GET, PUT
from lambdas.eventing.http import Problem, Request, endpoint
from lambdas.orders import domain, order_store
from lambdas.orders.domain import Order, Price
from lambdas.orders.events import Address, Lines, OrderPlaced, PaymentMethod, PaymentToken
from lambdas.orders.representation import OrderView, represent
from lambdas.shared.vocabulary import MAX_MINOR, Currency


class PlaceOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request body: lines at the prices that the customer saw, and the payment."""

    currency: Currency
    lines: Lines
    shipping_address: Address
    payment_token: PaymentToken

    def __post_init__(self) -> None:
        """Rejects a total over MAX_MINOR."""
        if domain.total_minor(self.lines) > MAX_MINOR:
            raise ValueError(f"the lines add up to more than {MAX_MINOR} minor units")


class IdempotencyKeyReused(Problem, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The Idempotency-Key was used before, with another body."""


@dataclass(eq=False)
class UnknownItem(Problem, status=HTTPStatus.UNPROCESSABLE_ENTITY):
    """The shop does not sell some of the items."""

    skus: list[str]


@dataclass(eq=False)
class PriceChanged(Problem, status=HTTPStatus.CONFLICT):
    """Some prices differ from those that the customer saw. The answer has the current ones."""

    current_prices: Mapping[str, Price]


@dataclass(eq=False)
class TooManyOrders(Problem, status=HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=3600):
    """The customer placed too many orders in the last hour."""

    wait_s: int

    @property
    def headers(self) -> dict[str, str]:
        """The seconds until the customer may order again."""
        return {"retry-after": str(self.wait_s)}


@endpoint(
    body=PlaceOrder,
    answers=OrderView,
    status=HTTPStatus.ACCEPTED,
    location="/orders/{order_id}",
    idempotent=True,
    problems=(UnknownItem, PriceChanged, IdempotencyKeyReused, TooManyOrders),
    publishes=(OrderPlaced,),
    uses=(
        GET,
        BATCH_GET,
        PUT,
        order_store.BY_CUSTOMER.query,
        *vault.deposits(Address, PaymentMethod),
    ),
)
def handler(request: Request, command: PlaceOrder) -> OrderView:
    """Place an order.

    The answer comes before checkout begins: poll the order's address for its outcome. A repetition
    of the request, with the same Idempotency-Key, gets the order that was placed.
    """
    order_id = domain.order_id_for(request.caller, request.idempotency_key)
    order = order_store.find(order_id) or _place(order_id, command, request)
    if order.fingerprint not in {request.fingerprint, _former_fingerprint(command)}:
        raise IdempotencyKeyReused(
            "Idempotency-Key: was used for another body; take a new key for a new order"
        )
    # The same request has the same address.
    return represent(order, command.shipping_address)


def _former_fingerprint(command: PlaceOrder) -> str:
    """The fingerprint of earlier releases; computable until `PlaceOrder` gains a field (0033)."""
    return sha256(msgspec.json.encode(command)).hexdigest()


def _place(order_id: str, command: PlaceOrder, request: Request) -> Order:
    _check_prices(command, synthetic=request.synthetic)
    _check_limit(request.caller)
    placed = OrderPlaced(
        order_id=order_id,
        customer_id=request.caller,
        currency=command.currency,
        total_minor=domain.total_minor(command.lines),
        lines=command.lines,
    )
    payment = PaymentMethod(token=command.payment_token)
    new = Order.place(
        placed, command.shipping_address, payment, request.fingerprint, datetime.now(UTC)
    )
    order, is_new = order_store.place(new, request)
    if is_new and not request.synthetic:
        telemetry.count("OrdersPlaced")
    return order


def _check_limit(customer_id: str) -> None:
    if wait := order_store.wait_before_next(customer_id):
        seconds = ceil(wait.total_seconds())
        raise TooManyOrders(
            f"you placed too many orders in the last hour: try again in {seconds} seconds", seconds
        )


def _check_prices(command: PlaceOrder, *, synthetic: bool) -> None:
    prices = order_store.prices_of(line.sku for line in command.lines)
    if unknown := domain.unknown_skus(command.lines, prices, synthetic=synthetic):
        raise UnknownItem(f"lines: the shop does not sell {', '.join(unknown)}", unknown)
    if outdated := domain.outdated_lines(command.lines, command.currency, prices):
        raise PriceChanged(
            f"lines: the price of {', '.join(sorted(outdated))} has changed", outdated
        )
