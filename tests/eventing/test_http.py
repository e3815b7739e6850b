"""The HTTP side: typed bodies in, JSON and problem documents out."""

import json
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from lambdas.eventing.http import Problem, Request, Response, endpoint
from tests.support.messages import CONTEXT, Call

pytestmark = pytest.mark.usefixtures("cloud")


class Coin(Struct, forbid_unknown_fields=True):
    """A coin in a body."""

    cents: Annotated[int, Meta(ge=1)]
    metal: str


class Purse(Struct, forbid_unknown_fields=True):
    """A body."""

    coins: list[Coin]


@endpoint
def echo(request: Request) -> Response:
    """Answers with what it understood."""
    return Response(
        status=HTTPStatus.CREATED, body=request.decode(Purse), headers={"location": "/p"}
    )


def answering(answer: Callable[[Request], Response]) -> Any:
    return endpoint(answer)


GOOD = {"coins": [{"cents": 2, "metal": "gold"}]}


def test_an_answer_has_a_status_a_json_body_and_headers() -> None:
    answer = Call(body=GOOD).send(echo)
    assert answer.status == 201
    assert answer.json == GOOD
    assert answer.headers == {"content-type": "application/json", "location": "/p"}


def test_a_base64_body_is_read_like_any_other() -> None:
    body = b64encode(json.dumps(GOOD).encode()).decode()
    assert Call(body=body, encoded=True).send(echo).json == GOOD


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "(body)", "Object missing required field `coins`"),
        ([], "(body)", "Expected `object`, got `array`"),
        ({"coins": [{"cents": 0, "metal": "gold"}]}, "coins[0].cents", "Expected `int` >= 1"),
        ({"coins": [{"cents": 1.5, "metal": "gold"}]}, "coins[0].cents", "Expected `int`"),
        ({"coins": [{"cents": "1", "metal": "gold"}]}, "coins[0].cents", "Expected `int`"),
        ({"coins": [{"cents": True, "metal": "gold"}]}, "coins[0].cents", "Expected `int`"),
        ({"coins": [{"cents": 1}]}, "coins[0]", "missing required field `metal`"),
        ({"coins": [{"cents": 1, "metal": "", "x": 1}]}, "coins[0]", "unknown field `x`"),
        ({"coins": None}, "coins", "Expected `array`, got `null`"),
        ({"coins": [], "shop": 1}, "(body)", "unknown field `shop`"),
    ],
)
def test_a_wrong_body_is_a_400_that_names_field_and_reason(
    body: object, field: str, reason: str
) -> None:
    answer = Call(body=body).send(echo)
    assert answer.status == 400
    assert answer.json["code"] == "invalid_request"
    ((error),) = answer.json["errors"]
    assert error["field"] == field
    assert reason in error["reason"]
    assert answer.json["detail"] == f"{field}: {error['reason']}"


@pytest.mark.parametrize(
    "call",
    [
        Call(body="{"),
        Call(body=""),
        Call(),
        Call(body="coins=1"),
        Call(body='{"coins": "\\ud800"}'),
        Call(body=b64encode(b"\xff\xfe").decode(), encoded=True),
        Call(body=b64encode(b'{"coins": [{"cents": 1, "metal": "\xff"}]}').decode(), encoded=True),
    ],
    ids=["cut off", "empty", "none", "a form", "half a letter", "binary", "no UTF-8"],
)
def test_what_is_no_json_is_a_400(call: Call) -> None:
    answer = call.send(echo)
    assert answer.status == 400
    assert answer.json["code"] == "invalid_json"
    assert answer.json["detail"].startswith("the body is not JSON: ")
    assert answer.json["errors"][0]["field"] == "(body)"


def test_a_body_nested_without_end_is_a_400() -> None:
    assert Call(body="[" * 100_000).send(echo).status == 400
    assert Call(body='{"x":' + "[" * 100_000).send(echo).status == 400


def test_a_problem_is_a_problem_document() -> None:
    """https://www.rfc-editor.org/rfc/rfc9457."""

    @answering
    def refuse(request: Request) -> Response:
        raise Problem(HTTPStatus.CONFLICT, "purse_closed", "purse: open it first", purse="p")

    answer = Call(body={}).send(refuse)
    assert answer.status == 409
    assert answer.headers == {"content-type": "application/problem+json"}
    assert answer.json == {
        "type": "urn:problem:purse_closed",
        "title": "Conflict",
        "status": 409,
        "code": "purse_closed",
        "detail": "purse: open it first",
        "purse": "p",
    }


def test_an_error_that_is_no_problem_passes_so_that_the_caller_gets_a_500() -> None:
    @answering
    def break_down(request: Request) -> Response:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_down(Call().event(), CONTEXT)


def test_a_request_knows_who_calls_and_what_for() -> None:
    seen: list[Request] = []

    @answering
    def remember(request: Request) -> Response:
        seen.append(request)
        return Response(status=HTTPStatus.OK, body=None)

    Call(route="GET /purses/{purse}", path={"purse": "p"}, headers={"x": "y"}, caller="me").send(
        remember
    )
    (request,) = seen
    assert request.caller == "me"
    assert request.path == {"purse": "p"}
    assert request.headers["x"] == "y"
    assert request.correlation_id == "request-1"
    assert request.causation_id is None


def test_a_request_that_nobody_authorized_is_not_answered() -> None:
    """Behind a route without an authorizer the function fails instead of serving anybody."""
    event = Call(body=GOOD).event()
    del event["requestContext"]["authorizer"]
    with pytest.raises(KeyError, match="authorizer"):
        echo(event, CONTEXT)
