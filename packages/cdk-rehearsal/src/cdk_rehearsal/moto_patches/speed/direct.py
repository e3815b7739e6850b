"""Direct calls from an AWS client to moto, without an HTTP request.

Of what an API call costs, nearly all goes into the request: its endpoint, headers and signature,
its text and that of its answer. What calls are made of most, in a rehearsal, needs none of it.
The short way takes only what is plainly right. Anything else goes the long way, which is botocore
and moto as they are: parameters that are wrong or unusual, clients that were changed, and
operations that fail, once more, since what fails changes nothing. So errors are always the long
way's own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.client import BaseClient, ClientCreator
from botocore.hooks import HierarchicalEmitter
from botocore.parsers import JSONParser
from moto.core.exceptions import ServiceException
from moto.core.responses import BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.dynamodb.responses import DynamoHandler
from moto.events.responses import EventsHandler
from moto.kinesis.responses import KinesisResponse
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sesv2.responses import SESV2Response
from moto.sns.responses import SNSResponse
from moto.stepfunctions.responses import StepFunctionResponse
from moto.utilities.aws_headers import gen_amzn_requestid_long
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException

from cdk_rehearsal.moto_patches.speed.shapes import Copy, Unusual, answer_copy, parameters_copy
from cdk_rehearsal.sandbox.patching import Patches

_Call = Callable[[Any, str, dict[str, Any]], Any]

_AS_MADE = "_rehearsal_as_made"
_JSON = "application/x-amz-json-1.1"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(frozen=True)
class _Service:
    """What answers the calls of a service, and which of them may go the short way."""

    handler: type[BaseResponse]
    operations: frozenset[str]
    content_type: str = _JSON
    path: str = ""
    """The path of the request, with the names of parameters in it."""


def _service(handler: type[BaseResponse], *operations: str, **options: str) -> _Service:
    return _Service(handler, frozenset(operations), **options)


SERVICES: Mapping[str, _Service] = {
    "dynamodb": _service(
        DynamoHandler,
        *("BatchGetItem", "GetItem", "Query", "Scan"),
        *("DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"),
    ),
    "events": _service(EventsHandler, "PutEvents"),
    "kinesis": _service(KinesisResponse, "PutRecord", "PutRecords"),
    "scheduler": _service(EventBridgeSchedulerResponse, "CreateSchedule", path="/schedules/{Name}"),
    "secretsmanager": _service(SecretsManagerResponse, "GetSecretValue"),
    "sesv2": _service(SESV2Response, "SendEmail"),
    "sns": _service(SNSResponse, "Publish", content_type=_FORM),
    "stepfunctions": _service(StepFunctionResponse, "StartExecution", "StartSyncExecution"),
}
"""Operations that change nothing if they fail, and that are called often."""


@dataclass(frozen=True)
class _Operation:
    """An operation with all that can be prepared once."""

    name: str
    method: str
    service: _Service
    model: Any
    as_json: bool
    copy_parameters: Copy
    copy_answer: Copy

    @classmethod
    def of(cls, client: Any, name: str) -> _Operation | None:
        """Prepares an operation of a client; None if it has no short way."""
        model: Any = client.meta.service_model.operation_model(name)
        service = SERVICES.get(model.service_model.service_name)
        if service is None or name not in service.operations:
            return None
        as_json = not service.handler().automated_parameter_parsing
        return cls(
            name,
            camelcase_to_underscores(name),
            service,
            model,
            as_json,
            parameters_copy(model.input_shape, as_json=as_json),
            answer_copy(model.output_shape),
        )

    def parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        """Copies parameters, with an idempotency token where botocore would put one.

        Raises Unusual for what is not plainly right.
        """
        copied: dict[str, Any] = self.copy_parameters(given)
        for name in self.model.idempotent_members:
            if name not in copied:
                copied[name] = str(uuid.uuid4())
        return copied


class DirectCalls:
    """Stands between clients and botocore's way to make their calls."""

    def __init__(self, account: str) -> None:
        self._account = account

    def install(self, patches: Patches) -> None:
        """Notices which clients are as they were made."""
        create = ClientCreator.create_client
        register = HierarchicalEmitter._register_section  # type: ignore[attr-defined]
        unregister = HierarchicalEmitter.unregister

        def create_client(creator: ClientCreator, *args: Any, **options: Any) -> BaseClient:
            client = create(creator, *args, **options)
            # How many handlers of events it has, and which operations.
            client.__dict__[_AS_MADE] = (_changes(client), {})
            return client

        def changed(original: Callable[..., None]) -> Callable[..., None]:
            def change(emitter: Any, *args: Any, **options: Any) -> None:
                emitter.changes = getattr(emitter, "changes", 0) + 1
                original(emitter, *args, **options)

            return change

        patches.set(HierarchicalEmitter, "_register_section", changed(register))
        patches.set(HierarchicalEmitter, "unregister", changed(unregister))
        patches.set(ClientCreator, "create_client", create_client)

    def before(self, long_way: _Call) -> _Call:
        """Returns what makes a call the short way, and the long way where that must not be."""

        def call(client: Any, name: str, parameters: dict[str, Any]) -> Any:
            operation = self._operation(client, name)
            if operation is not None:
                try:
                    return self._call(client, operation, parameters)
                except (Unusual, ServiceException, HTTPException):
                    pass
            return long_way(client, name, parameters)

        return call

    def _operation(self, client: Any, name: str) -> _Operation | None:
        operations: dict[str, _Operation | None]
        changes, operations = client.__dict__.get(_AS_MADE, (-1, {}))
        if changes != _changes(client):
            return None
        if name not in operations:
            operations[name] = _Operation.of(client, name)
        return operations[name]

    def _call(self, client: Any, operation: _Operation, given: dict[str, Any]) -> Any:
        handler = self._handler(client.meta.region_name, operation, operation.parameters(given))
        result: Any = getattr(handler, operation.method)()
        written = isinstance(result, str)
        try:
            answer = operation.copy_answer(json.loads(result) if written else result.result)
        except Unusual:
            text = result if written else handler.serialized(result)[2]
            answer = _read(operation, text.encode())
        headers = handler.response_headers
        answer["ResponseMetadata"] = {
            "RequestId": gen_amzn_requestid_long(headers),
            "HTTPStatusCode": _OK,
            "HTTPHeaders": headers,
            "RetryAttempts": 0,
        }
        return answer

    def _handler(self, region: str, operation: _Operation, parameters: dict[str, Any]) -> Any:
        """Returns moto's handler of one request, in the state after it has parsed the request."""
        handler: Any = operation.service.handler()
        handler.params = parameters
        handler.automated_parameter_parsing = True
        handler.body = json.dumps(parameters) if operation.as_json else parameters
        handler.headers = {"Content-Type": operation.service.content_type}
        handler.querystring = handler.data = {"Action": [operation.name]}
        handler.uri_match = {}
        handler.path = operation.service.path.format_map(parameters)
        handler.uri = f"https://rehearsal{handler.path}"
        handler.method = operation.model.http["method"]
        handler.region = region
        handler.partition = get_partition(region)
        handler.current_account = self._account
        handler.response_headers = {"server": "amazon.com"}
        return handler


def _changes(client: Any) -> int:
    """How often handlers of a client's events were registered, or taken away."""
    return getattr(client.meta.events._emitter, "changes", 0)


def _read(operation: _Operation, text: bytes) -> dict[str, Any]:
    """Reads an answer as botocore does."""
    response = {"status_code": _OK, "headers": {}, "body": text, "context": {}}
    answer: dict[str, Any] = _PARSER.parse(response, operation.model.output_shape)
    return answer


_OK = HTTPStatus.OK.value
_PARSER = JSONParser()
