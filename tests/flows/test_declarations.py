"""What handlers declare, they do: each publication and each use of a table is seen."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.client import BaseClient

from cdk_rehearsal import FAULTS, Assembly, Resource
from lambdas.eventing.attributes import from_attributes, to_attributes
from lambdas.eventing.declaration import Handler, Use
from lambdas.orders.domain import OrderClosed
from tests.flows.person import Person
from tests.flows.scenario import Scenario, break_a_checkout, lose_a_parcel
from tests.flows.shop import (
    FOREVER,
    Broken,
    Shop,
    confirmed_order,
    order_with_requested_return,
)
from tests.support.declarations import uses_of
from tests.support.handlers import handler_of
from tools.demo import schedules
from tools.demo.evidence import NOTIFICATIONS, ORDERS, VAULT
from tools.demo.orders_file import ADDRESS
from tools.faults.scenarios import repriced

CHECKOUT = "Checkout/RunCheckout/Function"
FOLLOW_SHIPMENT = "Orders/FollowShipment/Function"

Actions = Mapping[str, set[str | Use]]
"""Names of published events and uses of the context's table, by the path of a function."""


def functions(templates: Assembly) -> Iterator[tuple[Resource, Handler[Any]]]:
    for function in templates.of_type("AWS::Lambda::Function"):
        if isinstance(handler := handler_of(function), Handler):
            yield function, handler


def declared(templates: Assembly) -> Actions:
    return {
        function.path: {
            *handler.uses,
            *handler.in_vault,
            *(event.detail_type() for event in handler.publishes),
        }
        for function, handler in functions(templates)
    }


def tables(templates: Assembly) -> Mapping[str, str]:
    """The context's table by the path of a function that reads or writes it."""
    return {
        function.path: templates.referred(function.stack, name).path
        for function, _ in functions(templates)
        if (name := function.properties["Environment"]["Variables"].get("TABLE_NAME"))
    }


@pytest.fixture
def seen(shop: Shop, templates: Mapping[str, Assembly], monkeypatch: pytest.MonkeyPatch) -> Actions:
    """What functions do with their context's table, and with the vault, from now on."""
    own = tables(templates["dev"])
    found: Actions = {path: set() for path in declared(templates["dev"])}
    rehearsal = shop.rehearsal
    call: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name == "dynamodb":
            function = rehearsal.caller()
            for table, use in uses_of(operation, parameters):
                if function in found and rehearsal.path_of(table) in {own.get(function), VAULT}:
                    found[function].add(use)
            for each in parameters.get("TransactItems", ()):
                item = from_attributes(each.get("Put", {}).get("Item", {}))
                if item.get("kind") == "outbox":
                    found[function].add(item["detail_type"])
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return found


def everything(shop: Shop) -> None:
    """All that handlers react to: in the usual scenario, and where it takes another turn."""
    scenario = Scenario(shop, "declared", wait=shop.settle)
    scenario.open()
    scenario.visit()
    shop.request("GET", "/preferences", scenario.customer)
    assert shop.request("GET", "/orders", scenario.customer).json()["orders"]
    shop.sales()
    of_one = "from=2026-01-05T08:00:00Z&to=2026-01-05T09:00:00Z&sku=MUG"
    assert shop.staff.ask("GET", f"/sales?{of_one}").status == 200

    shop.receive({"LAST": 1}, delivery="last")
    shop.place({"LAST": 1}, key="last")
    shop.rehearsal.faults.fail("Orders/ConfirmOrder", times=1, error=OrderClosed("cancelled"))
    shop.place({scenario.name: 1}, key="closed")
    shop.settle()

    handed_over = confirmed_order(shop, "HANDED-OVER")
    shop.hand_over(handed_over)
    assert shop.cancel(handed_over).status == 200
    shop.settle()

    refused = order_with_requested_return(shop, "REFUSED")
    for which in ("", "?waiting=true"):
        assert shop.staff.ask("GET", f"/returns{which}").status == 200
    assert shop.staff.ask("POST", f"/returns/{refused}/review").status == 200
    assert shop.decide(refused, approved=False).status == 200
    unseen = order_with_requested_return(shop, "UNSEEN")
    shop.pass_days(2.5)
    assert shop.decide(unseen, approved=True).status == 200
    other_ends_of_payments(shop)
    shop.pause(CHECKOUT)
    assert shop.cancel(shop.place({scenario.name: 1}, key="at once")).status == 200
    shop.resume(CHECKOUT)
    follow_a_return_before_its_delivery(shop)
    confirm_an_order_of_an_earlier_release(shop)
    notify_a_customer_of_an_earlier_release(shop)
    erase_customers(shop)
    repriced(shop)
    place_canary_orders(shop)
    lose_a_parcel(scenario)
    break_a_checkout(scenario)
    shop.settle()


def other_ends_of_payments(shop: Shop) -> None:
    """Captures without an answer, too late or overtaken, and what the provider reports."""
    shop.pause("Orders/FollowShipment/Function")
    taken = confirmed_order(shop, "TAKEN")
    picked_up_without_an_answer_to_its_capture(shop, taken)
    assert shop.cancel(taken).status == 200
    shop.settle()
    shop.resume("Orders/FollowShipment/Function")

    for name, capture in (
        ("BACK", picked_up_without_an_answer_to_its_capture),
        ("SOON", lambda shop, _: shop.pause("Payments/CapturePayment/Function")),
    ):
        order_id = confirmed_order(shop, name)
        capture(shop, order_id)
        shop.deliver(order_id)
        shop.settle()
        assert shop.give_back(order_id).status == 202
        shop.settle()
        assert shop.decide(order_id, approved=True).status == 200
        shop.settle()
    refund: Mapping[str, Any] = {"id": "re_1", "payment_intent": order_id, "status": "failed"}

    late = confirmed_order(shop, "TOO-LATE")
    shop.pass_days(5)
    shop.report(late, "picked_up")
    shop.pass_days(2.5)
    shop.resume("Payments/CapturePayment/Function")
    shop.settle()

    shop.receive({"STUCK": 1}, delivery="stuck")
    shop.rehearsal.faults.fail("Orders/ConfirmOrder", times=FOREVER, error=Broken("down"))
    stuck = shop.place({"STUCK": 1}, key="stuck")
    shop.pass_days(7)
    shop.rehearsal.faults.clear()
    shop.settle()
    assert shop.status(stuck) == "cancelled"

    disputed = confirmed_order(shop, "DISPUTED")
    picked_up_without_an_answer_to_its_capture(shop, disputed)
    canceled = confirmed_order(shop, "CANCELED")
    dispute: Mapping[str, Any] = {
        "id": "du_1",
        "payment_intent": disputed,
        "amount": 1,
        "status": "lost",
    }
    charge: Mapping[str, Any] = {"id": "ch_1", "payment_intent": disputed, "captured": True}
    for number, (type_, subject) in enumerate(
        (
            ("charge.dispute.created", dispute),
            ("charge.dispute.closed", dispute),
            ("charge.refunded", {**charge, "amount_refunded": 10**6}),
            ("payment_intent.canceled", {"id": canceled}),
            ("refund.failed", {**refund, "amount": 1}),
        )
    ):
        answer = shop.report_payment(type_, subject, event_id=f"evt_{number}")
        assert answer.status == 200
    shop.settle()


def picked_up_without_an_answer_to_its_capture(shop: Shop, order_id: str) -> None:
    """The provider captures the money, but the shop cannot store that."""
    shop.rehearsal.faults.plan(
        FAULTS["call-fails"],
        source="Payments/CapturePayment/Function",
        operation="TransactWriteItems",
    )
    shop.report(order_id, "picked_up")
    shop.settle()
    shop.rehearsal.faults.clear()


def follow_a_return_before_its_delivery(shop: Shop) -> None:
    """The events of a delivery arrive in orders after those of the return."""
    order_id = confirmed_order(shop, "OVERTAKEN")
    shop.pause(FOLLOW_SHIPMENT)
    shop.deliver(order_id)
    shop.settle()
    assert shop.give_back(order_id).status == 202
    shop.settle()
    assert shop.decide(order_id, approved=True).status == 200
    shop.settle()
    shop.resume(FOLLOW_SHIPMENT)
    shop.settle()


def confirm_an_order_of_an_earlier_release(shop: Shop) -> None:
    """The order has its address itself."""
    shop.receive({"EARLIER": 1}, delivery="earlier")
    shop.pause(CHECKOUT)
    order_id = shop.place({"EARLIER": 1}, key="earlier")
    shop.rehearsal.client("dynamodb").update_item(
        TableName=shop.rehearsal.physical_id(ORDERS),
        Key={"pk": {"S": f"ORDER#{order_id}"}, "sk": {"S": "ORDER"}},
        UpdateExpression="SET shipping_address = :address",
        ExpressionAttributeValues={":address": {"M": to_attributes(ADDRESS)}},
    )
    shop.resume(CHECKOUT)
    shop.settle()


def notify_a_customer_of_an_earlier_release(shop: Shop) -> None:
    """The preferences are in the context's own table."""
    customer = Person(shop, "Earlier")
    wishes = {
        "email": {"address": customer.data["e-mail"]},
        "sms": {"phone": customer.data["phone"]},
        "webhook": {"url": customer.data["webhook"]},
    }
    key = {"pk": f"CUSTOMER#{customer.id}", "sk": "PREFERENCES"}
    put(shop, NOTIFICATIONS, {**key, "kind": "preferences", "wishes": wishes})
    shop.receive({"PREFERRED": 1}, delivery="preferred")
    customer.order("PREFERRED")
    shop.settle()
    assert shop.request("GET", "/preferences", customer.id).status == 200


def erase_customers(shop: Shop) -> None:
    """A customer requests it too early, twice; then staff do. A token came from a backup."""
    shop.receive({"LEFT": 1}, delivery="left")
    leaver = Person(shop, "Leaver")
    leaver.prefer()
    order_id = leaver.order("LEFT")
    shop.settle()
    assert leaver.erase()["state"] == leaver.erase()["state"] == "refused"
    assert shop.request("GET", "/erasure", leaver.id).status == 200
    assert shop.cancel(order_id, customer=leaver.id).status == 200
    shop.settle()
    put(shop, VAULT, {"pk": f"PaymentMethod#{leaver.id}", "sk": order_id, "data": {"token": "t"}})
    for customer_id in (leaver.id, "somebody"):
        assert shop.staff.ask("POST", f"/customers/{customer_id}/erasure").status == 202
    shop.settle()
    assert leaver.places() == []


def place_canary_orders(shop: Shop) -> None:
    """The schedule fires at once, and after half an hour: that run measures the first order."""
    schedules.enable(shop.rehearsal, schedules.CANARY)
    shop.pass_time(minutes=31)
    schedules.disable(shop.rehearsal, schedules.CANARY)


def put(shop: Shop, table: str, item: Mapping[str, Any]) -> None:
    """Writes an item."""
    shop.rehearsal.client("dynamodb").put_item(
        TableName=shop.rehearsal.physical_id(table), Item=to_attributes(item)
    )


def test_each_declared_publication_and_use_is_seen_and_no_other(
    shop: Shop, seen: Actions, templates: Mapping[str, Assembly]
) -> None:
    everything(shop)

    wrong = []
    for path, actions in declared(templates["dev"]).items():
        wrong += [
            f"{path} declares {action} but never does it: remove it, or extend `everything`"
            for action in actions - seen[path]
        ]
        wrong += [f"{path} does {action}: declare it" for action in seen[path] - actions]
    assert not wrong, "\n".join(wrong)
