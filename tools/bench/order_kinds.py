"""Kinds of orders, each with all that happens to it, one step after the other."""

from collections.abc import Callable, Mapping

from tools.faults.shop import RehearsedShop


def approved(shop: RehearsedShop, sku: str) -> None:
    """Orders one unit, which is paid, shipped and delivered."""
    _delivered(shop, _placed(shop, sku, "tok_approve"))


def declined(shop: RehearsedShop, sku: str) -> None:
    """Orders one unit, for which the provider declines the payment."""
    _placed(shop, sku, "tok_decline")


def cancelled(shop: RehearsedShop, sku: str) -> None:
    """Orders one unit, and cancels the order once it is confirmed."""
    order_id = _placed(shop, sku, "tok_approve")
    _require(shop.cancel(order_id).status, 200)
    shop.settle()


def returned(shop: RehearsedShop, sku: str) -> None:
    """Orders one unit, and returns it after its delivery, which staff approve."""
    order_id = _placed(shop, sku, "tok_approve")
    _delivered(shop, order_id)
    shop.give_back(order_id)
    shop.settle()
    _require(shop.decide(order_id, approved=True).status, 200)
    shop.settle()


KINDS: Mapping[str, Callable[[RehearsedShop, str], None]] = {
    "approved": approved,
    "declined": declined,
    "cancelled": cancelled,
    "returned": returned,
}


def _placed(shop: RehearsedShop, sku: str, token: str) -> str:
    order_id = shop.place({sku: 1}, key=sku, token=token)
    shop.settle()
    return order_id


def _delivered(shop: RehearsedShop, order_id: str) -> None:
    """Reports one step after the other, so that none of their events meet in a batch."""
    for kind in ("picked_up", "delivered"):
        _require(shop.report(order_id, kind).status, 200)
        shop.settle()


def _require(status: int, wanted: int) -> None:
    if status != wanted:
        raise RuntimeError(f"a request of the order was answered {status} instead of {wanted}")
