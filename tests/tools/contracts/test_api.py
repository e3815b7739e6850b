"""For every kind of change between two versions of the API: the clients that it breaks, if any."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from lambdas.eventing.http import JSON, PROBLEM_JSON
from tools.contracts.api import Victim, changes
from tools.contracts.documents import DIRECTORY

Document = dict[str, Any]
Edit = Callable[[Document], object]

API: Document = json.loads((DIRECTORY / "openapi.json").read_bytes())
"""The API, in which an order may also have a wrapping, one of two: no other field of a request has
fixed values."""
API["components"]["schemas"]["PlaceOrder"]["properties"]["wrapping"] = {
    "type": "string",
    "enum": ["box", "paper"],
}
PLACE = "POST /orders"


def edited(edit: Edit) -> Document:
    document = copy.deepcopy(API)
    edit(document)
    return document


def schema(document: Document, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Document, route: str = PLACE) -> Any:
    method, path = route.split()
    return document["paths"][path][method.lower()]


def in_schema(name: str, edit: Callable[[Any], object]) -> Edit:
    return lambda document: edit(schema(document, name))


def in_operation(edit: Callable[[Any], object], route: str = PLACE) -> Edit:
    return lambda document: edit(operation(document, route))


def field(name: str, field: str, **changed: Any) -> Edit:
    """Changes rules of a field; None removes a rule."""

    def edit(found: Any) -> None:
        rules = found["properties"].setdefault(field, {})
        rules |= changed
        for rule, value in changed.items():
            if value is None:
                del rules[rule]

    return in_schema(name, edit)


def requiring(name: str, field: str) -> Edit:
    def edit(found: Any) -> None:
        found["properties"].setdefault(field, {"type": "string"})
        found["required"].append(field)

    return in_schema(name, edit)


def without(name: str, field: str) -> Edit:
    def edit(found: Any) -> None:
        del found["properties"][field]
        if field in found["required"]:
            found["required"].remove(field)

    return in_schema(name, edit)


def optional(name: str, field: str) -> Edit:
    return in_schema(name, lambda found: found["required"].remove(field))


def parameters(route: str, edit: Callable[[list[Any]], object]) -> Edit:
    return in_operation(lambda found: edit(found.setdefault("parameters", [])), route)


def header(**changed: Any) -> dict[str, Any]:
    return {"name": "X-Basket", "in": "header", "schema": {"type": "string"}, **changed}


def status(now: str, was: str = "202", route: str = PLACE) -> Edit:
    def edit(found: Any) -> None:
        found["responses"][now] = found["responses"].pop(was)

    return in_operation(edit, route)


def content(type_: str, part: Callable[[Any], Any], was: str = JSON) -> Edit:
    def edit(found: Any) -> None:
        contents = part(found)["content"]
        contents[type_] = contents.pop(was)

    return in_operation(edit)


def signed_by(header: str) -> Edit:
    def edit(document: Document) -> None:
        document["components"]["securitySchemes"]["stripe-signature"]["name"] = header

    return edit


def problems(document: Document, code: str, status: str = "409") -> None:
    """Adds a kind of problem to a status."""
    new = copy.deepcopy(schema(document, "PriceChanged"))
    new["title"], new["properties"]["code"] = code, {"enum": [code]}
    document["components"]["schemas"][code] = new
    media = operation(document)["responses"][status]["content"][PROBLEM_JSON]
    media["schema"] = {
        "oneOf": [media["schema"], {"$ref": f"#/components/schemas/{code}"}],
        "discriminator": {"propertyName": "code", "mapping": {}},
    }


def rewritten(pattern: str, by: str) -> Edit:
    """Changes a document by replacing text."""
    return lambda document: document.update(json.loads(re.sub(pattern, by, json.dumps(document))))


SENDS, READS, CALLS = Victim

BREAKING: dict[str, tuple[Edit, str, Victim]] = {
    # Routes.
    "route gone": (lambda api: api["paths"].pop("/orders"), "is gone", CALLS),
    "method gone": (lambda api: api["paths"]["/orders/{order_id}"].pop("get"), "is gone", CALLS),
    "route renamed": (
        lambda api: api["paths"].update({"/baskets": api["paths"].pop("/orders")}),
        "is gone",
        CALLS,
    ),
    "other address": (
        lambda api: api["servers"][0].update(url="https://example.com/v2"),
        "address is https://example.com/v2 now",
        CALLS,
    ),
    # Requests.
    "new mandatory field": (
        requiring("PlaceOrder", "gift"),
        "body $.gift is new and required",
        SENDS,
    ),
    "new mandatory field deep inside": (
        requiring("Address", "state"),
        "body $.shipping_address.state is new and required",
        SENDS,
    ),
    "new mandatory field of one of several": (
        requiring("AddedToCart", "basket"),
        "body $.activities[].basket is new and required",
        SENDS,
    ),
    "optional field made mandatory": (
        requiring("AddedToCart", "quantity"),
        "body $.activities[].quantity may no longer be left out",
        SENDS,
    ),
    "field no longer taken": (
        without("PlaceOrder", "payment_token"),
        "body $.payment_token is gone",
        SENDS,
    ),
    "other fields refused": (
        in_schema("CarrierEvent", lambda found: found.update(additionalProperties=False)),
        "body $ is limited: additionalProperties is False now",
        SENDS,
    ),
    "other type": (
        field("PlaceOrder", "payment_token", type="integer"),
        "is of type integer, was string",
        SENDS,
    ),
    "smaller limit": (
        field("PlaceOrder", "lines", maxItems=10),
        "body $.lines is changed: the greatest number of elements is 10, was 200",
        SENDS,
    ),
    "new pattern": (
        field("PlaceOrder", "payment_token", pattern="^tok_"),
        "body $.payment_token is changed: pattern is ^tok_, was ^",
        SENDS,
    ),
    "fewer values": (
        field("PlaceOrder", "wrapping", enum=["box"]),
        "body $.wrapping can no longer be 'paper'",
        SENDS,
    ),
    "one of several no longer taken": (
        lambda api: schema(api, "RecordActivity")["properties"]["activities"].update(
            items={"$ref": "#/components/schemas/Viewed"}
        ),
        "body $.activities[] can no longer be object AddedToCart",
        SENDS,
    ),
    "null no longer taken": (
        field("SetEmail", "occasions", anyOf=None, default=None, type="array"),
        "body $.email.occasions can no longer be null",
        SENDS,
    ),
    "other default": (
        field("AddedToCart", "quantity", default=2),
        "body $.activities[].quantity means 2 where it is left out, meant 1",
        SENDS,
    ),
    "body needed": (
        in_operation(
            lambda found: found.update(requestBody=operation(API)["requestBody"]),
            "DELETE /orders/{order_id}",
        ),
        "body is new and required",
        SENDS,
    ),
    "body no longer read": (
        in_operation(lambda found: found.pop("requestBody")),
        "body is no longer read",
        SENDS,
    ),
    "body of another type": (
        content("application/xml", lambda found: found["requestBody"]),
        "body can no longer be application/json, but application/xml",
        SENDS,
    ),
    "new mandatory header": (
        parameters(PLACE, lambda found: found.append(header(required=True))),
        "header x-basket is new and required",
        SENDS,
    ),
    "new mandatory header of another route": (
        parameters("GET /returns", lambda found: found.append(header(required=True))),
        "header x-basket is new and required",
        SENDS,
    ),
    "shorter header": (
        parameters(PLACE, lambda found: found[0]["schema"].update(maxLength=64)),
        "header idempotency-key $ is changed: the greatest length is 64, was 128",
        SENDS,
    ),
    "header no longer read": (
        parameters(PLACE, lambda found: found.clear()),
        "header idempotency-key is no longer read",
        SENDS,
    ),
    "argument made mandatory": (
        parameters("GET /sales", lambda found: found[-1].update(required=True)),
        "may no longer be left out",
        SENDS,
    ),
    "argument renamed": (
        parameters("GET /sales", lambda found: found[0].update(name="since")),
        "is no longer read",
        SENDS,
    ),
    "narrower variable of the path": (
        parameters("GET /orders/{order_id}", lambda found: found[0]["schema"].update(maxLength=10)),
        "path 1 $ is limited: the greatest length is 10 now",
        SENDS,
    ),
    # Credentials.
    "for staff alone": (
        in_operation(lambda found: found.update(security=[{"token": ["staff"]}])),
        "credentials must be token of staff now, was token",
        SENDS,
    ),
    "signed instead": (
        in_operation(lambda found: found.update(security=[{"signature": []}])),
        "credentials must be signature now, was token",
        SENDS,
    ),
    "signed as well": (
        in_operation(lambda found: found.update(security=[{"token": [], "signature": []}])),
        "credentials must be token and signature now, was token",
        SENDS,
    ),
    "other header of the signature": (
        signed_by("x-signature"),
        "credentials must be stripe-signature, in another form",
        SENDS,
    ),
    # Answers.
    "field gone": (without("OrderView", "history"), "answer 202 $.history is gone", READS),
    "field gone deep inside": (
        without("StepView", "what"),
        "answer 202 $.history[].what is gone",
        READS,
    ),
    "field may be left out": (
        optional("OrderView", "status"),
        "answer 202 $.status may be left out now",
        READS,
    ),
    "more values": (
        in_schema("Status", lambda found: found["enum"].append("lost")),
        "answer 202 $.status can now be 'lost', too",
        READS,
    ),
    "null comes": (
        field("OrderView", "total_minor", type=None, anyOf=[{"type": "integer"}, {"type": "null"}]),
        "answer 202 $.total_minor can now be null, too",
        READS,
    ),
    "text instead of a number": (
        field("OrderView", "total_minor", type="string", minimum=None, maximum=None),
        "is of type string, was integer",
        READS,
    ),
    "greater numbers": (
        field("OrderView", "total_minor", maximum=None),
        "answer 202 $.total_minor is no longer limited: the greatest value was 1000000000000",
        READS,
    ),
    "other status": (
        status("200"),
        "answer 202 is no longer returned; others of its class: 200",
        READS,
    ),
    "refusal gone": (
        in_operation(lambda found: found["responses"].pop("409")),
        "answer 409 is no longer returned; others of its class: 400, 401, 413, 422, 429",
        READS,
    ),
    "kind of problem gone": (
        in_operation(
            lambda found: found["responses"]["422"]["content"][PROBLEM_JSON]["schema"]["oneOf"].pop(
                0
            )
        ),
        "answer 422 is no longer unknown_item",
        READS,
    ),
    "problem with another code": (
        lambda api: schema(api, "PriceChanged")["properties"]["code"].update(enum=["outdated"]),
        "answer 409 $.code can now be 'outdated', too",
        READS,
    ),
    "problem tells less": (
        without("UnknownItem", "skus"),
        "answer 422 unknown_item $.skus is gone",
        READS,
    ),
    "other form of problems": (
        content(JSON, lambda found: found["responses"]["409"], PROBLEM_JSON),
        "answer 409 is no longer application/problem+json, but application/json",
        READS,
    ),
    "answer without a body": (
        in_operation(lambda found: found["responses"]["202"].pop("content")),
        "answer 202 is no longer application/json, but empty",
        READS,
    ),
    "header gone": (
        in_operation(lambda found: found["responses"]["202"].pop("headers")),
        "answer 202 header location is gone",
        READS,
    ),
    "header may be left out": (
        lambda api: api["components"]["headers"]["Location"].pop("required"),
        "answer 202 header location may be left out now",
        READS,
    ),
    "gateway's answer": (
        lambda api: (
            api["components"]["responses"].pop("TooMany")
            and [
                found["responses"].pop("429")
                for methods in api["paths"].values()
                for found in methods.values()
            ]
        ),
        "answer 429 is no longer returned",
        READS,
    ),
}

HARMLESS: dict[str, tuple[Edit, list[str] | None]] = {
    "nothing": (lambda api: None, []),
    "new optional field": (
        field("PlaceOrder", "gift", type="string"),
        ["changed: `POST /orders` (body.gift) breaks nobody"],
    ),
    "field that may be left out": (
        optional("PlaceOrder", "payment_token"),
        ["changed: `POST /orders` (body.required) breaks nobody"],
    ),
    "wider limit": (
        field("PlaceOrder", "lines", maxItems=500),
        ["changed: `POST /orders` (body.lines.maxItems) breaks nobody"],
    ),
    "more values taken": (
        field("PlaceOrder", "wrapping", enum=["box", "paper", "ribbon"]),
        ["changed: `POST /orders` (body.wrapping.enum) breaks nobody"],
    ),
    "unknown fields taken": (
        in_schema("PlaceOrder", lambda found: found.pop("additionalProperties")),
        ["changed: `POST /orders` (body.additionalProperties) breaks nobody"],
    ),
    "another type of body as well": (
        in_operation(
            lambda found: found["requestBody"]["content"].update(
                {"application/xml": {"schema": {}}}
            )
        ),
        ["changed: `POST /orders` (body.application/xml) breaks nobody"],
    ),
    "new optional header": (
        parameters(PLACE, lambda found: found.append(header())),
        ["changed: `POST /orders` (header x-basket) breaks nobody"],
    ),
    "header no longer mandatory": (
        parameters(PLACE, lambda found: found[0].update(required=False)),
        ["changed: `POST /orders` (header idempotency-key.required) breaks nobody"],
    ),
    "header in other letters": (
        parameters(PLACE, lambda found: found[0].update(name="IDEMPOTENCY-KEY")),
        [],
    ),
    "variable of the path renamed": (
        rewritten(r'order_id(?=\}/|\}": |", "in": "path)', "id"),
        [],
    ),
    "for everybody": (
        in_operation(
            lambda found: found.update(security=[{"token": []}]), "POST /returns/{order_id}/review"
        ),
        ["changed: `POST /returns/{order_id}/review` (credentials[0]) breaks nobody"],
    ),
    "another proof as well": (
        in_operation(lambda found: found.update(security=[{"token": []}, {"signature": []}])),
        ["changed: `POST /orders` (credentials) breaks nobody"],
    ),
    "field added to an answer": (
        requiring("TakenEvent", "at"),
        ["changed: `POST /carrier/events` (answer.200.TakenEvent.at, answer.200.TakenEvent."
        "required) breaks nobody"],
    ),
    "fewer values in an answer": (
        field("Recorded", "accepted", maximum=50),
        ["changed: `POST /activity` (answer.202.Recorded.accepted.maximum) breaks nobody"],
    ),
    "new kind of problem": (
        lambda api: problems(api, "sold_out"),
        ["changed: `POST /orders` (answer.409.application/problem+json.sold_out) breaks nobody"],
    ),
    "new refusal": (
        in_operation(
            lambda found: found["responses"].update({"410": found["responses"]["409"]})
        ),
        ["changed: `POST /orders` (answer.410) breaks nobody"],
    ),
    "new route": (
        lambda api: api["paths"].update({"/v2/orders": api["paths"]["/orders"]}),
        ["new: `GET /v2/orders`", "new: `POST /v2/orders`"],
    ),
    "new method": (
        lambda api: api["paths"]["/orders"].update(put=operation(API, "GET /sales")),
        ["new: `PUT /orders`"],
    ),
    "class renamed": (
        rewritten(r'(["/])(PlaceOrder|OrderView|Viewed)"', r'\1My\2"'),
        None,
    ),
    "scheme renamed": (
        rewritten(r'"token"(: [\[{])', r'"jwt"\1'),
        None,
    ),
    "other words": (
        rewritten(r'("(description|summary)": ")', r"\1Now: "),
        [],
    ),
    "other words for a status": (
        lambda api: schema(api, "UnknownItem")["properties"]["title"].update(
            enum=["Unprocessable Content"]
        ),
        [],
    ),
}  # fmt: skip


def test_an_equal_api_has_no_changes() -> None:
    assert changes(API, copy.deepcopy(API)) == []


@pytest.mark.parametrize(("edit", "what", "victim"), BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_names_its_location_and_the_clients(
    edit: Edit, what: str, victim: Victim
) -> None:
    breaks = [each for change in changes(API, edited(edit)) for each in change.breaks]
    assert any(what in str(each) and each.victim is victim for each in breaks), breaks


@pytest.mark.parametrize(("edit", "listed"), HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_change_is_listed_as_breaking_nobody(
    edit: Edit, listed: list[str] | None
) -> None:
    found = changes(API, edited(edit))
    assert [each for each in found if each.breaks] == []
    if listed is not None:
        assert [str(each) for each in found] == listed


@pytest.mark.parametrize(
    ("edit", "victim"),
    [
        (requiring("PlaceOrder", "gift"), SENDS),
        (field("PlaceOrder", "payment_token", maxLength=5), SENDS),
        (in_schema("Status", lambda found: found["enum"].append("lost")), READS),
        (without("RequestedReturn", "reason"), READS),
    ],
)
def test_a_change_of_one_side_breaks_only_clients_of_this_side(edit: Edit, victim: Victim) -> None:
    breaks = [each for change in changes(API, edited(edit)) for each in change.breaks]
    assert {each.victim for each in breaks} == {victim}


def test_a_breaking_route_has_advice_on_supporting_both_forms() -> None:
    def edit(api: Document) -> None:
        requiring("PlaceOrder", "gift")(api)
        without("OrderView", "history")(api)

    [change] = [each for each in changes(API, edited(edit)) if each.path == PLACE]
    assert len(change.advice) == 2
    assert "Accept the old form as well" in change.advice[0]
    assert "Answer in the old form as well" in change.advice[1]
    gone, _ = changes(API, edited(lambda api: api["paths"].pop("/orders")))
    assert "until the access log shows no more calls" in gone.advice[0]


def test_all_routes_that_share_a_class_are_listed() -> None:
    found = changes(API, edited(without("OrderView", "history")))
    assert [each.path for each in found] == [
        "DELETE /orders/{order_id}",
        "GET /orders/{order_id}",
        "POST /orders",
    ]


def test_default_credentials_count_for_each_route() -> None:
    def shared(api: Document, scope: str) -> None:
        api["security"] = [{"token": [scope] if scope else []}]
        del operation(api)["security"]

    before, after = edited(lambda api: shared(api, "")), edited(lambda api: shared(api, "staff"))
    assert changes(API, before) == []
    [change] = changes(API, after)
    assert "credentials must be token of staff now" in str(change)


@pytest.mark.parametrize("none", [[], [{}], None])
def test_a_public_route_breaks_when_it_requires_credentials(none: Any) -> None:
    def edit(api: Document) -> None:
        operation(api)["security"] = none
        if none is None:
            del operation(api)["security"]

    opened = edited(edit)
    [change] = changes(opened, API)
    assert [str(each) for each in change.breaks] == [
        "credentials must be token now, was none: breaks clients that send as before"
    ]
    assert not [each for each in changes(API, opened) if each.breaks]


def test_a_status_range_covers_its_statuses() -> None:
    def edit(api: Document) -> None:
        found = operation(api)["responses"]
        found["503"] = found["5XX"]

    assert changes(edited(edit), API) != []
    assert not [each for each in changes(edited(edit), API) if each.breaks]
