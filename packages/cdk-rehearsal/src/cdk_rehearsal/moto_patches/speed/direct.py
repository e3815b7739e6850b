"""Direct calls from an AWS client to moto, without an HTTP request.

Most of the cost of an API call is the HTTP request: endpoint, headers, signature, and the text of
request and answer. Frequent calls of a rehearsal do not need it. A direct call accepts only valid
and common parameters. Everything else is a regular call through botocore and moto: invalid or
unusual parameters, and modified clients. An operation that fails is repeated as a regular call,
because a failed operation changes nothing. So all errors are those of botocore and moto.
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
from moto.logs.responses import LogsResponse
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sesv2.responses import SESV2Response
from moto.sns.responses import SNSResponse
from moto.stepfunctions.responses import StepFunctionResponse
from moto.utilities.aws_headers import gen_amzn_requestid_long
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException

from cdk_rehearsal.moto_patches.speed.prototypes import own
from cdk_rehearsal.moto_patches.speed.shapes import Copy, Unusual, answer_copy, parameters_copy
from cdk_rehearsal.sandbox.patching import Patches

_Call = Callable[[Any, str, dict[str, Any]], Any]

_AS_MADE = "_rehearsal_as_made"
_JSON = "application/x-amz-json-1.1"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(frozen=True)
class _Service:
    """The handler of a service, and the operations that can be called directly."""

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
    "logs": _service(LogsResponse, "FilterLogEvents", "PutLogEvents"),
    "scheduler": _service(EventBridgeSchedulerResponse, "CreateSchedule", path="/schedules/{Name}"),
    "secretsmanager": _service(SecretsManagerResponse, "GetSecretValue"),
    "sesv2": _service(SESV2Response, "SendEmail"),
    "sns": _service(SNSResponse, "Publish", content_type=_FORM),
    "stepfunctions": _service(StepFunctionResponse, "StartExecution", "StartSyncExecution"),
}
"""Frequent operations that change nothing if they fail."""


@dataclass(frozen=True)
class _Operation:
    """An operation, prepared once for all its calls."""

    name: str
    method: str
    service: _Service
    model: Any
    as_json: bool
    copy_parameters: Copy
    copy_answer: Copy

    @classmethod
    def of(cls, client: Any, name: str) -> _Operation | None:
        """Prepares an operation of a client; None if it cannot be called directly."""
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
        """Copies parameters, and adds the idempotency tokens that botocore would add.

        Raises Unusual if the parameters are invalid or uncommon.
        """
        copied: dict[str, Any] = self.copy_parameters(given)
        for name in self.model.idempotent_members:
            if name not in copied:
                copied[name] = str(uuid.uuid4())
        return copied


class DirectCalls:
    """Replaces botocore's requests with direct calls where possible."""

    def __init__(self, account: str) -> None:
        self._account = account

    def install(self, patches: Patches) -> None:
        """Tracks which clients were modified after their creation."""
        create = ClientCreator.create_client
        register = HierarchicalEmitter._register_section  # type: ignore[attr-defined]
        unregister = HierarchicalEmitter.unregister

        def create_client(creator: ClientCreator, *args: Any, **options: Any) -> BaseClient:
            client = create(creator, *args, **options)
            # The number of changes to its event handlers, and its prepared operations.
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
        """Returns a function that calls moto directly, and falls back to ``long_way``."""

        def call(client: Any, name: str, parameters: dict[str, Any]) -> Any:
            operation = self._operation(client, name)
            if operation is not None:
                try:
                    return self._call(client, operation, parameters)
                except (Unusual, ServiceException, HTTPException):
                    pass
            return long_way(own(client), name, parameters)

        return call

    def _operation(self, client: Any, name: str) -> _Operation | None:
        operations: dict[str, _Operation | None]
        if not is_as_made(client):
            return None
        _, operations = vars(client)[_AS_MADE]
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


def is_as_made(client: Any) -> bool:
    """Whether no event handler of a client was registered or unregistered since its creation."""
    changes, _ = vars(client).get(_AS_MADE, (-1, {}))
    return bool(changes == _changes(client))


def _changes(client: Any) -> int:
    """Returns how often event handlers of a client were registered or unregistered."""
    return getattr(client.meta.events._emitter, "changes", 0)


def _read(operation: _Operation, text: bytes) -> dict[str, Any]:
    """Parses an answer as botocore does."""
    response = {"status_code": _OK, "headers": {}, "body": text, "context": {}}
    answer: dict[str, Any] = _PARSER.parse(response, operation.model.output_shape)
    return answer


_OK = HTTPStatus.OK.value
_PARSER = JSONParser()
