"""The HTTP side: API Gateway's requests to typed bodies, and problems as RFC 9457 tells them."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing import telemetry
from lambdas.eventing.event import Cause

B = TypeVar("B")

STAFF = "staff"
"""The group of the user pool whose members work for the shop."""


class Problem(Exception):
    """An answer of 4xx: what is wrong, where, and what to do about it."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status.value} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The problem document.

        https://www.rfc-editor.org/rfc/rfc9457
        """
        return {
            "type": f"urn:problem:{self.code}",
            "title": self.status.phrase,
            "status": self.status.value,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }


@dataclass(frozen=True, kw_only=True)
class Request(Cause):
    """An authorized request. `caller` is the token's subject, proven by the authorizer."""

    caller: str
    groups: frozenset[str] = frozenset()
    headers: Mapping[str, str]
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str

    def require_staff(self) -> None:
        """Raises Problem 403 unless the caller works for the shop."""
        if STAFF not in self.groups:
            raise Problem(
                HTTPStatus.FORBIDDEN, "staff_only", f"only members of the group {STAFF!r} may"
            )

    def decode(self, body_type: type[B]) -> B:
        """The body as `body_type`. Raises Problem 400 that says which field is wrong and why."""
        try:
            return msgspec.json.decode(self.body, type=body_type)
        except msgspec.ValidationError as error:
            raise _invalid(error, whole="(body)") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "invalid_json",
                f"the body is not JSON: {error}",
                errors=[{"field": "(body)", "reason": str(error)}],
            ) from error

    def arguments(self, query_type: type[B]) -> B:
        """The query string as `query_type`. Raises Problem 400 as `decode` does."""
        try:
            return msgspec.convert(dict(self.query), query_type, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid(error, whole="(query)") from error


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the caller gets: a status, a JSON body, headers."""

    status: HTTPStatus
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


class Endpoint:
    """The Lambda entry of an API route (payload format 2.0).

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        update_wrapper(self, answer)
        self._answer = answer

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answers a request. An error that is no Problem passes through: the caller gets a 500."""
        cause = Cause(correlation_id=event["requestContext"]["requestId"])
        with telemetry.tracing(cause, route=event["routeKey"]) as logger:
            try:
                response = self._answer(self._admit(event, cause))
            except Problem as problem:
                logger.info("refused", status=problem.status.value, code=problem.code)
                telemetry.count("RefusedRequests")
                return _encode(
                    problem.status, problem.body(), "application/problem+json", problem.headers
                )
            finally:
                telemetry.flush()
            return _encode(response.status, response.body, "application/json", response.headers)

    def _admit(self, event: dict[str, Any], cause: Cause) -> Request:
        """The request of whom the gateway's authorizer let pass."""
        claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
        return request_of(
            event, cause, caller=claims["sub"], groups=_groups(claims.get("cognito:groups", ""))
        )


def endpoint(answer: Callable[[Request], Response]) -> Endpoint:
    """Makes a function of a request the handler of a route."""
    return Endpoint(answer)


def request_of(
    event: dict[str, Any], cause: Cause, *, caller: str, groups: frozenset[str] = frozenset()
) -> Request:
    """What `caller` asks for."""
    body: bytes | str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = b64decode(body)
    return Request(
        correlation_id=cause.correlation_id,
        caller=caller,
        groups=groups,
        headers=event.get("headers", {}),
        path=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        body=body,
    )


def _invalid(error: msgspec.ValidationError, *, whole: str) -> Problem:
    reason, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or whole
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "invalid_request",
        f"{where}: {reason}",
        errors=[{"field": where, "reason": reason}],
    )


def _groups(claim: str) -> frozenset[str]:
    """The groups in a token: the gateway writes the list as `[a b]`, and the names have no blanks.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    return frozenset(claim.strip("[]").replace(",", " ").split())


def _encode(
    status: HTTPStatus, body: object, content_type: str, headers: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": {"content-type": content_type, **headers},
        "body": msgspec.json.encode(body).decode(),
    }
