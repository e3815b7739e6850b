"""The OpenAPI document is valid, complete, and matches the handlers."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import FunctionType, ModuleType
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import HttpRoute, http_routes
from lambdas.eventing.callback import Callback
from lambdas.eventing.http import Audience, Endpoint, Problem, Request, endpoint
from lambdas.eventing.signature import OWN
from tests.support.handlers import handler_of
from tools.contracts.openapi import openapi
from tools.contracts.parts import Undocumented

Document = dict[str, Any]


@pytest.fixture(scope="module")
def shop(templates: dict[str, Assembly]) -> Assembly:
    return templates["dev"]


@pytest.fixture(scope="module")
def document(shop: Assembly) -> Document:
    return openapi(shop, "1.2.3")


def operations(document: Document) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def faults(document: Document) -> list[str]:
    """The errors that an external validator reports."""
    return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]


def test_the_document_is_valid(document: Document) -> None:
    assert faults(document) == []


def test_the_validator_rejects_an_invalid_document(document: Document) -> None:
    broken = deepcopy(document)
    broken["paths"]["/orders/{order_id}"]["get"]["parameters"] = []
    assert faults(broken) == [
        "Path parameter 'order_id' for 'get' operation in '/orders/{order_id}' was not resolved"
    ]


def test_exactly_the_routes_of_the_templates_are_documented(
    shop: Assembly, document: Document
) -> None:
    expected = {f"{route.method} {route.path}" for route in http_routes(shop)}
    assert {name for name, _ in operations(document)} == expected


def test_every_operation_has_a_summary_an_id_and_tags(document: Document) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["operationId"].isidentifier(), name
        assert set(operation["tags"]) < tags, name
        for status, answer in operation["responses"].items():
            assert answer.get("description") or answer["$ref"], (name, status)


def test_every_operation_names_its_callers(shop: Assembly, document: Document) -> None:
    documented = dict(operations(document))
    for route in http_routes(shop):
        operation = documented[f"{route.method} {route.path}"]
        entry = handler_of(route.function)
        if isinstance(entry, Callback):
            scheme = "signature" if entry.scheme is OWN else entry.scheme.header
            assert operation["security"] == [{scheme: []}]
            declared = document["components"]["securitySchemes"][scheme]
            assert (declared["in"], declared["name"]) == ("header", entry.scheme.header)
        elif entry.contract.audience is Audience.STAFF:
            assert operation["security"] == [{"token": ["staff"]}]
        else:
            assert operation["security"] == [{"token": []}]
        assert "401" in operation["responses"]


def validator(document: Document, schema: Any) -> Draft202012Validator:
    return Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=FormatChecker()
    )


def test_examples_of_bodies_match_their_schemas_and_can_be_decoded(
    shop: Assembly, document: Document
) -> None:
    seen = 0
    documented = dict(operations(document))
    for route in http_routes(shop):
        body = documented[f"{route.method} {route.path}"].get("requestBody")
        contract = handler_of(route.function).contract
        assert (body is None) == (contract.body is None), route
        if body:
            content = body["content"]["application/json"]
            validator(document, content["schema"]).validate(content["example"])
            request = Request(
                correlation_id="r",
                caller="me",
                headers={},
                path={},
                body=msgspec.json.encode(content["example"]),
            )
            assert isinstance(request.decode(contract.body), contract.body)
            seen += 1
    assert seen > 3


# -- problems -----------------------------------------------------------------------------


def reached(function: FunctionType, seen: set[FunctionType]) -> Iterator[type[Problem]]:
    """The problems that a function or another function of its context, which it uses, names."""
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    for node in ast.walk(ast.Module(definition.body, [])):
        match node:
            case ast.Name(id=name):
                named = function.__globals__.get(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                owner = function.__globals__.get(name)
                named = getattr(owner, attribute, None) if isinstance(owner, ModuleType) else None
            case _:
                continue
        if isinstance(named, type) and issubclass(named, Problem):
            yield named
        elif isinstance(named, FunctionType) and named not in seen and here(named, function):
            yield from reached(named, seen)


def here(one: FunctionType, other: FunctionType) -> bool:
    """Whether two functions belong to the same context."""
    return one.__module__.split(".")[:2] == other.__module__.split(".")[:2]


def raised(entry: Endpoint) -> set[type[Problem]]:
    function: Any = entry.__wrapped__  # type: ignore[attr-defined]
    return set(reached(function, set()))


def test_handlers_declare_exactly_the_problems_that_they_can_raise(shop: Assembly) -> None:
    for route in http_routes(shop):
        entry = handler_of(route.function)
        assert raised(entry) == set(entry.contract.problems), route


class Undeclared(Problem, status=HTTPStatus.CONFLICT):
    """A problem that the decorator does not declare."""


def refuse() -> None:
    """Raises the undeclared problem."""
    raise Undeclared("always")


@endpoint(answers=str)
def forgetful(request: Request) -> str:
    """Never responds."""
    refuse()
    return request.caller


def test_an_undeclared_problem_is_found() -> None:
    assert raised(forgetful) == {Undeclared}


@dataclass(eq=False)
class Other(Problem, status=HTTPStatus.CONFLICT):
    """Another problem with the same code."""

    more: int


Other.code = Undeclared.code


def test_two_different_problems_with_one_code_are_an_error(
    shop: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = (handler_of(route.function) for route in http_routes(shop))
    for entry, problem in ((first, Undeclared), (second, Other)):
        monkeypatch.setattr(
            entry, "contract", msgspec.structs.replace(entry.contract, problems=(problem,))
        )
    with pytest.raises(Undocumented, match="two problems that differ are called undeclared"):
        openapi(shop, "1")


# -- errors -------------------------------------------------------------------------------


def routed(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Changes the first route of the templates."""

    def changed(assembly: Assembly) -> list[HttpRoute]:
        first, *others = http_routes(assembly)
        return [replace(first, **changes), *others]

    monkeypatch.setattr("tools.contracts.openapi.http_routes", changed)


def test_a_route_without_an_authorizer_is_an_error(
    shop: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    routed(monkeypatch, authorizer=None)
    with pytest.raises(Undocumented, match="POST /activity: a route has an authorizer, or"):
        openapi(shop, "1")


def test_an_unknown_path_variable_is_an_error(
    shop: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    routed(monkeypatch, path="/activity/{device}")
    with pytest.raises(Undocumented, match="Recorded has no device"):
        openapi(shop, "1")
