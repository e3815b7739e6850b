"""An event in two versions at once, through the whole application: it takes effect once."""

from collections import Counter

from msgspec import structs

from lambdas.eventing.event import CloudEvent, Event
from lambdas.notifications.events import Channel
from lambdas.orders.events import (
    OrderConfirmedV1,
    OrderRejected,
    OrderRejectedV1,
    RejectionReason,
)
from lambdas.returns.events import ReturnRefusedV1
from tests.flows.shop import FOREVER, Broken, Shop, confirmed_order
from tests.support.messages import enveloped
from tests.support.orders import ADDRESS, confirmed, line

ADDRESS_CUSTOMER = "Notifications/AddressCustomer"
BOTH = ("OrderRejected.v1", "OrderRejected.v2")


def put_on_bus(shop: Shop, *events: Event) -> None:
    """Publishes events as a deployment that knows one version of each."""
    put_envelopes(shop, *map(enveloped, events))


def put_envelopes(shop: Shop, *envelopes: CloudEvent) -> None:
    for envelope in envelopes:
        shop.publish(source=envelope.source, type_=envelope.type, detail=envelope.to_json())


def refusals(shop: Shop) -> list[str]:
    """The reasons, in brackets, in the e-mails about rejected orders."""
    return sorted(
        mail.text.partition("(")[2].partition(")")[0]
        for mail in shop.rehearsal.sent_email
        if mail.subject.startswith("We cannot accept")
    )


def counted(shop: Shop) -> Counter[str]:
    """Confirmed orders in the sales figures, by the version that was counted."""
    figures = Counter[str]()
    for row in shop.items("Analytics/Sales/Table", "shop"):
        figures.update({name: row[name] for name in row if "OrderConfirmed" in name})
    return figures


def test_a_sale_in_two_versions_is_counted_once(shop: Shop) -> None:
    before = counted(shop)
    sale = confirmed(line("MUG", 1))
    new = enveloped(sale)
    old = new.also_as(OrderConfirmedV1(**structs.asdict(sale), shipping_address=ADDRESS))
    put_envelopes(shop, old, new)
    shop.settle()
    assert counted(shop) - before == {"events#OrderConfirmed.v2": 1}


def test_a_rejection_in_two_versions_is_notified_once(shop: Shop) -> None:
    reported = refusals(shop)
    shop.receive({"MUG": 5})
    shop.prefer(Channel.EMAIL)
    order_id = shop.place({"MUG": 1}, token="tok_decline")
    shop.settle()

    old, new = sorted(shop.on_bus(*BOTH, subject=order_id), key=lambda event: event.type)
    assert (old.type, new.type) == BOTH
    assert old.id == f"{new.id} as OrderRejected.v1"
    assert old.data == new.data  # this reason has the same code in both versions
    assert refusals(shop) == sorted([*reported, "payment declined"])
    shop.assert_books_balance()


def test_events_from_before_and_after_a_new_version_are_handled_together(shop: Shop) -> None:
    """Some come from a dead-letter queue, some from a replay."""
    reported = refusals(shop)
    shop.prefer(Channel.EMAIL)
    ids = {"customer_id": "customer-1"}
    before = OrderRejectedV1(order_id="order-1", reason="out_of_stock", **ids)
    unknown = OrderRejectedV1(order_id="order-2", reason="States.Timeout", **ids)
    after = OrderRejected(order_id="order-3", reason=RejectionReason.PAYMENT_DECLINED, **ids)
    shop.rehearsal.faults.fail(f"{ADDRESS_CUSTOMER}/Function", times=FOREVER, error=Broken("down"))
    put_on_bus(shop, before, after)
    shop.settle()
    assert shop.parked() == {f"{ADDRESS_CUSTOMER}/DeadLetters": 2}

    shop.rehearsal.faults.clear()
    put_on_bus(shop, unknown)
    shop.redrive()
    once = sorted([*reported, "checkout failed", "out of stock", "payment declined"])
    assert refusals(shop) == once
    assert shop.parked() == {}

    shop.replay(ADDRESS_CUSTOMER)
    shop.settle()
    assert refusals(shop) == once


def test_text_in_an_event_of_an_earlier_release_reaches_neither_history_nor_messages(
    shop: Shop,
) -> None:
    shop.prefer(Channel.EMAIL)
    order_id = confirmed_order(shop, "WORN-BEFORE")
    shop.deliver(order_id)
    shop.settle()
    put_on_bus(
        shop, ReturnRefusedV1(order_id=order_id, customer_id="customer-1", reason="Ada wore it")
    )
    shop.settle()

    (step,) = [each for each in shop.view(order_id)["history"] if each["what"] == "return_refused"]
    assert step["reason"] == "conditions_not_met"
    mail = shop.rehearsal.sent_email[-1]
    assert mail.subject == f"We cannot take back your order {order_id}"
    assert "\n\nIt does not meet our conditions of returns.\n" in mail.text
    assert "Ada" not in mail.text
