"""Objects in the suppliers' bucket and external text, end to end."""

import json

from tests.flows.shop import PRICE, Shop
from tools.demo.customers import key_of
from tools.demo.orders_file import CustomerOrder
from tools.demo.supplier import BUCKET, SupplierFile, reports

_HEADER = "sku,quantity,unit_cost_minor,currency"
_IMPORTER = "Inventory/ImportStockFile/Function"


def put(shop: Shop, key: str, content: bytes) -> None:
    """Stores an object in the suppliers' bucket under any key."""
    bucket = shop.rehearsal.physical_id(BUCKET)
    shop.rehearsal.client("s3").put_object(Bucket=bucket, Key=key, Body=content)


def answers(shop: Shop) -> dict[str, str]:
    """The results in the reports, by the object's key."""
    return {report["file"]: report["result"] for report in reports(shop.rehearsal).values()}


def strays(shop: Shop) -> int:
    """The number of stray objects that the importer has counted."""
    lines = shop.rehearsal.logs(_IMPORTER).splitlines()
    return sum('"StrayObjects":[1.0]' in line for line in lines)


def test_every_object_under_incoming_gets_a_report(shop: Shop) -> None:
    names = ["STOCK.CSV", "stock.csv.txt", "no suffix", "a+b %41 ü 件.Csv", f"{1_000 * 'x'}.csv"]
    good = {
        f"incoming/north/{name}": f"{_HEADER}\nNAMED-{number},1,{PRICE},EUR\n".encode()
        for number, name in enumerate(names)
    }
    wrong = {
        "incoming/": b"",
        "incoming/nobodys.csv": f"{_HEADER}\nNOBODYS,1,{PRICE},EUR\n".encode(),
        "incoming/acme/": b"",
        "incoming/acme/empty.csv": b"",
        "incoming/acme/book.xlsx": b"PK\x03\x04",
    }
    for key, content in {**good, **wrong}.items():
        put(shop, key, content)
    shop.settle()

    reported = answers(shop)
    assert {key: reported.get(key) for key in good} == dict.fromkeys(good, "accepted")
    assert {key: reported.get(key) for key in wrong} == dict.fromkeys(wrong, "refused")
    assert [shop.stock()[f"NAMED-{number}"] for number in range(len(names))] == [(1, 0)] * 5
    assert (shop.parked(), strays(shop)) == ({}, 0)


def test_empty_columns_and_rows_of_a_spreadsheet_are_ignored(shop: Shop) -> None:
    rows = f"{_HEADER},,\r\nPADDED,5,{PRICE},EUR,,\r\n" + 20_000 * ",,,,,\r\n"
    shop.hand_in(SupplierFile("padded.csv", b"\xef\xbb\xbf\r\n" + rows.encode()), {"PADDED": 5})
    shop.settle()

    (report,) = [r for r in reports(shop.rehearsal).values() if r["file"].endswith("padded.csv")]
    assert (report["result"], report["rows_taken"], report["rows_wrong"]) == ("accepted", 1, 0)
    assert shop.stock()["PADDED"] == (5, 0)


def test_an_object_outside_incoming_is_counted_and_ignored(shop: Shop) -> None:
    stock, reported = shop.stock(), answers(shop)
    content = f"{_HEADER}\nASTRAY,5,{PRICE},EUR\n".encode()
    for key in ("stock.csv", "Incoming/stock.csv", "outgoing/"):
        put(shop, key, content)
    shop.settle()

    assert strays(shop) == 3
    assert (shop.stock(), answers(shop), shop.parked()) == (stock, reported, {})


def test_a_report_does_not_get_a_report(shop: Shop) -> None:
    shop.settle()
    before = len(shop.rehearsal.meter.of("invocation", target=_IMPORTER))
    shop.receive({"ANSWERED": 1}, delivery="answered")
    put(shop, "reports/answered.csv/forged.json", b"{}")
    shop.settle()

    # One invocation each for the file, its report, and another object under reports/.
    assert len(shop.rehearsal.meter.of("invocation", target=_IMPORTER)) - before == 3
    assert strays(shop) == 0


_NAME = "क्\u200dष \u200fש\u05dc\u05dd\u00a0Zoë\u202fe\u0301 👩\u200d👩\u200d👧🏽 𠮷\u3000"


def test_an_order_in_any_script_is_stored_unchanged(shop: Shop) -> None:
    shop.receive({"SCRIPT": 5}, delivery="script")
    customer = _NAME.strip()
    address = {
        "name": _NAME,
        "street": 120 * "件",
        "postal_code": "\u00a0",
        "city": _NAME,
        "country": "DE",
    }
    line = {"sku": "SCRIPT", "quantity": 1, "unit_price_minor": PRICE}
    body = {
        "currency": "EUR",
        "lines": [line],
        "shipping_address": address,
        "payment_token": "tok_approve",
    }
    order = CustomerOrder(
        order_id=128 * "件", customer_id=customer, currency="EUR", payment_token="", lines=()
    )
    answer = shop.request("POST", "/orders", customer, {"idempotency-key": key_of(order)}, body)
    assert answer.status == 202, answer.body
    shop.settle()

    view = shop.view(answer.json()["order_id"], customer=customer)
    assert view["shipping_address"] == address
    assert view["status"] == "confirmed"
    assert shop.parked() == {}


def test_a_control_character_is_rejected_before_anything_is_stored(shop: Shop) -> None:
    body = {
        "currency": "EUR",
        "lines": [{"sku": "CONTROL", "quantity": 1, "unit_price_minor": PRICE}],
        "shipping_address": {
            "name": "A. Customer\r\nBcc: eve@example.com",
            "street": "Main Street 1",
            "postal_code": "10115",
            "city": "Berlin",
            "country": "DE",
        },
        "payment_token": "tok_approve",
    }
    before = shop.items("Backbone/Vault/Table"), shop.items("Orders/Orders/Table")
    answer = shop.request("POST", "/orders", "customer-1", {"idempotency-key": "control"}, body)
    assert answer.status == 400
    assert json.loads(str(answer.body))["errors"] == [
        {"field": "shipping_address.name", "reason": "contains U+000D (carriage return)"}
    ]
    assert (shop.items("Backbone/Vault/Table"), shop.items("Orders/Orders/Table")) == before
