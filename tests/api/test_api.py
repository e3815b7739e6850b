"""The API responds as documented to valid and invalid requests of any caller.

`make fuzz` tries more requests, and new ones in each run.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cdk_rehearsal import Rehearsal
from lambdas.eventing.signature import EASYPOST, STRIPE, sign
from tests.flows.shop import PRICE, Shop, order_with_requested_return
from tests.support.transport import URL, session
from tools.contracts.documents import DIRECTORY
from tools.demo import carrier, stripe_host
from tools.demo.carrier import secret_of
from tools.demo.customers import CUSTOMERS
from tools.demo.staff import require, staff_token

DOCUMENT = json.loads((DIRECTORY / "openapi.json").read_bytes())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.generation.update(with_security_parameters=False)  # set by World
OPERATIONS = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}

CONFORMANCE: list[CheckFunction] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CALLERS = ("customer", "staff", "partner", "forger", "nobody")
SHARE = 5
"""The divisor of the number of examples of other tests, because each example here is a request."""


def definition(operation: str) -> Any:
    """The documentation of an operation."""
    method, _, path = operation.partition(" ")
    return DOCUMENT["paths"][path][method.lower()]


def intended(operation: str) -> str:
    """The documented caller of an operation."""
    ((scheme, groups),) = definition(operation)["security"][0].items()
    return "partner" if scheme != "token" else "staff" if groups else "customer"


@dataclass
class World:
    """A shop with orders in several states, and requests of different callers to it."""

    shop: Shop
    orders: Mapping[str, str]
    """The order that an operation applies to; `any` is for all other operations."""

    @staticmethod
    def customer(operation: str) -> str:
        """The customer of an operation; a customer with orders does not change preferences."""
        return "customer-2" if operation.endswith("/preferences") else "customer-1"

    def send(self, case: Case[Any], caller: str) -> requests.Response:
        """Sends a request with the credentials of a caller; returns the response."""

        def prove(request: requests.PreparedRequest) -> None:
            body: Any = request.body or b""
            request.headers.update(self._credentials(case.operation.label, caller, body))

        with session(self.shop.rehearsal.http, prove) as client:
            return client.request(**case.as_transport_kwargs(base_url=URL))

    def _credentials(self, operation: str, caller: str, body: str | bytes) -> dict[str, str]:
        sent = body.encode() if isinstance(body, str) else body
        token = partial(self.shop.rehearsal.token, authorizer=CUSTOMERS)
        match caller:
            case "customer":
                return {"authorization": f"Bearer {token(self.customer(operation))}"}
            case "staff":
                return {"authorization": f"Bearer {staff_token(self.shop.rehearsal)}"}
            case "partner":
                return self._signature(operation, sent)
            case "forger":
                forged = token("customer-1", iss="https://example.com")
                signature = self._signature(operation, sent, secret="guessed")
                return {"authorization": f"Bearer {forged}", **signature}
        return {}

    def _signature(
        self, operation: str, sent: bytes, *, secret: str | None = None
    ) -> dict[str, str]:
        """The headers with which the partner of an operation signs."""
        now, shop = datetime.now(UTC), self.shop.rehearsal
        method, path = operation.split()
        if path == "/carrier/events":
            secret = secret or secret_of(shop, carrier.SECRET)
            return EASYPOST.sign(secret, method, path, sent, at=now)
        secret = secret or secret_of(shop, stripe_host.SIGNING_SECRET)
        return {STRIPE.header: sign(secret, sent, at=now)}

    def example(self, operation: str) -> Case[Any]:
        """The documented example of a request, about resources that exist."""
        described = definition(operation)
        given: dict[str, dict[str, str]] = {"header": {}, "query": {}, "path": {}}
        for parameter in described.get("parameters", []):
            examples = parameter["schema"].get("examples", [])
            if parameter["required"]:
                given[parameter["in"]][parameter["name"]] = parameter.get("example") or examples[0]
        terms: dict[str, Any] = {}
        if "requestBody" in described:
            body = described["requestBody"]["content"]["application/json"]["example"]
            terms = {"body": json.loads(json.dumps(body)), "media_type": "application/json"}
        case = OPERATIONS[operation].Case(
            path_parameters=given["path"], query=given["query"], headers=given["header"], **terms
        )
        return self.about_existing_resources(case)

    def about_existing_resources(self, case: Case[Any]) -> Case[Any]:
        """The same request about an order, an item or a parcel of this shop."""
        operation = case.operation.label
        order_id = self.orders.get(operation, self.orders["any"])
        if "order_id" in case.path_parameters:
            case.path_parameters["order_id"] = order_id
        if "customer_id" in case.path_parameters:
            case.path_parameters["customer_id"] = "customer-1"
        body: Any = case.body
        match operation, body:
            case "POST /orders", {"lines": lines}:
                body["currency"] = "EUR"
                for line in lines:
                    line |= {"sku": "MUG", "quantity": 1, "unit_price_minor": PRICE}
            case "GET /prices", _:
                case.query["sku"] = "MUG"
            case "POST /prices/decision", {"sku": _}:
                body |= {"sku": "DOUBTFUL", "number": 1}
            case "POST /carrier/events", {"result": {"shipment_id": _} as tracker}:
                tracking_id = self.shop.tracking_id(order_id)
                tracker |= {"shipment_id": order_id, "tracking_code": tracking_id}
            case "POST /payments/events", {"data": {"object": subject}}:
                subject["payment_intent"] = order_id
        return case


@pytest.fixture
def world(assembly: Path) -> Iterator[World]:
    """A separate shop, with an order for each operation."""
    with Rehearsal(assembly, seed=1) as rehearsal:
        shop = Shop(rehearsal)
        yield World(shop, some_orders(shop))


def some_orders(shop: Shop) -> Mapping[str, str]:
    """Places orders; returns them by the operation that applies to them."""
    wanted_back = order_with_requested_return(shop, "WANTED-BACK")
    shop.receive({"MUG": 100_000}, delivery="mugs")
    free = {"sku": "DOUBTFUL", "unit_price_minor": 0, "currency": "EUR"}
    require(shop.staff.ask("PUT", "/prices", {"prices": [free]}, clerk="clerk-2"), 200)
    delivered, carried, cancelled = (shop.place({"MUG": 1}, key=f"{n}") for n in range(3))
    shop.settle()
    shop.deliver(delivered)
    shop.settle()
    assert shop.erase("customer-1").json()["state"] == "requested"
    return {
        "DELETE /orders/{order_id}": cancelled,
        "POST /carrier/events": carried,
        "POST /orders/{order_id}/returns": delivered,
        "POST /returns/{order_id}/decision": wanted_back,
        "POST /returns/{order_id}/review": wanted_back,
        "any": carried,
    }


def conforms(case: Case[Any], answer: requests.Response, *checks: CheckFunction) -> None:
    assert answer.status_code < 500, answer.text
    case.validate_response(answer, checks=[*CONFORMANCE, *checks])


@st.composite
def sent(draw: st.DrawFn, operation: str) -> tuple[Case[Any], str, bool]:
    """A valid or invalid request, its caller, and whether it is about existing resources."""
    mode = draw(st.sampled_from(list(GenerationMode)))
    case = draw(OPERATIONS[operation].as_strategy(generation_mode=mode))
    caller = draw(st.sampled_from([*CALLERS, *[intended(operation)] * len(CALLERS)]))
    return case, caller, mode is GenerationMode.POSITIVE and draw(st.booleans())


def expected(operation: str, success: int) -> dict[str, int]:
    """The status that each caller gets for a valid request; the permitted caller comes last."""
    may = intended(operation)
    refused = dict.fromkeys(CALLERS, 401)
    del refused[may]
    return {**refused, may: success}


def try_many(world: World, operation: str) -> None:
    """Sends many requests for an operation and checks that each response is as documented."""
    examples = settings().max_examples // SHARE

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(sent(operation))
    def run(request: tuple[Case[Any], str, bool]) -> None:
        case, caller, known = request
        answer = world.send(world.about_existing_resources(case) if known else case, caller)
        if caller == intended(operation):
            conforms(case, answer, negative_data_rejection)
        else:
            conforms(case, answer)
            assert answer.status_code == 401, answer.text

    run()


def test_every_response_is_as_documented_for_any_request_of_any_caller(
    world: World, subtests: pytest.Subtests
) -> None:
    order = sorted(OPERATIONS, key=lambda operation: operation.endswith("/decision"))
    for operation in order:  # a decision closes a return
        with subtests.test(f"example of {operation}"):
            success = int(min(definition(operation)["responses"]))
            for caller, status in expected(operation, success).items():
                case = world.example(operation)
                answer = world.send(case, caller)
                assert answer.status_code == status, caller
                conforms(case, answer)
    for operation in order:
        with subtests.test(operation):
            try_many(world, operation)

    with subtests.test("no accepted request ends in a dead-letter queue"):
        world.shop.settle()
        assert world.shop.parked() == {}
