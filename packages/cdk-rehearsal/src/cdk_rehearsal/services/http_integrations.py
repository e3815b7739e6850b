"""Integrations of HTTP APIs with AWS services: from parameters to an API call and back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from cdk_rehearsal.services import http_mappings
from cdk_rehearsal.services.apis import HttpResponse
from cdk_rehearsal.services.service_calls import Outcome, ServiceCalls, as_json


@dataclass(frozen=True)
class Subtype:
    """An API call that an integration can make."""

    service: str
    operation: str
    required: frozenset[str]
    optional: frozenset[str]


def _subtype(service: str, operation: str, required: str, optional: str = "") -> Subtype:
    known = frozenset({*optional.split(), "Region"})
    return Subtype(service, operation, frozenset(required.split()), known)


SUBTYPES: Mapping[str, Subtype] = {
    "EventBridge-PutEvents": _subtype(
        "events",
        "PutEvents",
        "Detail DetailType Source",
        "Time EventBusName Resources TraceHeader",
    ),
    "SQS-SendMessage": _subtype(
        "sqs",
        "SendMessage",
        "QueueUrl MessageBody",
        "DelaySeconds MessageAttributes MessageDeduplicationId MessageGroupId "
        "MessageSystemAttributes",
    ),
    "SQS-ReceiveMessage": _subtype(
        "sqs",
        "ReceiveMessage",
        "QueueUrl",
        "AttributeNames MaxNumberOfMessages MessageAttributeNames ReceiveRequestAttemptId "
        "VisibilityTimeout WaitTimeSeconds",
    ),
    "SQS-DeleteMessage": _subtype("sqs", "DeleteMessage", "QueueUrl ReceiptHandle"),
    "SQS-PurgeQueue": _subtype("sqs", "PurgeQueue", "QueueUrl"),
    "Kinesis-PutRecord": _subtype(
        "kinesis",
        "PutRecord",
        "StreamName Data PartitionKey",
        "SequenceNumberForOrdering ExplicitHashKey",
    ),
    "StepFunctions-StartExecution": _subtype(
        "states", "StartExecution", "StateMachineArn", "Name Input"
    ),
    "StepFunctions-StartSyncExecution": _subtype(
        "states", "StartSyncExecution", "StateMachineArn", "Name Input TraceHeader"
    ),
    "StepFunctions-StopExecution": _subtype(
        "states", "StopExecution", "ExecutionArn", "Cause Error"
    ),
}
"""The calls by IntegrationSubtype, with their parameters.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
"""


def problems(subtype: Subtype, parameters: Mapping[str, str], region: str) -> Iterator[str]:
    """Yields what is wrong with the parameters of an integration."""
    if missing := subtype.required - parameters.keys():
        yield f"{subtype.operation} needs {', '.join(sorted(missing))}: map them"
    if unknown := parameters.keys() - subtype.required - subtype.optional:
        yield f"{subtype.operation} does not take {', '.join(sorted(unknown))}"
    if parameters.get("Region", region) != region:
        yield f"Region = {parameters['Region']}: the rehearsal has one region, {region}"
    for source in parameters.values():
        if problem := http_mappings.problem_of(source):
            yield problem


@dataclass(frozen=True)
class ServiceIntegration:
    """One integration with a service; `role` is the ARN of the role that calls it."""

    subtype: Subtype
    parameters: Mapping[str, str]
    role: str

    def respond(self, calls: ServiceCalls, event: http_mappings.Event) -> HttpResponse:
        """Makes the call for a request, and returns the service's answer."""
        found = {
            name: value
            for name, source in self.parameters.items()
            if name != "Region" and (value := http_mappings.value(source, event)) is not None
        }
        service = self.subtype.service
        if service == "events":
            call: dict[str, Any] = {"Entries": [found]}
        elif service == "states":
            call = {name[0].lower() + name[1:]: value for name, value in found.items()}
        else:
            call = found
        outcome = calls.perform(service, self.subtype.operation, call, self.role)
        if service == "sqs":
            body = _xml(self.subtype.operation, outcome)
            # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
            status = 403 if outcome.error == "AccessDenied" else outcome.status
            return HttpResponse(status, {"content-type": "text/xml"}, body)
        kind = {"content-type": "application/x-amz-json-1.1"}
        if outcome.error is None:
            return HttpResponse(outcome.status, kind, as_json(outcome.answer))
        error = {"__type": outcome.error, "message": outcome.message}
        return HttpResponse(outcome.status, kind, json.dumps(error, separators=(",", ":")))


def _xml(operation: str, outcome: Outcome) -> str:
    """The answer of SQS to a call in its query protocol.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-query-api-responses.html
    """
    ending = _element("RequestId", outcome.request_id)
    if outcome.error is None:
        name = f"{operation}Response"
        result = _element(f"{operation}Result", outcome.answer) if outcome.answer else ""
        content = result + f"<ResponseMetadata>{ending}</ResponseMetadata>"
    else:
        name = "ErrorResponse"
        error = {"Type": "Sender", "Code": outcome.error, "Message": outcome.message}
        content = _element("Error", error) + ending
    namespace = "http://queue.amazonaws.com/doc/2012-11-05/"
    return f'<?xml version="1.0"?><{name} xmlns="{namespace}">{content}</{name}>'


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name.removesuffix("s"), each) for each in value)
    if isinstance(value, Mapping) and name in _MAPS:
        # The query protocol writes a map as a list of names and values.
        pairs = [{"Name": key, "Value": each} for key, each in value.items()]
        return "".join(_element(_MAPS[name], pair) for pair in pairs)
    if isinstance(value, Mapping):
        content = "".join(_element(key, each) for key, each in value.items())
    else:
        content = escape(str(value))
    return f"<{name}>{content}</{name}>"


_MAPS = {"Attributes": "Attribute", "MessageAttributes": "MessageAttribute"}
