"""Place an order: POST /orders."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from lambdas.eventing import telemetry
from lambdas.eventing.http import Problem, Request, Response, endpoint
from lambdas.inventory.events import MAX_MINOR, Currency
from lambdas.orders import domain, order_store
from lambdas.orders.events import Address, Line, OrderPlaced
from lambdas.orders.order_store import Entry, Order
from lambdas.orders.representation import represent

_KEY_LENGTH = 128


class PlaceOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer sends: lines at the prices that they saw, and how they pay."""

    currency: Currency
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=200)]
    shipping_address: Address
    payment_token: Annotated[str, Meta(min_length=1, max_length=128)]

    def __post_init__(self) -> None:
        """Keeps the total within what an event may carry."""
        if domain.total_minor(self.lines) > MAX_MINOR:
            raise ValueError(f"the lines add up to more than {MAX_MINOR} minor units")


@endpoint
def handler(request: Request) -> Response:
    """202 with the order's address, or a Problem: 400, 409 for outdated prices, 422."""
    order_id = domain.order_id_for(request.caller, _idempotency_key(request))
    wish = request.decode(PlaceOrder)
    fingerprint = domain.fingerprint(msgspec.json.encode(wish))
    order = order_store.find(order_id) or _place(order_id, wish, fingerprint, request)
    if order.fingerprint != fingerprint:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "Idempotency-Key: was used for another body; take a new key for a new order",
        )
    location = {"location": f"/orders/{order_id}"}
    return Response(status=HTTPStatus.ACCEPTED, body=represent(order), headers=location)


def _place(order_id: str, wish: PlaceOrder, fingerprint: str, request: Request) -> Order:
    _check_prices(wish)
    now = datetime.now(UTC)
    order = Order(
        order_id=order_id,
        customer_id=request.caller,
        status=domain.Status.PLACED,
        currency=wish.currency,
        total_minor=domain.total_minor(wish.lines),
        lines=wish.lines,
        shipping_address=wish.shipping_address,
        placed_at=now,
        fingerprint=fingerprint,
        history={domain.Status.PLACED: Entry(at=now)},
    )
    placed = OrderPlaced(
        order_id=order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        total_minor=order.total_minor,
        lines=order.lines,
        shipping_address=order.shipping_address,
        payment_token=wish.payment_token,
    )
    standing = order_store.place(order, placed, request)
    if standing is order:
        telemetry.count("OrdersPlaced")
    return standing


def _check_prices(wish: PlaceOrder) -> None:
    prices = order_store.prices_of(line.sku for line in wish.lines)
    if unknown := domain.unknown_skus(wish.lines, prices):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "unknown_item",
            f"lines: the shop does not sell {', '.join(unknown)}",
            skus=unknown,
        )
    if outdated := domain.outdated_lines(wish.lines, wish.currency, prices):
        raise Problem(
            HTTPStatus.CONFLICT,
            "price_changed",
            f"lines: the price of {', '.join(sorted(outdated))} is another one now",
            current_prices={sku: msgspec.to_builtins(price) for sku, price in outdated.items()},
        )


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= _KEY_LENGTH:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "idempotency_key_missing",
            f"Idempotency-Key: send this header with 1 to {_KEY_LENGTH} characters, new for each "
            "order and the same for each repetition of a request",
        )
    return key
