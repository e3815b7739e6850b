"""Suppliers' files, notifications of customers, and sales figures."""

from lambdas.notifications.events import Channel
from tests.flows.shop import PRICE, Broken, Shop
from tools.demo.partner import PARTNER
from tools.demo.supplier import SupplierFile, reports

_HEADER = "sku,quantity,unit_price_minor,currency"
_WRONG = SupplierFile(
    "wrong.csv",
    f"{_HEADER}\nMUG,7,{PRICE},EUR\nCUP,-1,{PRICE},EUR\nPOT,many,{PRICE},EUR\n".encode(),
)


def test_a_file_with_wrong_rows_is_imported_in_part_and_gets_one_report(shop: Shop) -> None:
    shop.settle()
    imports, earlier = _imports(shop), reports(shop.rehearsal).keys()
    shop.hand_in(_WRONG, {"MUG": 7})
    shop.settle()

    (report,) = (report for key, report in reports(shop.rehearsal).items() if key not in earlier)
    assert report["result"] == "accepted in part"
    assert [wrong["line"] for wrong in report["wrong"]] == [3, 4]
    stock = shop.stock()
    assert stock["MUG"] == (7, 0)
    assert stock.keys().isdisjoint({"CUP", "POT"})
    assert _imports(shop) - imports == 2  # for the file, and for its ignored report
    shop.assert_books_balance()


def test_a_file_announced_twice_counts_once(shop: Shop) -> None:
    # The handler completes, but its response is lost: the notification is delivered again.
    earlier = len(reports(shop.rehearsal))
    shop.rehearsal.faults.fail(
        "Inventory/ImportStockFile/Function", error=Broken("lost"), when="after"
    )
    shop.receive({"ANNOUNCED": 7}, delivery="announced")

    assert shop.stock()["ANNOUNCED"] == (7, 0)
    assert len(reports(shop.rehearsal)) - earlier == 1
    shop.assert_books_balance()


def test_customers_are_notified_on_the_channels_and_of_the_types_that_they_chose(
    shop: Shop,
) -> None:
    before = shop.sent()
    shop.receive({"TOLD": 10}, delivery="told")
    shop.prefer(Channel.EMAIL, Channel.SMS, customer="ann")
    shop.prefer(Channel.WEBHOOK, customer="ben", occasions=["OrderShipped"])
    orders = [
        shop.place({"TOLD": 1}, key=customer, customer=customer)
        for customer in ("ann", "ben", "cy")
    ]
    shop.settle()
    for order_id in orders:
        assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    sent = shop.sent()
    assert sent[Channel.EMAIL] - before[Channel.EMAIL] == {"ann@example.com": 3}
    assert sent[Channel.SMS].total() - before[Channel.SMS].total() == 3
    assert sent[Channel.WEBHOOK] - before[Channel.WEBHOOK] == {f"https://{PARTNER}/ben": 1}


def test_a_webhook_that_is_down_delays_no_other_channel(shop: Shop) -> None:
    before = shop.sent()
    shop.rehearsal.web.host(PARTNER, lambda _: (503, {}, b""), addresses=["93.184.216.34"])
    shop.receive({"UNHEARD": 10}, delivery="unheard")
    shop.prefer(*Channel, customer="dora")
    shop.place({"UNHEARD": 1}, key="unheard", customer="dora")
    shop.settle()

    sent = shop.sent()
    assert [(sent[channel] - before[channel]).total() for channel in Channel] == [2, 2, 0]
    assert shop.parked() == {"Notifications/CallWebhook/DeadLetters": 2}

    shop.partner.open()
    shop.redrive()

    sent = shop.sent()
    assert [(sent[channel] - before[channel]).total() for channel in Channel] == [2, 2, 2]
    shop.assert_books_balance()


def test_sales_count_confirmed_orders_once_even_if_every_event_is_delivered_twice(
    shop: Shop,
) -> None:
    shop.receive({"SOLD-MUG": 10, "SOLD-CUP": 10}, delivery="sold")
    shop.browse("SOLD-MUG")
    shop.place({"SOLD-MUG": 2, "SOLD-CUP": 1}, key="sold")
    shop.place({"SOLD-MUG": 1}, key="unsold", token="tok_decline")
    shop.settle()
    shop.tell_again()

    figures = {row["sku"]: (row["units"], row["revenue_minor"]) for row in shop.sales()}
    assert figures["SOLD-MUG"] == (2, {"EUR": 2 * PRICE})
    assert figures["SOLD-CUP"] == (1, {"EUR": PRICE})
    shop.assert_books_balance()


def _imports(shop: Shop) -> int:
    """The invocations of the importer. The first one is for S3's test event."""
    invocations = shop.rehearsal.meter.of("invocation")
    return sum(each.target == "Inventory/ImportStockFile/Function" for each in invocations)
