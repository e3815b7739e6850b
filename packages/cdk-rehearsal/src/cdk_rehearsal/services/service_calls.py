"""Integrations of REST APIs with AWS services: from a mapped request to an API call and back."""

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from botocore import xform_name
from botocore.exceptions import ClientError

from cdk_rehearsal.core import Core
from cdk_rehearsal.target_inputs import JsonPath

_URI = re.compile(
    r"arn:aws:apigateway:[\w-]+:(?P<service>[\w.-]+):(?P<kind>action|path)/(?P<rest>.*)"
)
_CLIENTS = {"states": "stepfunctions"}
"""The names of services that boto3 knows by another one."""


def _bus(call: Mapping[str, Any], here: str) -> str:
    name = str((call.get("Entries") or [{}])[0].get("EventBusName", "default"))
    return name if name.startswith("arn:") else f"arn:aws:events:{here}:event-bus/{name}"


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "dynamodb": lambda call, here: f"arn:aws:dynamodb:{here}:table/{call.get('TableName')}",
    "events": _bus,
    "kinesis": lambda call, here: f"arn:aws:kinesis:{here}:stream/{call.get('StreamName')}",
    "sns": lambda call, here: str(call.get("TopicArn")),
    "sqs": lambda call, here: f"arn:aws:sqs:{here}:{str(call['QueueUrl']).rpartition('/')[2]}",
    "states": lambda call, here: str(call.get("stateMachineArn")),
}
"""The ARN of the resource of a call, by service."""

SERVICES = frozenset(_RESOURCES)


def service_of(uri: str) -> str | None:
    """Returns the service in the URI of an integration, if it can be rehearsed."""
    found = _URI.fullmatch(uri)
    return found["service"] if found and found["service"] in SERVICES else None


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
        return self._perform(service, operation, parameters, str(integration.get("Credentials")))

    def _perform(
        self, service: str, operation: str, parameters: dict[str, Any], role: str
    ) -> tuple[int, str]:
        core = self._core
        session = core.access.session(role, "BackplaneAssumeRoleSession")
        client = core.client(_CLIENTS.get(service, service), session)
        if operation not in client.meta.service_model.operation_names:
            return 400, json.dumps({"__type": "UnknownOperationException"})
        shape = client.meta.service_model.operation_model(operation).input_shape
        call = _typed(_unflattened(parameters) if service in ("sqs", "sns") else parameters, shape)
        resource = _RESOURCES[service](call, f"{core.region}:{core.account}")
        error: str | None = None
        try:
            answer = getattr(client, xform_name(operation))(**call)
            answer.pop("ResponseMetadata", None)
            status, text = 200, _json(service, operation, answer, core.new_id())
        except ClientError as failure:
            details = failure.response["Error"]
            error = details["Code"]
            status = failure.response["ResponseMetadata"].get("HTTPStatusCode", 400)
            text = json.dumps({"__type": error, "message": details.get("Message", "")})
        core.meter.add(
            "call",
            self._path,
            core.path_of(str(call.get("QueueUrl") or resource)),
            service=_CLIENTS.get(service, service),
            operation=operation,
            error=error,
        )
        return status, text


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
    """Returns a value of JSON as boto3 takes it: blobs as bytes, numbers as numbers."""
    kind = shape.type_name if shape is not None else ""
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
        return base64.b64decode(value)
    if kind in ("integer", "long") and isinstance(value, str):
        return int(value)
    if kind == "string" and isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"))
    return value


def _json(service: str, operation: str, answer: Any, request_id: str) -> str:
    if service in ("sqs", "sns"):
        if operation == "ReceiveMessage":
            answer = {"messages": answer.get("Messages")}
        metadata = {"RequestId": request_id}
        answer = {
            f"{operation}Response": {f"{operation}Result": answer} | {"ResponseMetadata": metadata}
        }
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
