"""Integrations of APIs with AWS services: from a mapped request to an API call and back."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError

from cdk_rehearsal.core import Core
from cdk_rehearsal.target_inputs import JsonPath

_URI = re.compile(
    r"arn:aws:apigateway:[\w-]+:(?P<service>[\w.-]+):(?P<kind>action|path)/(?P<rest>.*)"
)
_CLIENTS = {"states": "stepfunctions"}
"""The names of services that boto3 knows by another one."""


def _bus(call: Mapping[str, Any], core: Core) -> str:
    name = str((call.get("Entries") or [{}])[0].get("EventBusName", "default"))
    return name if name.startswith("arn:") else _arn(core, "events", f"event-bus/{name}")


def _arn(core: Core, service: str, name: str) -> str:
    return f"arn:aws:{service}:{core.region}:{core.account}:{name}"


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any], Core], str]] = {
    "dynamodb": lambda call, core: _arn(core, "dynamodb", f"table/{call.get('TableName')}"),
    "events": _bus,
    "kinesis": lambda call, core: _arn(core, "kinesis", f"stream/{call.get('StreamName')}"),
    "sns": lambda call, core: str(call.get("TopicArn")),
    "sqs": lambda call, core: str(call.get("QueueUrl")),
    "states": lambda call, core: str(call.get("stateMachineArn") or call.get("executionArn")),
}
"""What the resource of a call is known by, by service."""

SERVICES = frozenset(_RESOURCES)


def service_of(uri: str) -> str | None:
    """Returns the service in the URI of an integration, if it can be rehearsed."""
    found = _URI.fullmatch(uri)
    return found["service"] if found and found["service"] in SERVICES else None


@dataclass(frozen=True)
class Outcome:
    """What a service answers to a call: a result, or the code and message of an error."""

    status: int
    request_id: str
    answer: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    message: str = ""


class ServiceCalls:
    """Calls services as the role of an integration.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-request-basic-setup.html
    """

    def __init__(self, core: Core, path: str) -> None:
        """``path`` is that of the API, for records."""
        self._core = core
        self._path = path

    def call(
        self,
        uri: str,
        integration: Mapping[str, Any],
        body: str,
        value_of: Callable[[str], Any],
    ) -> tuple[int, str]:
        """Makes a call; returns the status and the body of its answer, in JSON."""
        found = _URI.fullmatch(uri)
        if found is None:
            return 500, "{}"
        service, rest = found["service"], found["rest"]
        stated = {
            name.rpartition(".")[2]: value_of(str(source))
            for name, source in (integration.get("RequestParameters") or {}).items()
            if name.startswith("integration.request.querystring.")
        }
        form = service in ("sqs", "sns")
        try:
            given = dict(parse_qsl(body)) if form else json.loads(body or "{}")
        except ValueError:
            return 400, json.dumps({"__type": "SerializationException"})
        parameters = {**stated, **(given if isinstance(given, dict) else {})}
        operation = rest if found["kind"] == "action" else str(parameters.pop("Action", ""))
        parameters.pop("Version", None)
        if service == "sqs":
            host = f"https://sqs.{self._core.region}.amazonaws.com"
            parameters["QueueUrl"] = f"{host}/{rest.strip('/')}"
        if form:
            parameters = _unflattened(parameters)
        outcome = self.perform(service, operation, parameters, str(integration.get("Credentials")))
        if outcome.error is not None:
            error = {"__type": outcome.error, "message": outcome.message}
            return outcome.status, json.dumps(error)
        answer = outcome.answer
        if form:
            if operation == "ReceiveMessage":
                answer = {"messages": answer.get("Messages")}
            metadata = {"RequestId": outcome.request_id}
            result = {f"{operation}Result": answer, "ResponseMetadata": metadata}
            answer = {f"{operation}Response": result}
        return outcome.status, as_json(answer)

    def perform(
        self, service: str, operation: str, parameters: Mapping[str, Any], role: str
    ) -> Outcome:
        """Makes a call with parameters as they are in JSON."""
        core = self._core
        session = core.access.session(role, "BackplaneAssumeRoleSession")
        client = core.client(_CLIENTS.get(service, service), session)
        request_id = core.new_id()
        if operation not in client.meta.service_model.operation_names:
            return Outcome(400, request_id, error="UnknownOperationException")
        shape = client.meta.service_model.operation_model(operation).input_shape
        outcome = Outcome(200, request_id)
        call: Mapping[str, Any] = {}
        try:
            call = _typed(parameters, shape)
            answer = getattr(client, xform_name(operation))(**call)
            answer.pop("ResponseMetadata", None)
            outcome = Outcome(200, request_id, answer)
        except ClientError as failure:
            details = failure.response["Error"]
            status = failure.response["ResponseMetadata"].get("HTTPStatusCode", 400)
            code, message = details["Code"], details.get("Message", "")
            outcome = Outcome(status, request_id, error=code, message=message)
        except (ParamValidationError, ValueError) as failure:
            # Clients find such a mistake before they send the call; the service would refuse it.
            code = "MissingParameter" if service == "sqs" else "ValidationException"
            outcome = Outcome(400, request_id, error=code, message=str(failure))
        target = _RESOURCES[service](call, core)
        core.meter.add(
            "call",
            self._path,
            core.path_of(target),
            service=_CLIENTS.get(service, service),
            operation=operation,
            error=outcome.error,
        )
        return outcome


def _unflattened(form: Mapping[str, str]) -> dict[str, Any]:
    """Returns the parameters of the query protocol as an object.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
    """
    result: dict[str, Any] = {}
    for name, value in form.items():
        attribute = re.fullmatch(
            r"MessageAttributes?(?:\.entry)?\.(\d+)\.(Name|Value\.(\w+))", name
        )
        if attribute is None:
            result[name] = value
            continue
        entry = result.setdefault("_attributes", {}).setdefault(attribute[1], {})
        entry[attribute[3] or "Name"] = value
    attributes = result.pop("_attributes", {})
    if attributes:
        result["MessageAttributes"] = {
            entry.pop("Name"): entry for entry in attributes.values() if "Name" in entry
        }
    return result


def _typed(value: Any, shape: Any) -> Any:
    """Returns a value of JSON as boto3 takes it: blobs as bytes, numbers as numbers.

    Raises ValueError for a text that is not of its type.
    """
    kind = shape.type_name if shape is not None else ""
    if kind in ("structure", "map", "list") and isinstance(value, str):
        value = json.loads(value)
    if kind == "structure" and isinstance(value, Mapping):
        return {
            name: _typed(inner, shape.members[name])
            for name, inner in value.items()
            if name in shape.members
        }
    if kind == "map" and isinstance(value, Mapping):
        return {name: _typed(inner, shape.value) for name, inner in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_typed(inner, shape.member) for inner in value]
    if kind == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind == "string" and isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"))
    return value


def as_json(answer: Any) -> str:
    """Returns an answer as JSON: bytes in Base64, times in seconds."""
    return json.dumps(answer, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.timestamp()


def template_scope(
    body: str,
    params: Mapping[str, Mapping[str, str]],
    context: Mapping[str, Any],
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """Returns the variables of a mapping template.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """

    def at(path: str) -> Any:
        try:
            content = json.loads(body) if body else {}
        except ValueError:
            content = body
        return JsonPath(path).select(content)

    def param(*names: str) -> Any:
        if not names:
            return params
        return next((each[names[0]] for each in params.values() if names[0] in each), "")

    return {
        "input": {
            "body": body,
            "json": lambda path: json.dumps(at(path), separators=(",", ":")),
            "params": param,
            "path": at,
        },
        "context": context,
        "stageVariables": variables,
        "util": _UTILITIES,
    }


_UTILITIES: Mapping[str, Callable[[Any], Any]] = {
    "base64Decode": lambda text: base64.b64decode(text).decode(),
    "base64Encode": lambda text: base64.b64encode(_text(text).encode()).decode(),
    "escapeJavaScript": lambda text: json.dumps(_text(text))[1:-1].replace("'", "\\'"),
    "parseJson": json.loads,
    "urlDecode": lambda text: unquote(_text(text).replace("+", " ")),
    "urlEncode": lambda text: quote(_text(text), safe="*-._").replace("%20", "+"),
}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
