"""Personal data through the whole application: where they are stored, and that they are erased.

A customer whose data occur nowhere else orders, returns and is notified. Then all stores of the
rehearsal are searched: tables, queues, streams, the bus, logs, buckets, executions, schedules.
"""

import json
import re
import time

import pytest

from tests.flows.person import Person
from tests.flows.shop import Shop
from tests.flows.text_fields import attempts
from tools.demo.stores import places_with
from workspace.isolation import PROJECT

PAGE = PROJECT / "docs" / "reference" / "personal-data.md"


ACCEPTED = {
    "POST /activity: activities[0].activity_id",
    "POST /orders: shipping_address.name",
    "POST /orders: shipping_address.street",
    "POST /orders: shipping_address.postal_code",
    "POST /orders: shipping_address.city",
    "POST /orders: payment_token",
    "POST /orders: header Idempotency-Key",
    "PUT /preferences: webhook.signing_secret",
}
"""Where any text is accepted. The vault gets the address and the token. The keys of requests are
hashed, and the secret is ignored."""


def typed_at(shop: Shop, typed: str) -> set[str]:
    """The places that have a text, except the record of the request itself and the carrier."""
    found = {place.partition(" (")[0] for place in places_with(shop.rehearsal, [typed])}
    return found - {"outside -> Backbone/Api/Http", "Shipping/SandboxCarrier"}


def shops(person: Person) -> None:
    """Orders that end in different ways: delivered, returned, cancelled, and declined."""
    shop = person.shop
    shop.receive({f"SKU-{person.name}": 10}, delivery=person.name)
    person.prefer()
    kept, back, left = (person.order(f"SKU-{person.name}", key) for key in ("kept", "back", "left"))
    person.order(f"SKU-{person.name}", "no", token="tok_decline")
    shop.settle()
    assert shop.cancel(left, customer=person.id).status == 200
    shop.settle()
    for order_id in (kept, back):
        shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(back, customer=person.id).status == 202
    shop.settle()
    assert shop.decide(back, approved=True).status == 200
    shop.settle()


def documented() -> set[str]:
    """The places on the page: the paths in the first column of its first table."""
    table = PAGE.read_text(encoding="utf-8").partition("\n| stored in |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE))


def test_personal_data_are_stored_only_where_the_page_says(shop: Shop) -> None:
    person = Person(shop, "Adelheid")
    shops(person)

    stored = {place.partition(" (")[0] for place in person.places()}
    assert stored == documented()


def test_while_a_checkout_is_in_progress_the_token_is_in_the_vault_alone(shop: Shop) -> None:
    person = Person(shop, "Berthold")
    shop.receive({"SKU-Berthold": 1}, delivery="Berthold")
    shop.pause("Checkout/RunCheckout/Function")
    person.order("SKU-Berthold")
    shop.settle()
    token = person.data["payment token"]
    assert [p for p in person.places() if p.endswith(token)] == [
        f"Backbone/Vault/Table (AWS::DynamoDB::GlobalTable): {token}"
    ]
    shop.resume("Checkout/RunCheckout/Function")
    shop.settle()
    assert not [p for p in person.places() if p.endswith(token)]


def test_after_an_erasure_nothing_stores_the_customers_data(shop: Shop) -> None:
    person, other = Person(shop, "Clothilde"), Person(shop, "Dietmar", "tok_flaky_0001")
    shops(person)
    shops(other)
    assert person.places()

    proof = person.erase()

    assert person.places() == []
    assert proof["state"] == "completed"
    assert proof["erased"] == [
        {"context": "privacy", "kinds": ["Account"]},
        {"context": "orders", "kinds": ["Address", "PaymentMethod"]},
        {"context": "notifications", "kinds": ["Preferences"]},
    ]
    (event,) = shop.on_bus("CustomerErased.v1", subject=person.id)
    assert event.data["erased"] == proof["erased"]
    assert other.places()
    shop.assert_books_balance()


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        ("write-to-hedwig@example.org", {"PUT /preferences: email.address"}),
        ("+493055501234567", {"PUT /preferences: sms.phone"}),
        ("Hedwig von Beispiel", set()),
    ],
)
def test_what_a_person_types_into_any_field_is_in_the_vault_alone_and_is_erased(
    shop: Shop, typed: str, fields: set[str]
) -> None:
    """Logs and answers do not repeat it."""
    person = Person(shop, "Hedwig")
    shop.receive({"SKU-Hedwig": 20}, delivery="Hedwig")
    sent, back = (person.order("SKU-Hedwig", key) for key in ("sent", "back"))
    shop.settle()
    for order_id in (sent, back):
        shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(back, customer=person.id).status == 202
    shop.settle()
    shop.price(["SKU-Hedwig"], 1250)
    change = {"sku": "SKU-Hedwig", "unit_price_minor": 1, "currency": "EUR"}
    (view,) = shop.staff.ask("PUT", "/prices", {"prices": [change]}).json()["prices"]
    known = {
        "": {
            "sku": "SKU-Hedwig",
            "unit_price_minor": 1250,
            "customer_id": person.id,
            "order_id": sent,
            "number": view["proposal"]["number"],
        },
        "returns": {"order_id": back},
    }

    accepted, placed = set[str](), set[str]()
    for attempt in attempts(typed, known):
        answer = (
            shop.staff.ask(attempt.method, attempt.path, attempt.body, clerk="clerk-2")
            if attempt.of_staff
            else shop.request(
                attempt.method, attempt.path, person.id, attempt.headers, attempt.body
            )
        )
        where = f"{attempt.route}: {attempt.place}"
        assert answer.status < 500, where
        if answer.status < 400:
            accepted.add(where)
            if attempt.route == "POST /orders":
                placed.add(answer.json()["order_id"])
        elif not attempt.place.startswith("path "):
            assert typed not in str(answer.body), where
        shop.settle()

    assert accepted == ACCEPTED | fields
    assert typed_at(shop, typed) == {"Backbone/Vault/Table"}
    for order_id in placed:
        shop.cancel(order_id, customer=person.id)
    assert shop.decide(back, approved=True).status == 200
    shop.settle()
    assert person.erase()["state"] == "completed"
    assert typed_at(shop, typed) == set()


def test_an_erasure_is_refused_while_an_order_is_open(shop: Shop) -> None:
    person = Person(shop, "Ekkehard")
    shop.receive({"SKU-Ekkehard": 1}, delivery="Ekkehard")
    order_id = person.order("SKU-Ekkehard")
    shop.settle()
    before = person.places()

    refused = person.erase()
    assert (refused["state"], refused["reason"]) == ("refused", "orders_open")
    assert person.places() == before
    shop.deliver(order_id)
    shop.settle()
    assert person.erase()["state"] == "completed"
    assert person.places() == []


def test_an_order_placed_with_the_last_token_delays_the_erasure_until_it_has_ended(
    shop: Shop,
) -> None:
    person = Person(shop, "Friedhelm")
    shop.receive({"SKU-Friedhelm": 1}, delivery="Friedhelm")
    assert shop.erase(person.id, *person.data.values()).status == 202
    shop.pass_time(minutes=30)
    order_id = person.order("SKU-Friedhelm")
    shop.pass_time(days=2.5)
    assert person.places()
    shop.deliver(order_id)
    shop.settle()

    proof = shop.staff.ask("GET", f"/customers/{person.id}/erasure").json()
    assert proof["state"] == "completed"
    assert person.places() == []
    shop.assert_books_balance()


def test_a_search_finds_what_any_store_has(shop: Shop) -> None:
    """The test of the tests above: each kind of store, with a value planted in it."""
    rehearsal, found = shop.rehearsal, "Gottlieb-was-here"
    rehearsal.client("sqs").send_message(
        QueueUrl=rehearsal.physical_id("Returns/KeepOrder/DeadLetters"), MessageBody=found
    )
    detail = json.dumps({"id": "odd", "a": found})
    shop.publish(source="orderflow.orders", type_="OrderConfirmed.v2", detail=detail)
    bucket = rehearsal.physical_id("Inventory/SupplierFiles/Bucket")
    rehearsal.client("s3").put_object(Bucket=bucket, Key="stray", Body=found)
    rehearsal.client("s3").delete_object(Bucket=bucket, Key="stray")
    table = rehearsal.physical_id("Orders/Orders/Table")
    key = {"pk": {"S": found}, "sk": {"S": "x"}}
    rehearsal.client("dynamodb").put_item(TableName=table, Item=key)
    rehearsal.client("dynamodb").delete_item(TableName=table, Key=key)
    rehearsal.client("stepfunctions").start_execution(
        stateMachineArn=rehearsal.physical_id("Privacy/Workflow"), input=f'{{"detail":"{found}"}}'
    )
    log = {"logGroupName": rehearsal.physical_id("Backbone/Api/AccessLog"), "logStreamName": "odd"}
    rehearsal.client("logs").create_log_stream(**log)
    rehearsal.client("logs").put_log_events(
        **log, logEvents=[{"timestamp": int(time.time() * 1000), "message": found}]
    )
    shop.settle()

    places = {place.partition(" (")[0] for place in places_with(rehearsal, [found])}
    assert places >= {
        "Returns/KeepOrder/DeadLetters",
        "Backbone/Api/AccessLog",
        "Backbone/Bus" if shop.is_custom else "Backbone/Bus/Archive/Archive",
        "Inventory/SupplierFiles/Bucket",
        "Orders/Orders/Table",
        "Privacy/Workflow",
        "Analytics/Activity",
    }
