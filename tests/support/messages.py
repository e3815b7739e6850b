"""Input of handlers, built from event classes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.eventing.event import Cause, CloudEvent, Event


def context(milliseconds_left: Callable[[], int] = lambda: 10_000) -> LambdaContext:
    """The context of an invocation that may still run for some time."""
    return cast(
        LambdaContext,
        SimpleNamespace(
            aws_request_id="request-1",
            function_name="function",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:function",
            get_remaining_time_in_millis=milliseconds_left,
        ),
    )


CONTEXT = context()


def enveloped(event: Event, *, correlation_id: str = "correlation-1") -> CloudEvent:
    """The event as its publisher sends it."""
    return CloudEvent.wrap(event, Cause(correlation_id=correlation_id))


def body(envelope: CloudEvent) -> str:
    """The body of the message that the bus puts in a queue.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
    """
    detail = json.loads(envelope.to_json())
    message = {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000000",
        "detail-type": envelope.type,
        "source": envelope.source,
        "account": "123456789012",
        "time": "2026-01-05T08:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }
    return json.dumps(message)


def batch(*messages: CloudEvent | str) -> dict[str, Any]:
    """A batch of SQS records; their message ids are `m1`, `m2` and so on.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"handle-{number}",
                "body": message if isinstance(message, str) else body(message),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:queue",
                "awsRegion": "eu-central-1",
            }
            for number, message in enumerate(messages, start=1)
        ]
    }


def failed(response: Any) -> list[str]:
    """The message ids or sequence numbers that the service delivers again."""
    return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]


def task_input(
    envelope: CloudEvent, *, error: str | None = None, reason: str | None = None
) -> dict[str, Any]:
    """The input of a task in the workflow or, with an error, of a compensation.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    state: dict[str, Any] = {"detail": json.loads(body(envelope))["detail"]}
    if error:
        cause = json.dumps({"errorMessage": reason, "errorType": error, "stackTrace": []})
        state["failure"] = {"Error": error, "Cause": cause}
    return state


@dataclass(frozen=True)
class Answer:
    """A response of the API as its caller sees it."""

    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that API Gateway has authorized, in payload format 2.0.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """

    route: str = "POST /orders"
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    caller: str = "customer-1"
    claims: Mapping[str, str] = field(default_factory=dict)
    """The claims of the token besides `sub`."""
    encoded: bool = False

    def event(self) -> dict[str, Any]:
        """The input of the function."""
        method, path = self.route.split()
        claims = {**self.claims, "sub": self.caller}
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": self.route,
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "application/json", **self.headers},
            "requestContext": {
                "requestId": "request-1",
                "http": {"method": method, "path": path},
                "authorizer": {"jwt": {"claims": claims, "scopes": None}},
            },
            "isBase64Encoded": self.encoded,
        }
        if self.path:
            event["pathParameters"] = dict(self.path)
        if self.query:
            event["queryStringParameters"] = dict(self.query)
        if self.body is not None:
            event["body"] = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return event

    def send(self, handler: Any) -> Answer:
        """The response of `handler`."""
        response = handler(self.event(), CONTEXT)
        return Answer(response["statusCode"], response["headers"], json.loads(response["body"]))
