"""The HTTP side: typed bodies in, JSON and problem documents out."""

import json
import sys
from base64 import b64encode
from dataclasses import dataclass
from http import HTTPStatus
from types import new_class
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from lambdas.eventing.http import MAX_KEY_LENGTH, Contract, Problem, Request, endpoint
from tests.support.messages import CONTEXT, Call

pytestmark = pytest.mark.usefixtures("cloud")


class Coin(Struct, forbid_unknown_fields=True):
    """A coin in a body."""

    cents: Annotated[int, Meta(ge=1)]
    metal: str


class Purse(Struct, forbid_unknown_fields=True):
    """A body."""

    coins: list[Coin]
    owner: str = "me"


class Count(Struct, forbid_unknown_fields=True):
    """The arguments of a query, and a response."""

    most: int = 3


@dataclass(eq=False)
class PurseClosed(Problem, status=HTTPStatus.CONFLICT):
    """The purse is closed."""

    purse: str


class ComeBack(Problem, status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=7):
    """The purse is closed temporarily."""


@endpoint(body=Purse, answers=Purse, status=HTTPStatus.CREATED, location="/of/{owner}/purse")
def echo(request: Request, purse: Purse) -> Purse:
    """Responds with the decoded body."""
    return purse


def answering(answer: Any, **terms: Any) -> Any:
    decorate: Any = endpoint
    return decorate(**{"answers": object, **terms})(answer)


GOOD = {"coins": [{"cents": 2, "metal": "gold"}]}


def test_a_response_has_a_status_a_json_body_and_headers() -> None:
    answer = Call(body=GOOD).send(echo)
    assert answer.status == 201
    assert answer.json == {**GOOD, "owner": "me"}
    assert answer.headers == {"content-type": "application/json", "location": "/of/me/purse"}


def test_a_base64_body_is_decoded() -> None:
    body = b64encode(json.dumps(GOOD).encode()).decode()
    assert Call(body=body, encoded=True).send(echo).json == {**GOOD, "owner": "me"}


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
def test_an_invalid_body_is_a_400_with_field_and_reason(
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
def test_a_body_that_is_not_json_is_a_400(call: Call) -> None:
    answer = call.send(echo)
    assert answer.status == 400
    assert answer.json["code"] == "invalid_json"
    assert answer.json["detail"].startswith("the body is not JSON: ")
    assert answer.json["errors"][0]["field"] == "(body)"


def title(status: HTTPStatus) -> object:
    problem = new_class("Made", (Problem,), {"status": status})
    return problem("what is wrong").document()["title"]


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (409, "Conflict"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (416, "Range Not Satisfiable"),
        (422, "Unprocessable Content"),
    ],
)
def test_titles_are_the_same_on_every_python_version(status: int, phrase: str) -> None:
    assert title(HTTPStatus(status)) == phrase


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older phrases are not the runtime's")
def test_titles_are_those_of_the_runtime() -> None:
    assert {int(status): title(status) for status in HTTPStatus} == {
        int(status): status.phrase for status in HTTPStatus
    }


def test_a_deeply_nested_body_is_a_400() -> None:
    assert Call(body="[" * 100_000).send(echo).status == 400
    assert Call(body='{"x":' + "[" * 100_000).send(echo).status == 400


def test_a_problem_is_a_problem_document() -> None:
    """https://www.rfc-editor.org/rfc/rfc9457."""

    def refuse(request: Request) -> None:
        raise PurseClosed("purse: open it first", "p")

    answer = Call(body={}).send(answering(refuse))
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


def test_an_error_that_is_not_a_problem_is_raised_so_that_the_caller_gets_a_500() -> None:
    @answering
    def break_down(request: Request) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        break_down(Call().event(), CONTEXT)


def test_a_request_has_its_caller_path_headers_and_correlation_id() -> None:
    seen: list[Request] = []

    @answering
    def remember(request: Request) -> None:
        seen.append(request)

    Call(route="GET /purses/{purse}", path={"purse": "p"}, headers={"x": "y"}, caller="me").send(
        remember
    )
    (request,) = seen
    assert request.caller == "me"
    assert request.path == {"purse": "p"}
    assert request.headers["x"] == "y"
    assert request.correlation_id == "request-1"
    assert request.causation_id is None


def test_a_request_without_an_authorizer_is_not_served() -> None:
    """Behind a route without an authorizer, the function fails instead of serving everyone."""
    event = Call(body=GOOD).event()
    del event["requestContext"]["authorizer"]
    with pytest.raises(KeyError, match="authorizer"):
        echo(event, CONTEXT)


def test_a_problem_can_have_a_retry_after_header() -> None:
    def refuse(request: Request) -> None:
        raise ComeBack("not now")

    answer = Call(body={}).send(answering(refuse))
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")


def refused(call: Call, **terms: Any) -> str | None:
    """The code of the problem with which a route of this contract rejects a request, or None."""

    def answer(request: Request, *asked: Any) -> list[Any]:
        return [request.caller, *asked]

    said = call.send(answering(answer, **terms)).json
    return said["code"] if isinstance(said, dict) else None


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("", "idempotency_key_missing", "1 to 128 printable ASCII characters"),
        ("k", None, ""),
        (' !"%k~', None, ""),
        ("k" * MAX_KEY_LENGTH, None, ""),
        (
            "k" * (MAX_KEY_LENGTH + 1),
            "invalid_idempotency_key",
            "has 129 characters, but may have at most 128",
        ),
        (
            "件",
            "invalid_idempotency_key",
            "contains U+4EF6, which is not ASCII: percent-encode the key",
        ),
        (
            "k" * 200 + "件",
            "invalid_idempotency_key",
            "contains U+4EF6, which is not ASCII: percent-encode the key",
        ),
        ("k\u00a0", "invalid_idempotency_key", "U+00A0, which is not ASCII"),
        ("k\tk", "invalid_idempotency_key", "contains U+0009 (tab)"),
        ("k\x85", "invalid_idempotency_key", "contains U+0085 (next line)"),
        ("k\n", "invalid_idempotency_key", "contains U+000A (line feed)"),
    ],
)
def test_an_idempotency_key_has_at_most_128_printable_ascii_characters(
    key: str, code: str | None, message: str
) -> None:
    route = answering(lambda *_: None, body=Purse, idempotent=True)
    answer = Call(body=GOOD, headers={"idempotency-key": key}).send(route)
    assert answer.json.get("code") == code if code else answer.status == 200
    assert message in str(answer.json)


class Named(Struct, frozen=True, kw_only=True):
    """A body with strings at several paths, and a maximum length in characters."""

    name: Annotated[str, Meta(max_length=3)]
    others: tuple["Named", ...] = ()


@pytest.mark.parametrize("name", ["件件件", "👩\u200d👧", "\u00a0\u200f\u0301", "\u2066a\u2069"])
def test_text_in_any_script_reaches_the_handler_unchanged(name: str) -> None:
    got: list[Any] = []
    for ascii_only in (True, False):
        body = json.dumps({"name": name, "others": [{"name": name}]}, ensure_ascii=ascii_only)
        assert (
            Call(body=body).send(answering(lambda _, body: got.append(body), body=Named)).status
            == 200
        )
    assert got == [Named(name=name, others=(Named(name=name),))] * 2


@pytest.mark.parametrize(
    ("sent", "field", "reason"),
    [
        ({"name": "a\n"}, "name", "contains U+000A (line feed)"),
        ({"name": "\x00"}, "name", "contains U+0000 (null)"),
        ({"name": "a", "others": [{"name": "b"}, {"name": "\x85"}]}, "others[1].name", "U+0085"),
        ({"name": "a", "others": [{"name": "\u2028"}]}, "others[0].name", "(line separator)"),
        ({"name": "\u202eab"}, "name", "(right-to-left override)"),
        ({"name": "件件件件"}, "name", "Expected `str` of length <= 3 characters"),
    ],
)
def test_a_forbidden_character_is_named_with_its_path(
    sent: dict[str, Any], field: str, reason: str
) -> None:
    answer = Call(body=json.dumps(sent)).send(answering(lambda *_: None, body=Named))
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    (fault,) = answer.json["errors"]
    assert fault["field"] == field
    assert reason in fault["reason"]


class Patterned(Struct, frozen=True, kw_only=True):
    """A body whose fields can be invalid for several reasons."""

    code: Annotated[str, Meta(pattern="^[a-z]+$(?!\\n)")]
    count: int = 0


@pytest.mark.parametrize(
    ("sent", "field", "reason"),
    [
        ('{"code": "a\\n"}', "code", "contains U+000A (line feed)"),
        ('{"code": "A"}', "code", "Expected `str` matching regex '^[a-z]+$(?!\\\\n)'"),
        ('{"count": "x", "code": "\\u0000"}', "count", "Expected `int`, got `str`"),
        ('{"code": "A", "count": ', "code", "Expected `str` matching regex"),
        (f'{{"code": "A", "more": {900 * "["}{900 * "]"}}}', "code", "Expected `str` matching"),
        (
            '{"code": "A", "more": ' + 5000 * "[" + '"\\u0000"',
            "code",
            "Expected `str` matching regex",
        ),
    ],
)
def test_a_character_that_a_pattern_does_not_match_is_named(
    sent: str, field: str, reason: str
) -> None:
    answer = Call(body=sent).send(answering(lambda *_: None, body=Patterned))
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    (fault,) = answer.json["errors"]
    assert fault["field"] == field
    assert fault["reason"].startswith(reason)


def test_a_control_character_in_a_query_is_named() -> None:
    answer = Call(query={"name": "a\tb"}).send(answering(lambda *_: None, query=Named))
    assert answer.json["detail"] == "name: contains U+0009 (tab)"


@pytest.mark.parametrize("body", [{"x" * 3_000_000: 1}, {"coins": [{"x" * 3_000_000: 1}]}])
def test_an_error_response_quotes_the_request_only_in_part(body: Any) -> None:
    """Lambda rejects a response of more than 6 MB, so that the caller would get a 5xx.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """
    answer = Call(body=body).send(answering(lambda *_: None, body=Purse))
    assert answer.status == 400
    assert len(json.dumps(answer.json)) < 3_000


def test_a_handler_gets_the_arguments_of_its_contract() -> None:
    got: list[Any] = []

    def take(request: Request, *asked: Any) -> None:
        got.extend(asked)

    Call(body=GOOD).send(answering(take, body=Purse))
    Call(query={"most": "5"}).send(answering(take, query=Count))
    Call(body=GOOD, query={"most": "x"}).send(answering(take))
    assert got == [Purse([Coin(2, "gold")]), Count(5)]


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ({"most": "many"}, "most", "Expected `int`"),
        ({"least": "1"}, "(query)", "unknown field `least`"),
    ],
)
def test_an_invalid_argument_is_a_400_that_names_it(
    query: dict[str, str], field: str, reason: str
) -> None:
    answer = Call(query=query).send(answering(lambda request, count: count, query=Count))
    assert answer.status == 400
    ((error),) = answer.json["errors"]
    assert error["field"] == field
    assert reason in error["reason"]


def test_a_contract_lists_all_problems_of_its_route() -> None:
    contract = Contract(answers=Purse, body=Purse, idempotent=True, problems=(PurseClosed,))
    assert [problem.code for problem in contract.refusals] == [
        "idempotency_key_missing",
        "invalid_idempotency_key",
        "invalid_json",
        "invalid_request",
        "purse_closed",
    ]
    assert [problem.code for problem in Contract(answers=Purse, query=Count).refusals] == [
        "invalid_request"
    ]
    assert Contract(answers=Purse).refusals == ()


def fingerprint(body: str | bytes) -> str:
    return Request(correlation_id="1", caller="me", headers={}, path={}, body=body).fingerprint


@pytest.mark.parametrize(
    "otherwise",
    [
        '{"metal": "gold", "cents": 2}',
        ' {\n\t"cents" : 2,"metal":"gold" }\n',
        b'{"cents":2,"metal":"gold"}',
        '{"cents":2,"metal":"g\\u006fld"}',
        '{"cents":2.0,"metal":"gold"}',
        '{"cents":20e-1,"metal":"gold"}',
        '{"cents":1,"metal":"tin","cents":2,"metal":"gold"}',
    ],
    ids=str,
)
def test_equivalent_json_has_the_same_fingerprint(otherwise: str | bytes) -> None:
    assert fingerprint(otherwise) == fingerprint('{"cents":2,"metal":"gold"}')


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ('{"a":1}', '{"a":1,"b":null}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":0}', '{"a":null}'),
        ('{"a":1.5}', '{"a":1.25}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":{"b":1},"c":2}', '{"a":{"b":1,"c":2}}'),
        ('{"a":"gold"}', '{"a":"Gold"}'),
        ('{"a":"gold"}', '{"a":" gold"}'),
        # An é as one code point and as two: text is not normalized, so these differ.
        ('{"a":"\\u00e9"}', '{"a":"e\\u0301"}'),
    ],
)
def test_different_bodies_have_different_fingerprints(one: str, another: str) -> None:
    assert fingerprint(one) != fingerprint(another)


def test_numbers_of_any_size_have_fingerprints() -> None:
    numbers = ["1e300", "2e300", "9007199254740992.0", "9007199254740994.0", "1" + "0" * 300]
    assert len({fingerprint(f'{{"a":{number}}}') for number in numbers}) == len(numbers)
    assert fingerprint('{"a":-0.0}') == fingerprint('{"a":0}')
