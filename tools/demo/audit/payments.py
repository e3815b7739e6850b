"""Three ledgers agree: the orders, the shop's payments, and the payment provider's."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from tools.demo.audit.check import Check, check
from tools.demo.evidence import ORDERS, PAYMENTS, Evidence, OrderItem, Payment
from tools.demo.money import Amounts, show, total

LEDGER = "the provider's ledger"

_ENDED = {"declined", "cancelled", "refunded"}
_HELD, _TAKEN = "authorized", "captured"
_PAID = {"confirmed": {_HELD}, "shipped": {_TAKEN}, "delivered": {_TAKEN}}
"""The states of a payment that fit an order that is to be paid."""

_UNCOLLECTED = "uncollected"
_OWED = "refund_failed"
"""The state of a payment whose refund came back, so that the shop owes it to the customer."""

P = TypeVar("P", bound=Payment)


@dataclass(frozen=True, kw_only=True)
class Authorized:
    """Money by currency: all that was ever authorized, and the parts that were given back."""

    gross: Amounts
    released: Amounts
    """What was never captured, and is not held any more."""
    refunded: Amounts


def checks(evidence: Evidence) -> list[Check]:
    """Returns the checks of money."""
    return [
        _money(evidence),
        _provider(evidence),
        _movements(evidence),
        _disputes(evidence),
        _failed_refunds(evidence),
        _keys(evidence),
    ]


def authorized(evidence: Evidence) -> Authorized:
    """Returns the amounts in the provider's ledger, including answers that the shop never got."""
    ever = [entry for entry in evidence.provider.values() if entry.amount_minor is not None]
    return Authorized(
        gross=total(entry.amount for entry in ever),
        released=total(entry.amount for entry in ever if entry.state == "cancelled"),
        refunded=total(entry.amount for entry in ever if entry.state == "refunded"),
    )


def _money(evidence: Evidence) -> Check:
    due = {key: order for key, order in evidence.orders.items() if order.status in _PAID}
    ours = _in_state(evidence.payments, _HELD, _TAKEN)
    lost = _in_state(evidence.payments, _UNCOLLECTED)

    def findings() -> Iterator[str]:
        for order_id, payment in evidence.payments.items():
            if payment.state not in {_HELD, _TAKEN, _UNCOLLECTED, _OWED, *_ENDED}:
                yield f"the payment of order {order_id} is {payment.state}: {PAYMENTS}"
        for order_id in sorted(set(ours) - set(due)):
            yield f"money is held for order {order_id}, which is not active: {PAYMENTS}"
        for order_id in sorted(set(due) - set(ours) - set(lost) - _refunded_outside(evidence)):
            yield f"order {order_id} is active, but no money is held for it: {PAYMENTS}"
        for order_id in sorted(set(due) & set(ours)):
            yield from _wrong(due[order_id], ours[order_id])

    left = {
        "held": total(each.amount for each in _in_state(ours, _HELD).values()),
        "captured": total(each.amount for each in _in_state(ours, _TAKEN).values()),
    }
    right = {
        "in confirmed orders": _totals(due, "confirmed"),
        "in shipped orders": _totals(due, "shipped", "delivered"),
    }
    without = set(due) & (set(lost) | _refunded_outside(evidence))
    if without:
        right["not collected"] = _minus(total(due[key].total for key in without))
    return check("Money held", left, right, findings())


def _wrong(order: OrderItem, payment: Payment) -> Iterator[str]:
    if payment.state not in _PAID[order.status]:
        yield f"order {order.order_id} is {order.status}, but paid as {payment.state}: {PAYMENTS}"
    if order.total != payment.amount:
        costs = f"order {order.order_id} costs {show(*order.total)}"
        yield f"{costs}, but {show(*payment.amount)} are held: {PAYMENTS}"
    if order.sum_of_lines != order.total_minor:
        yield f"the lines of order {order.order_id} do not add up to {show(*order.total)}: {ORDERS}"


def _provider(evidence: Evidence) -> Check:
    ours = _in_state(evidence.payments, _HELD, _TAKEN)
    theirs = _in_state(evidence.provider, _HELD, _TAKEN)

    def findings() -> Iterator[str]:
        for order_id in sorted(set(ours) - set(theirs)):
            yield f"order {order_id}: the shop holds money, the provider does not: {LEDGER}"
        for order_id in sorted(set(theirs) - set(ours)):
            yield f"order {order_id}: the provider holds money, the shop does not: {LEDGER}"
        for order_id in sorted(set(ours) & set(theirs)):
            here, there = ours[order_id], theirs[order_id]
            if here.amount != there.amount:
                finding = f"order {order_id}: {show(*here.amount)} for the shop"
                yield f"{finding}, {show(*there.amount)} for the provider: {LEDGER}"
            elif here.state != there.state:
                finding = f"order {order_id}: {here.state} for the shop"
                yield f"{finding}, {there.state} for the provider: {LEDGER}"
            elif here.refunded_minor != there.refunded_minor:
                finding = f"order {order_id}: the provider refunded a part of"
                yield f"{finding} {there.refunded_minor}, the shop knows {here.refunded_minor}"

    money = authorized(evidence)
    mine = total(payment.amount for payment in ours.values())
    book = {
        "at the provider": money.gross,
        "released": _minus(money.released),
        "refunded": _minus(money.refunded),
    }
    if owed := _in_state(evidence.provider, _OWED):
        book["owed to customers"] = _minus(total(entry.amount for entry in owed.values()))
    return check("Money outside", {"held or captured": mine}, book, findings())


_MOVEMENTS: Mapping[str, tuple[str, set[str]]] = {
    "PaymentCaptured.v1": ("captures", {_TAKEN, "refunded", _OWED}),
    "PaymentReleased.v1": ("releases", {"cancelled"}),
    "PaymentRefunded.v1": ("refunds", {"refunded", _OWED}),
}
"""The event of each movement of money, and the states at the provider in which it happened."""


def _movements(evidence: Evidence) -> Check:
    published: dict[str, dict[str, list[tuple[int, str]]]] = {
        type_: defaultdict(list) for type_ in _MOVEMENTS
    }
    for event in evidence.committed.values():
        if event.type in published:
            amount = (event.data["amount_minor"], event.data["currency"])
            published[event.type][event.subject].append(amount)
    lost = _in_state(evidence.payments, _UNCOLLECTED)
    happened = {
        type_: {
            order_id: [entry.amount]
            for order_id, entry in evidence.provider.items()
            if entry.state in states and entry.amount_minor is not None and order_id not in lost
        }
        for type_, (_, states) in _MOVEMENTS.items()
    }

    def findings() -> Iterator[str]:
        for type_, (what, _) in _MOVEMENTS.items():
            here, there = published[type_], happened[type_]
            for order_id in sorted({*here, *there}):
                if here.get(order_id, []) != there.get(order_id, []):
                    yield (
                        f"order {order_id}: {what} of {_amounts(here.get(order_id, []))} were "
                        f"published, but the provider has {_amounts(there.get(order_id, []))}: "
                        f"{LEDGER}"
                    )

    def sums(ledger: Mapping[str, Mapping[str, list[tuple[int, str]]]]) -> dict[str, Amounts]:
        return {
            what: total(chain.from_iterable(ledger[type_].values()))
            for type_, (what, _) in _MOVEMENTS.items()
        }

    return check("Money published", sums(published), sums(happened), findings())


def _disputes(evidence: Evidence) -> Check:
    opened, closed = (
        [event for event in evidence.committed.values() if event.type == type_]
        for type_ in ("PaymentDisputed.v1", "DisputeClosed.v1")
    )
    theirs = {
        dispute_id: (order_id, status)
        for order_id, entry in evidence.provider.items()
        for dispute_id, status in entry.disputes.items()
    }
    ended = {key for key, (_, status) in theirs.items() if status in {"won", "lost"}}

    def findings() -> Iterator[str]:
        for dispute_id, (order_id, status) in theirs.items():
            times = sum(event.data["dispute_id"] == dispute_id for event in opened)
            # Its end may have come first.
            if times > 1 or (not times and dispute_id not in ended):
                yield f"dispute {dispute_id} of order {order_id} was published {times} times"
            ends = [event.data["won"] for event in closed if event.data["dispute_id"] == dispute_id]
            if ends != ([status == "won"] if dispute_id in ended else []):
                yield f"dispute {dispute_id} of order {order_id} is {status}, published: {ends}"
            known = evidence.payments.get(order_id)
            won = {"won": True, "lost": False}.get(status)
            if known is None or (known.dispute_id, known.dispute_won) != (dispute_id, won):
                yield f"dispute {dispute_id} of order {order_id} is {status}: not in {PAYMENTS}"

    unknown = {event.data["dispute_id"] for event in (*opened, *closed)} - set(theirs)
    return check(
        "Disputes",
        {"": len({event.data["dispute_id"] for event in (*opened, *closed)})},
        {"at the provider": len(theirs)},
        chain(findings(), (f"the provider has no dispute {key}" for key in sorted(unknown))),
    )


def _failed_refunds(evidence: Evidence) -> Check:
    published: Counter[tuple[str, str, int]] = Counter()
    for event in evidence.committed.values():
        if event.type == "RefundFailed.v1":
            data = event.data
            published[event.subject, data["refund_id"], data["failed_minor"]] += 1
    theirs = {
        (order_id, refund_id, amount)
        for order_id, entry in evidence.provider.items()
        for refund_id, amount in entry.failed_refunds.items()
    }

    owed = set(_in_state(evidence.payments, _OWED))

    def findings() -> Iterator[str]:
        for order_id, refund_id, amount in sorted({*published, *theirs}):
            failed = f"refund {refund_id} of order {order_id} ({amount}) failed"
            times = published[order_id, refund_id, amount]
            if (order_id, refund_id, amount) not in theirs:
                yield f"{failed}, but not at the provider: {LEDGER}"
            elif times != 1:
                yield f"{failed}, and was published {times} times"
            known = evidence.payments.get(order_id)
            if known is None or refund_id not in known.failed_refunds:
                yield f"{failed}: not in {PAYMENTS}"
        for order_id in sorted(set(_in_state(evidence.provider, _OWED)) - owed):
            yield f"the refund of order {order_id} failed, but its payment is not {_OWED}"
        for order_id in sorted(owed - set(_in_state(evidence.provider, _OWED, "refunded"))):
            yield f"the payment of order {order_id} is {_OWED}, but not at the provider: {LEDGER}"

    return check(
        "Failed refunds",
        {"": published.total()},
        {"at the provider": len(theirs)},
        findings(),
    )


def _keys(evidence: Evidence) -> Check:
    """Each change at the provider has an idempotency key, so that a repetition counts once."""
    missing = evidence.calls_without_key
    findings = (f"{call} came to the provider without an idempotency key" for call in missing)
    return check("Without a key", {"": len(missing)}, {"allowed": 0}, findings)


def _refunded_outside(evidence: Evidence) -> set[str]:
    noticed = {
        event.subject for event in evidence.committed.values() if event.type == "RefundNoticed.v1"
    }
    return noticed & set(_in_state(evidence.payments, "refunded"))


def _totals(orders: Mapping[str, OrderItem], *statuses: str) -> Amounts:
    return total(order.total for order in orders.values() if order.status in statuses)


def _in_state(payments: Mapping[str, P], *states: str) -> dict[str, P]:
    return {key: payment for key, payment in payments.items() if payment.state in states}


def _minus(amounts: Amounts) -> Amounts:
    return Amounts({currency: -minor for currency, minor in amounts.items()})


def _amounts(amounts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(show(*amount) for amount in amounts) or "nothing"
