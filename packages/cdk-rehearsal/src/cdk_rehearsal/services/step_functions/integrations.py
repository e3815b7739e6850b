"""Service integrations: which calls there are, and the names in their requests, results, errors.

moto 5.2.5 passes parameters and results on as they are, so that a call works only if botocore and
Step Functions write its names alike, and a result with a date or a stream ends the rehearsal.
"""

import base64
import importlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError, ParamValidationError, UnknownServiceError
from botocore.model import OperationModel, Shape
from botocore.response import StreamingBody
from moto.backends import ALT_SERVICE_NAMES
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_dynamodb as dynamodb,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (  # noqa: E501
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (  # noqa: E501
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.utils import camel_to_snake_case

from cdk_rehearsal.sandbox.patching import Patches

# https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
_OPTIMIZED = {
    "dynamodb": {"getItem", "putItem", "updateItem", "deleteItem"},
    "events": {"putEvents"},
    "lambda": {"invoke"},
    "sns": {"publish"},
    "sqs": {"sendMessage"},
    "states": {"startExecution"},
}
_JOBS = {"states:startExecution"}
"""Optimized integrations that can wait for the end of a job."""
# The names of services, as Step Functions writes them and as botocore and moto do:
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
_SERVICES = {
    "states": "stepfunctions",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "configservice": "config",
    "eventbridge": "events",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "sfn": "stepfunctions",
}
_RESOURCE = re.compile(
    r"arn:[\w-]+:states:[\w-]*:\d*:(?P<service>[\w-]+):(?P<call>[\w:-]+?)"
    r"(?P<wait>\.sync(?::2)?|\.waitForTaskToken)?"
)
_FUNCTION = re.compile(r"arn:[\w-]+:(?:lambda:[\w-]*:\d*:function:|states:[\w-]*:\d*:activity:).+")
# The names of the Java SDK, with which Step Functions makes the calls.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ACRONYM = re.compile(r"[A-Z]+(?=[A-Z][a-z]|\d|$)")


def unsupported(resource: str) -> str | None:
    """Why a task's resource cannot be rehearsed, None if it can."""
    if _FUNCTION.fullmatch(resource):
        return None
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        return f"{resource!r} is no ARN of a function or of a service integration"
    service, call, wait = found["service"], found["call"], found["wait"] or ""
    if service != "aws-sdk":
        if call in _OPTIMIZED.get(service, ()):
            if not wait.startswith(".sync") or f"{service}:{call}" in _JOBS:
                return None
            return f"the integration {service}:{call} has no {wait}"
        known = ", ".join(f"{name}:{each}" for name in _OPTIMIZED for each in _OPTIMIZED[name])
        return (
            f"the integration {service}:{call} is not supported: use {known}, an aws-sdk "
            "integration or a function"
        )
    name, _, action = call.partition(":")
    problem = _sdk_problem(name, action)
    if problem is None and wait.startswith(".sync"):
        problem = f"has no {wait}"
    return problem and f"the integration aws-sdk:{call} {problem}"


@cache
def _sdk_problem(name: str, action: str) -> str | None:
    service = _service(name)
    try:
        model = _session().get_service_model(service)
    except UnknownServiceError:
        return "is of no service that botocore knows"
    operations = {camel_to_snake_case(each): each for each in model.operation_names}
    if not action[:1].islower() or camel_to_snake_case(action) not in operations:
        return "is no operation of its service"
    if service == "s3":
        return None  # moto tells its operations by their requests.
    module = ALT_SERVICE_NAMES.get(service, service.replace("-", ""))
    try:
        paths = importlib.import_module(f"moto.{module}.urls").url_paths
    except ModuleNotFoundError:
        return "is not supported: moto has no such service"
    responses = [getattr(each, "__self__", None) for each in paths.values()]
    if not any(hasattr(each, camel_to_snake_case(action)) for each in responses):
        return "is not supported: moto has no such operation"
    return None


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@cache
def _service(name: str) -> str:
    if name in _SERVICES:
        return _SERVICES[name]
    services: list[str] = _session().get_available_services()
    names = {each.replace("-", ""): each for each in services}
    return names.get(name, name)


class Integrations:
    """Translates requests, results and errors of calls."""

    def __init__(self, client_of: Callable[..., Any]) -> None:
        """``client_of`` returns the client for a service, and for a role if there is one."""
        self._client_of = client_of

    def patch(self, patches: Patches) -> None:
        """Lets moto's tasks use these translations."""

        def parameters(
            state: StateTaskService,
            parameters: dict[str, Any],
            boto_service_name: str | None = None,
            service_action_name: str | None = None,
        ) -> None:
            operation = self._operation(state, service_action_name)
            if operation.input_shape is not None:
                translated = _request(parameters, operation.input_shape)
                parameters.clear()
                parameters.update(translated)

        def response(
            state: StateTaskService,
            response: Any,
            boto_service_name: str | None = None,
            service_action_name: str | None = None,
        ) -> None:
            operation = self._operation(state, service_action_name)
            if not isinstance(response, dict) or operation.output_shape is None:
                return
            is_sdk = isinstance(state, StateTaskServiceAwsSdk)
            translated = _result(response, operation.output_shape, _java if is_sdk else _pascal)
            if not is_sdk and state.resource.service_name != "events":
                translated |= {name: response[name] for name in _METADATA if name in response}
            response.clear()
            response.update(translated)

        def service_name(state: StateTaskService, boto_service_name: str | None = None) -> str:
            name: str = boto_service_name or state.resource.api_name
            return _service(name)

        patches.set(StateTaskService, "_get_boto_service_name", service_name)
        patches.set(StateTaskService, "_normalise_parameters", parameters)
        patches.set(StateTaskService, "_normalise_response", response)
        patches.set(StateTaskServiceAwsSdk, "_from_error", _sdk_error)
        original = dynamodb.StateTaskServiceDynamoDB._error_cause_from_client_error
        patches.set(
            dynamodb.StateTaskServiceDynamoDB,
            "_error_cause_from_client_error",
            staticmethod(_dynamodb_error(original)),
        )

    def client(self, service: str, role: str) -> Any:
        """Returns a client whose results have metadata, as those of optimized integrations."""
        return _Client(self._client_of(service, role))

    def _operation(self, state: StateTaskService, action: str | None) -> OperationModel:
        meta = self._client_of(state._get_boto_service_name()).meta
        name = meta.method_to_api_mapping[state._get_boto_service_action(action)]
        operation: OperationModel = meta.service_model.operation_model(name)
        return operation


_METADATA = ("SdkHttpMetadata", "SdkResponseMetadata")


class _Client:
    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name not in self.meta.method_to_api_mapping:
            return found

        def call(**parameters: Any) -> Any:
            answer = found(**parameters)
            return answer | sdk_metadata(answer["ResponseMetadata"])

        return call


def sdk_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the result of an optimized integration says of the response."""
    headers = metadata.get("HTTPHeaders", {})
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": dict(headers),
            "HttpStatusCode": metadata["HTTPStatusCode"],
        },
        "SdkResponseMetadata": {"RequestId": metadata.get("RequestId", "")},
    }


def _request(value: Any, shape: Shape) -> Any:
    """A parameter as botocore wants it; names are compared without regard to case.

    The text of other values is their JSON, and so are the bytes of all, even of text:
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-parameters.html
    """
    found: Any = shape
    match shape.type_name, value:
        case "structure", dict():
            names = {name.lower(): name for name in found.members}
            pairs = [(names.get(name.lower(), name), inner) for name, inner in value.items()]
            return {
                name: _request(inner, found.members[name]) if name in found.members else inner
                for name, inner in pairs
            }
        case "map", dict():
            return {name: _request(inner, found.value) for name, inner in value.items()}
        case "list", list():
            return [_request(inner, found.member) for inner in value]
        case "blob", _ if not isinstance(value, bytes):
            return to_json_str(value, separators=(",", ":")).encode()
        case "string", _ if not isinstance(value, str):
            return to_json_str(value, separators=(",", ":"))
    return value


def _result(value: Any, shape: Shape, written: Callable[[str], str]) -> Any:
    """A result as Step Functions gives it: JSON, with names that begin with a capital."""
    found: Any = shape
    match shape.type_name, value:
        case "structure", dict():
            return {
                written(name): _result(inner, found.members[name], written)
                for name, inner in value.items()
                if name in found.members
            }
        case "map", dict():
            return {name: _result(inner, found.value, written) for name, inner in value.items()}
        case "list", list():
            return [_result(inner, found.member, written) for inner in value]
        case _, datetime():
            return _instant(value)
        case _, StreamingBody():
            return value.read().decode(errors="replace")
        case _, bytes():
            return base64.b64encode(value).decode()
    return value


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


def _java(name: str) -> str:
    """The name of a member in the Java SDK: MD5OfBody is Md5OfBody there."""
    return _pascal(
        _ACRONYM.sub(lambda found: found[0].capitalize(), name, count=1)
        if _ACRONYM.match(name)
        else name
    )


def _instant(moment: datetime) -> str:
    """A time in the form of Java's Instant."""
    moment = moment.astimezone(UTC)
    digits = "seconds"
    if moment.microsecond:
        digits = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


def _sdk_error(state: StateTaskServiceAwsSdk, env: Any, ex: Exception) -> Any:
    """The failure of a task, named by service and error: ``S3.NoSuchKeyException``.

    Errors that the service's model does not have are those of the service as a whole:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    if not isinstance(ex, ClientError | ParamValidationError):
        return super(StateTaskServiceAwsSdk, state)._from_error(env=env, ex=ex)
    model = _session().get_service_model(state._get_boto_service_name())
    service = "".join(word.capitalize() for word in _WORDS.findall(model.service_id))
    details = f"Service: {service}, Status Code: 400, Request ID: "
    message = str(ex)
    name = service
    if isinstance(ex, ClientError):
        metadata = ex.response.get("ResponseMetadata", {})
        message = ex.response["Error"].get("Message", "")
        details = f"Service: {service}, Status Code: {metadata.get('HTTPStatusCode')}, Request ID: "
        details += str(metadata.get("RequestId", ""))
        if "HostId" in metadata:
            details += f", Extended Request ID: {metadata['HostId']}"
        if type(ex) is not ClientError:
            name = type(ex).__name__.removesuffix("Fault")
    error = f"{service}.{name.removesuffix('Exception')}Exception"
    return state._get_task_failure_event(
        env=env, error=error, cause=f"{message} ({details}) (SDK Attempt Count: 1)"
    )


def _dynamodb_error(original: Callable[..., Any]) -> Callable[..., Any]:
    def error_cause(error: ClientError) -> tuple[str, str]:
        name, cause = original(error)
        return ("DynamoDB.AmazonDynamoDBException" if type(error) is ClientError else name), cause

    return error_cause
