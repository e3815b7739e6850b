"""Prices in their table: staff set and approve them, and each change leaves a record."""

import json
from functools import partial
from typing import Any

import pytest

from lambdas.eventing.http import Audience, Endpoint
from lambdas.inventory import (
    assign_item,
    decide_price,
    get_price,
    list_proposals,
    reprice_item,
    set_prices,
)
from lambdas.inventory.events import ItemCosted, ItemPriced
from lambdas.inventory.price_store import AT_ONCE
from lambdas.inventory.stock_store import RECORDS
from tests.inventory.context import Inventory
from tests.support.cloud import Commits, Crash, crash
from tests.support.messages import CONTEXT, batch, enveloped, failed

BOUNDS = {"markup_percent": 50, "min_minor": 900, "max_minor": 1400}


def ask(
    handler: Any,
    body: object = None,
    *,
    query: dict[str, str] | None = None,
    by: str = "clerk-1",
) -> tuple[int, Any]:
    """Sends a request of a member of staff; returns status and body of the answer."""
    claims = {"sub": by}
    event = {
        "routeKey": "test",
        "body": json.dumps(body),
        "queryStringParameters": query,
        "requestContext": {"requestId": "request-1", "authorizer": {"jwt": {"claims": claims}}},
    }
    answer = handler(event, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def new(price: int, sku: str = "MUG", **options: Any) -> dict[str, Any]:
    return {"sku": sku, "unit_price_minor": price, "currency": "EUR", "bounds": BOUNDS, **options}


def put(*prices: dict[str, Any], by: str = "clerk-1") -> tuple[int, Any]:
    return ask(set_prices.handler, {"prices": prices}, by=by)


def decide(number: int, *, approved: bool = True, by: str = "clerk-2") -> tuple[int, Any]:
    body = {"sku": "MUG", "number": number, "approved": approved, "reason": "market"}
    return ask(decide_price.handler, body, by=by)


def cost(minor: int, revision: int = 1) -> list[str]:
    """Delivers a new cost of the mug."""
    event = ItemCosted(sku="MUG", unit_cost_minor=minor, currency="EUR", revision=revision)
    return failed(reprice_item.handler(batch(enveloped(event)), CONTEXT))


def records(inventory: Inventory) -> list[tuple[str, str, int]]:
    """What happened to prices, by whom, and at which price."""
    found = sorted(inventory.table.items("price record"), key=lambda item: item["sk"])
    assert all(item["pk"].startswith(RECORDS) for item in found), "they could be changed"
    return [(item["what"], item["by"], item["unit_price_minor"]) for item in found]


def published(inventory: Inventory) -> list[tuple[int, int]]:
    """The published prices, by revision."""
    events = inventory.table.events(ItemPriced)
    return sorted((event.revision, event.unit_price_minor) for event in events)


def test_a_price_is_set_published_and_recorded(inventory: Inventory) -> None:
    status, answer = put(new(1250))
    assert status == 200
    (view,) = answer["prices"]
    assert (view["unit_price_minor"], view["proposal"], view["bounds"]) == (1250, None, BOUNDS)
    assert ask(get_price.handler, query={"sku": "MUG"}) == (200, view)
    assert published(inventory) == [(1, 1250)]
    assert records(inventory) == [("set", "clerk-1", 1250)]


def test_setting_a_price_again_changes_nothing(inventory: Inventory) -> None:
    first = put(new(1250))
    items = inventory.table.items()
    assert put(new(1250)) == first
    assert inventory.table.items() == items


def test_many_prices_are_set_at_once_or_none(inventory: Inventory, commits: Commits) -> None:
    prices = [new(1250, f"SKU-{number}") for number in range(AT_ONCE)]
    commits.before(1, crash)
    with pytest.raises(Crash):
        put(*prices)
    assert inventory.table.items() == []
    assert put(*prices)[0] == 200
    assert len(published(inventory)) == AT_ONCE
    assert commits.count == 2


def test_a_large_change_waits_until_a_colleague_approves_it(inventory: Inventory) -> None:
    put(new(1250))
    (view,) = put(new(125))[1]["prices"]
    assert (view["unit_price_minor"], view["proposal"]["doubt"]) == (1250, "large_change")
    assert ask(list_proposals.handler) == (200, {"prices": [view]})
    assert published(inventory) == [(1, 1250)]

    number = view["proposal"]["number"]
    assert decide(number, by="clerk-1")[0] == 403
    status, decided = decide(number)
    assert (status, decided["unit_price_minor"], decided["proposal"]) == (200, 125, None)
    assert decide(number) == (200, decided)
    assert decide(number, approved=False)[0] == 409
    assert ask(list_proposals.handler) == (200, {"prices": []})
    assert published(inventory) == [(1, 1250), (2, 125)]
    assert records(inventory) == [
        ("set", "clerk-1", 1250),
        ("proposed", "clerk-1", 125),
        ("approved", "clerk-2", 125),
    ]


def test_a_price_of_0_that_is_refused_never_applies(inventory: Inventory) -> None:
    (view,) = put(new(0))[1]["prices"]
    assert view["unit_price_minor"] is None
    assert decide(view["proposal"]["number"], approved=False)[0] == 200
    assert published(inventory) == []
    assert records(inventory)[-1] == ("refused", "clerk-2", 0)


def test_a_price_follows_costs_within_bounds_and_waits_beyond(inventory: Inventory) -> None:
    put(new(1200))
    assert cost(900) == cost(900) == []
    assert cost(1200, revision=2) == []
    assert cost(800, revision=1) == []
    assert published(inventory) == [(1, 1200), (2, 1350)]
    _, view = ask(get_price.handler, query={"sku": "MUG"})
    assert (view["unit_price_minor"], view["proposal"]["unit_price_minor"]) == (1350, 1800)
    assert view["cost"]["unit_cost_minor"] == 1200
    assert decide(view["proposal"]["number"], by="clerk-1")[0] == 200
    assert records(inventory) == [
        ("set", "clerk-1", 1200),
        ("set", "automatic", 1350),
        ("proposed", "automatic", 1800),
        ("approved", "clerk-1", 1800),
    ]


def test_a_cost_alone_puts_nothing_on_sale(inventory: Inventory) -> None:
    assert cost(900) == []
    assert published(inventory) == []
    assert ask(get_price.handler, query={"sku": "MUG"})[1]["unit_price_minor"] is None


def test_waiting_prices_are_counted(
    inventory: Inventory, capsys: pytest.CaptureFixture[str]
) -> None:
    put(new(1200), new(0, "PEN"))
    cost(5000)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert sum(sum(line.get("PricesProposed", [])) for line in lines) == 2
    put(new(0, "PEN"))
    assert '"PricesProposed":[0.0]' in capsys.readouterr().out


def test_a_decision_between_read_and_commit_counts(inventory: Inventory, commits: Commits) -> None:
    put(new(1250))
    number = put(new(125))[1]["prices"][0]["proposal"]["number"]
    commits.before(1, partial(decide, number, approved=False))
    assert decide(number, by="clerk-3")[0] == 409
    assert published(inventory) == [(1, 1250)]


def test_a_price_of_an_earlier_release_stays_until_staff_change_it(inventory: Inventory) -> None:
    """Files of suppliers used to set prices, in the item of the stock."""
    price = {"unit_price_minor": 1250, "currency": "EUR", "priced_at": 1, "price_revision": 3}
    units = {"received": 2, "available": 2, "reserved": 0}
    inventory.table.put({"pk": "STOCK#MUG", "sk": "STOCK", "kind": "stock", **units, **price})
    assert ask(get_price.handler, query={"sku": "MUG"})[1]["unit_price_minor"] == 1250
    assert cost(900) == []
    (view,) = put(new(5000))[1]["prices"]
    assert view["proposal"]["doubt"] == "large_change"
    assert put(new(1300))[0] == 200
    assert published(inventory) == [(4, 1300)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([new(-1)], "prices[0].unit_price_minor"),
        ([new(1), new(2)], "(body)"),
        ([], "prices"),
        ([new(1, f"S{number}") for number in range(AT_ONCE + 1)], "prices"),
        ([new(1, bounds={**BOUNDS, "min_minor": 1401})], "prices[0].bounds"),
        ([new(1, bounds={**BOUNDS, "markup": 1})], "prices[0].bounds"),
    ],
)
def test_a_wrong_request_names_the_field_and_changes_nothing(
    inventory: Inventory, wrong: list[dict[str, Any]], field: str
) -> None:
    status, problem = put(*wrong)
    assert (status, problem["errors"][0]["field"]) == (400, field)
    assert inventory.table.items() == []


def test_an_unknown_item_has_no_price(inventory: Inventory) -> None:
    assert ask(get_price.handler, query={"sku": "MUG"})[0] == 404


def test_an_assignment_is_recorded(inventory: Inventory) -> None:
    body = {"sku": "MUG", "supplier": "south"}
    assert ask(assign_item.handler, body) == (200, body)
    record = inventory.table.one("assignment")
    assert record["pk"].startswith(RECORDS), "it could be changed"
    assert (record["supplier"], record["by"]) == ("south", "clerk-1")
    assert inventory.table.one("stock")["supplier"] == "south"


@pytest.mark.parametrize(
    "handler",
    [
        set_prices.handler,
        get_price.handler,
        list_proposals.handler,
        decide_price.handler,
        assign_item.handler,
    ],
)
def test_customers_can_neither_see_nor_change_prices(handler: Endpoint) -> None:
    """The authorizer of the staff's pool refuses them: see tests/stacks/test_api.py."""
    assert handler.contract.audience is Audience.STAFF
