"""HTTP endpoints: requests, answers, and problems as in RFC 9457."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, TypedDict, TypeVar, Unpack, overload

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext
from msgspec import Struct

from lambdas.eventing import codes, telemetry, text, trace
from lambdas.eventing.declaration import Handler, Use
from lambdas.eventing.event import Cause, Event
from lambdas.eventing.trace import TraceContext

A = TypeVar("A")
B = TypeVar("B")


class Audience(StrEnum):
    """The people whom a route is for. Each audience has its own user pool and its own tokens."""

    CUSTOMER = "customer"
    STAFF = "staff"


SYNTHETIC = "synthetic"
"""The group of the user pool whose members test the deployed system."""
_GROUPS = "cognito:groups"
"""The claim of an access token with the user's groups.
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
"""

IDEMPOTENCY_KEY = "idempotency-key"
MAX_KEY_LENGTH = 128
KEY_PATTERN = r"^[ -~]+$"
"""Printable ASCII, as header values are: https://www.rfc-editor.org/rfc/rfc9110#section-5.5"""
_SHOWN = 300
"""How many characters of a faulty request an answer repeats."""

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

_RENAMED: Mapping[int, str] = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Status phrases of RFC 9110. Before Python 3.13, HTTPStatus has those of earlier RFCs.

https://www.rfc-editor.org/rfc/rfc9110#name-status-codes
"""


@dataclass(eq=False)
class Problem(Exception):
    """An answer of 4xx or 5xx: each kind is a subclass, whose docstring says what is wrong.

    `detail` says where, and what to do. The answer also contains the subclass's other fields.
    https://www.rfc-editor.org/rfc/rfc9457
    """

    status: ClassVar[HTTPStatus]
    title: ClassVar[str]
    """The phrase of the status, the same on every version of Python."""
    code: ClassVar[str]
    """The name of the class in snake case, for programs."""
    retry_after_s: ClassVar[int | None] = None

    detail: str

    def __init_subclass__(cls, *, status: HTTPStatus, retry_after_s: int | None = None) -> None:
        super().__init_subclass__()
        cls.status = status
        cls.title = _RENAMED.get(status, status.phrase)
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        cls.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Returns the problem in one line, for logs and tests."""
        return f"{self.status.value} {self.code}: {self.detail}"

    def document(self) -> dict[str, Any]:
        """Returns the body of the answer."""
        return {
            "type": f"urn:problem:{self.code}",
            "title": self.title,
            "status": self.status.value,
            "code": self.code,
            **{field.name: getattr(self, field.name) for field in fields(self)},
        }

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer besides its type."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request."""

    field: Annotated[
        str,
        msgspec.Meta(
            description="Where it is; (body) or (query) as a whole",
            examples=["lines[0].quantity"],
        ),
    ]
    reason: Annotated[
        str,
        msgspec.Meta(description="What is wrong with it", examples=["Expected `int` >= 1"]),
    ]


@dataclass(eq=False)
class InvalidJson(Problem, status=HTTPStatus.BAD_REQUEST):
    """The body is not JSON."""

    errors: list[Fault]


@dataclass(eq=False)
class InvalidRequest(Problem, status=HTTPStatus.BAD_REQUEST):
    """A field of the body, or an argument of the query, is missing or wrong."""

    errors: list[Fault]


class IdempotencyKeyMissing(Problem, status=HTTPStatus.BAD_REQUEST):
    """The header Idempotency-Key is missing."""


class InvalidIdempotencyKey(Problem, status=HTTPStatus.BAD_REQUEST):
    """The header Idempotency-Key is too long, or contains other characters than printable ASCII."""


class _Call(Cause, frozen=True, kw_only=True):
    """A request of which only the envelope is known."""

    traceparent: str | None

    @property
    def trace(self) -> TraceContext:
        """The caller's span, or the beginning of the trace of the request's id."""
        return TraceContext.read(self.traceparent) or TraceContext.of(self.correlation_id)


class Request(Cause, frozen=True, kw_only=True):
    """An authorized request. `caller` is the token's subject, proven by the authorizer.

    So are the other `claims` of the token.
    """

    caller: str
    claims: Mapping[str, str] = {}
    headers: Mapping[str, str]
    path: Mapping[str, str]
    query: Mapping[str, str] = {}
    body: bytes | str

    @property
    def synthetic(self) -> bool:
        """Whether the caller is in the group of users that test the deployed system.

        Only an administrator of the user pool can add a user to a group.
        """
        # A list of values is one text in brackets, without commas.
        return SYNTHETIC in self.claims.get(_GROUPS, "").strip("[]").split()

    @property
    def idempotency_key(self) -> str:
        """The header Idempotency-Key. Raises Problem 400 if it is missing or invalid."""
        key = self.headers.get(IDEMPOTENCY_KEY, "")
        if not key:
            raise IdempotencyKeyMissing(
                f"Idempotency-Key: send this header with 1 to {MAX_KEY_LENGTH} printable ASCII "
                "characters. Use a new key for each order, and the same key to repeat a request"
            )
        if not re.fullmatch(KEY_PATTERN, key):
            odd = re.sub(r"[ -~]", "", key)[0]
            fault = text.fault(odd) or f"contains U+{ord(odd):04X}, which is not ASCII"
            raise InvalidIdempotencyKey(f"Idempotency-Key: {fault}: percent-encode the key")
        if len(key) > MAX_KEY_LENGTH:
            raise InvalidIdempotencyKey(
                f"Idempotency-Key: has {len(key)} characters, but may have at most {MAX_KEY_LENGTH}"
            )
        return key

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the JSON body in a canonical form, in hexadecimal.

        The order of keys, whitespace, escapes and the notation of numbers (`1`, `1.0`, `1e0`) make
        no difference. If a key occurs twice, the last value counts, as it does for `decode`. `null`
        differs from an absent field, and text is not normalized. The fingerprint does not depend on
        the class of the body, so a new field in that class does not change it. Use it only for a
        body that `decode` accepts.
        """
        canonical = msgspec.json.encode(_PLAIN.decode(self.body), order="sorted")
        return sha256(canonical).hexdigest()

    def decode(self, body_type: type[B]) -> B:
        """Returns the body as `body_type`. Raises Problem 400 that names field and reason."""
        try:
            return _checked(msgspec.json.decode(self.body, type=body_type))
        except msgspec.ValidationError as error:
            raise _invalid(error, body_type, "(body)", _plain(self.body)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            fault = Fault(field="(body)", reason=str(error))
            raise InvalidJson(f"the body is not JSON: {error}", [fault]) from error

    def arguments(self, query_type: type[B]) -> B:
        """Returns the query string as `query_type`. Raises Problem 400 as `decode` does."""
        try:
            return _checked(msgspec.convert(dict(self.query), query_type, strict=False))
        except msgspec.ValidationError as error:
            raise _invalid(error, query_type, "(query)", dict(self.query)) from error


class Terms(TypedDict, total=False):
    """The options of a route besides the types of its body, query and answer."""

    publishes: Iterable[type[Event]]
    uses: Iterable[Use]
    status: HTTPStatus
    location: str
    audience: Audience
    idempotent: bool
    problems: tuple[type[Problem], ...]


class Contract(Struct, frozen=True, kw_only=True):
    """The types and options of a route, from which requests are read and the API is documented."""

    answers: type[Any]
    body: type[Any] | None = None
    query: type[Any] | None = None
    status: HTTPStatus = HTTPStatus.OK
    location: str | None = None
    """The header Location: a path with names of the answer's fields in braces."""
    audience: Audience = Audience.CUSTOMER
    idempotent: bool = False
    """Whether requests need an Idempotency-Key."""
    problems: tuple[type[Problem], ...] = ()
    """The problems that the handler itself raises."""

    def read(self, request: Request) -> tuple[Any, ...]:
        """Returns the handler's arguments besides the request. Raises Problem 400."""
        if self.idempotent:
            _ = request.idempotency_key
        if self.query:
            return (request.arguments(self.query),)
        return (request.decode(self.body),) if self.body else ()

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """The problems that `read` and the handler raise."""
        found: list[type[Problem]] = []
        if self.idempotent:
            found += [IdempotencyKeyMissing, InvalidIdempotencyKey]
        if self.body:
            found.append(InvalidJson)
        if self.body or self.query:
            found.append(InvalidRequest)
        return (*found, *self.problems)


class Endpoint(Handler[dict[str, Any]]):
    """The Lambda entry of an API route (payload format 2.0).

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """

    decorator: ClassVar[str] = "endpoint"

    def __init__(
        self,
        answer: Callable[..., Any],
        *,
        publishes: Iterable[type[Event]] = (),
        uses: Iterable[Use] = (),
        **contract: Any,
    ) -> None:
        super().__init__(answer, publishes=publishes, uses=uses)
        self.contract = Contract(**contract)
        self._answer = answer

    def _invoke(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answers a request. An error other than a Problem passes through: the answer is a 500."""
        route = event["routeKey"]
        cause = _Call(
            correlation_id=event["requestContext"]["requestId"],
            traceparent=event.get("headers", {}).get(trace.HEADER),
        )
        with telemetry.span(cause, name=route, kind="server", route=route) as span:
            try:
                request = self._admit(event, cause)
                view = self._answer(request, *self.contract.read(request))
            except Problem as problem:
                span.outcome = "refused"
                telemetry.logger().info("refused", status=problem.status.value, code=problem.code)
                telemetry.count("RefusedRequests")
                document = problem.document()
                return _encode(problem.status, document, PROBLEM_JSON, problem.headers)
            return _encode(self.contract.status, view, JSON, self._headers(view))

    @property
    def refusals(self) -> tuple[type[Problem], ...]:
        """All problems that a caller may get."""
        return self.contract.refusals

    def _admit(self, event: dict[str, Any], cause: Cause) -> Request:
        """Returns the request of the caller whom the gateway has authorized.

        The gateway accepts only tokens of the route's audience.
        """
        claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
        return request_of(event, cause, caller=claims["sub"], claims=claims)

    def _headers(self, view: Any) -> dict[str, str]:
        location = self.contract.location
        return {"location": location.format_map(msgspec.structs.asdict(view))} if location else {}


@overload
def endpoint(
    *, answers: type[A], **terms: Unpack[Terms]
) -> Callable[[Callable[[Request], A]], Endpoint]: ...
@overload
def endpoint(
    *, body: type[B], answers: type[A], **terms: Unpack[Terms]
) -> Callable[[Callable[[Request, B], A]], Endpoint]: ...
@overload
def endpoint(
    *, query: type[B], answers: type[A], **terms: Unpack[Terms]
) -> Callable[[Callable[[Request, B], A]], Endpoint]: ...
def endpoint(**terms: Any) -> Callable[..., Endpoint]:
    """Makes a function of a request, and of its body or query, the handler of a route.

    The function's docstring documents the route: its first line says what it does.
    """
    return partial(Endpoint, **terms)


def request_of(
    event: dict[str, Any], cause: Cause, *, caller: str, claims: Mapping[str, str] | None = None
) -> Request:
    """Returns the request of `caller`."""
    body: bytes | str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = b64decode(body)
    return Request(
        correlation_id=cause.correlation_id,
        caller=caller,
        claims=claims or {},
        headers=event.get("headers", {}),
        path=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        body=body,
    )


def _checked(decoded: B) -> B:
    """Returns `decoded`. Raises msgspec.ValidationError if a string has a forbidden character.

    Only requests are checked. Events may still contain such characters from earlier releases.
    """
    for reason, where in _faults(decoded):
        raise msgspec.ValidationError(f"{reason} - at `${where}`")
    return decoded


def _plain(body: bytes | str) -> Any:
    """Returns the body as plain data, or None if it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _faults(value: Any) -> Iterator[tuple[str, str]]:
    """Yields the fault and the path, as msgspec writes it, of each string with a bad character."""
    waiting = [("", value)]
    while waiting:
        path, part = waiting.pop()
        parts: list[tuple[str, Any]] = []
        if isinstance(part, str):
            if fault := text.fault(part):
                yield fault, path
        elif isinstance(part, Struct):
            names = zip(part.__struct_encode_fields__, part.__struct_fields__, strict=True)
            parts = [(f"{path}.{name}", getattr(part, field)) for name, field in names]
        elif isinstance(part, dict):
            parts = [(f"{path}.{name}", each) for name, each in part.items()]
        elif isinstance(part, list | tuple):
            parts = [(f"{path}[{place}]", each) for place, each in enumerate(part)]
        waiting += reversed(parts)


def _invalid(error: msgspec.ValidationError, expected: type[Any], whole: str, sent: Any) -> Problem:
    reason, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`")
    # "Does not match the pattern" helps less than the name of the character.
    for fault, where in _faults(sent):
        if where.startswith(path):
            reason, path = fault, where
            break
    # msgspec repeats the value, and does not name the codes.
    if re.match("Invalid (enum )?value", reason) and (known := codes.allowed(expected, path)):
        reason = f"Expected one of {', '.join(known)}"
    reason = re.sub(r"(?<=`str` of length )(..) (\d+)", r"\1 \2 characters", reason)
    # Both may repeat the sent value, which may be long; an answer has at most 6 MB.
    reason, where = _cut(reason), _cut(path.lstrip(".")) or whole
    return InvalidRequest(f"{where}: {reason}", [Fault(field=where, reason=reason)])


def _number(text: str) -> float:
    """Returns a number with a fraction or an exponent; as an int if it is a whole number."""
    number = float(text)
    return int(number) if number.is_integer() else number


_PLAIN = msgspec.json.Decoder(float_hook=_number)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _encode(
    status: HTTPStatus, body: object, content_type: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": {"content-type": content_type, **headers},
        "body": msgspec.json.encode(body).decode(),
    }
