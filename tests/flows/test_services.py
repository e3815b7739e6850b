"""Suppliers' files, messages to customers, and figures of the sales."""

from demo.partner import PARTNER
from demo.supplier import File, reports
from lambdas.notifications.events import Channel
from tests.flows.shop import PRICE, Broken, Shop

_HEADER = "sku,quantity,unit_price_minor,currency"
_WRONG = File(
    "wrong.csv",
    f"{_HEADER}\nMUG,7,{PRICE},EUR\nCUP,-1,{PRICE},EUR\nPOT,many,{PRICE},EUR\n".encode(),
)


def test_file_with_wrong_rows_is_taken_in_part_and_answered_once(shop: Shop) -> None:
    shop.settle()
    before = _imports(shop)
    shop.hand_in(_WRONG, {"MUG": 7})
    shop.settle()

    (report,) = reports(shop.rehearsal).values()
    assert report["result"] == "accepted in part"
    assert [wrong["line"] for wrong in report["wrong"]] == [3, 4]
    assert shop.stock() == {"MUG": (7, 0)}
    assert _imports(shop) - before == 1  # the report is no file to import
    shop.assert_books_balance()


def test_file_that_is_announced_twice_counts_once(shop: Shop) -> None:
    # The handler does everything, and then its answer is lost: the announcement comes again.
    shop.rehearsal.faults.fail(
        "Inventory/ImportStockFile/Function", error=Broken("lost"), when="after"
    )
    shop.receive({"MUG": 7})

    assert shop.stock() == {"MUG": (7, 0)}
    assert len(reports(shop.rehearsal)) == 1
    shop.assert_books_balance()


def test_customers_are_told_on_the_channels_and_occasions_that_they_chose(shop: Shop) -> None:
    shop.receive({"MUG": 10})
    shop.prefer(Channel.EMAIL, Channel.SMS, customer="ann")
    shop.prefer(Channel.WEBHOOK, customer="ben", occasions=["OrderShipped"])
    orders = [
        shop.place({"MUG": 1}, key=customer, customer=customer) for customer in ("ann", "ben", "cy")
    ]
    shop.settle()
    for order_id in orders:
        assert shop.report(order_id, "picked_up").status == 200
    shop.settle()

    sent = shop.sent()
    assert sent[Channel.EMAIL] == {"ann@example.com": 3}
    assert sent[Channel.SMS].total() == 3
    assert sent[Channel.WEBHOOK] == {f"https://{PARTNER}/ben": 1}


def test_webhook_that_is_down_holds_up_no_other_channel(shop: Shop) -> None:
    shop.rehearsal.internet.host(PARTNER, lambda _: (503, {}, b""), addresses=["192.52.193.7"])
    shop.receive({"MUG": 10})
    shop.prefer(*Channel)
    shop.place({"MUG": 1})
    shop.settle()

    sent = shop.sent()
    assert [sent[channel].total() for channel in Channel] == [2, 2, 0]
    assert shop.parked() == {"Notifications/CallWebhook/DeadLetters": 2}

    shop.partner.open()
    shop.redrive()

    sent = shop.sent()
    assert [sent[channel].total() for channel in Channel] == [2, 2, 2]
    shop.assert_books_balance()


def test_sales_are_those_of_confirmed_orders_though_everything_is_told_twice(shop: Shop) -> None:
    shop.receive({"MUG": 10, "CUP": 10})
    shop.browse("MUG")
    shop.place({"MUG": 2, "CUP": 1}, key="confirmed")
    shop.place({"MUG": 1}, key="rejected", token="tok_decline")
    shop.settle()
    shop.tell_again()

    figures = {row["sku"]: (row["units"], row["revenue_minor"]) for row in shop.sales()}
    assert figures == {"MUG": (2, {"EUR": 2 * PRICE}), "CUP": (1, {"EUR": PRICE})}
    shop.assert_books_balance()


def _imports(shop: Shop) -> int:
    """How often the importer ran. Its first message is S3's test of the notification."""
    invocations = shop.rehearsal.meter.of("invocation")
    return sum(each.target == "Inventory/ImportStockFile/Function" for each in invocations)
