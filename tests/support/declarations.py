"""Declarations under test: how AWS calls use tables, and handlers that do something undeclared."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient

from lambdas.eventing import declaration
from lambdas.eventing.declaration import Handler, Undeclared, Use
from lambdas.eventing.event import Event
from lambdas.eventing.personal import Personal

_ACTIONS: Mapping[str, str] = {"ConditionCheck": "ConditionCheckItem"}
_TRANSACTIONS = ("TransactWriteItems", "TransactGetItems")


def uses_of(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Use]]:
    """Yields each table that a call of DynamoDB names, and how it is used. See `in_vault`.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    if operation in _TRANSACTIONS:
        for item in parameters["TransactItems"]:
            for action, request in item.items():
                name = _ACTIONS.get(action, f"{action}Item")
                yield request["TableName"], _use(name, kind=in_vault(request))
    elif "RequestItems" in parameters:
        for table in parameters["RequestItems"]:
            yield table, _use(operation)
    elif "TableName" in parameters:
        use = _use(operation, parameters.get("IndexName"), in_vault(parameters))
        yield parameters["TableName"], use


def in_vault(request: Mapping[str, Any]) -> type[Personal] | None:
    """Returns the kind of personal data that a request is about: its partition key names it."""
    keys = request.get("Key") or request.get("Item") or {}
    pk = keys.get("pk") or request.get("ExpressionAttributeValues", {}).get(":pk", {})
    name = pk.get("S", "").partition("#")[0]
    return next((kind for kind in Personal.__subclasses__() if kind.__name__ == name), None)


def _use(operation: Any, index: str | None = None, kind: type[Personal] | None = None) -> Use:
    return Use(operation, index, kind)


@contextmanager
def enforced() -> Iterator[None]:
    """Makes a handler raise Undeclared in its test, even for a message that the kernel parks.

    Calls of DynamoDB that bypass the kernel are checked, too, if they use the function's table.
    """
    undeclared: list[Undeclared] = []
    check, call, make_api_call = Handler.check, Handler.__call__, BaseClient._make_api_call  # type: ignore[attr-defined]

    def checked(handler: Handler[Any], action: type[Event] | Use) -> None:
        try:
            check(handler, action)
        except Undeclared as error:
            undeclared.append(error)
            raise

    def called(handler: Handler[Any], event: dict[str, Any], context: Any) -> Any:
        try:
            answer = call(handler, event, context)
        finally:
            if undeclared:
                raise undeclared.pop(0) from None
        return answer

    def api_called(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name == "dynamodb":
            for table, use in uses_of(operation, parameters):
                if table == os.environ.get("TABLE_NAME"):
                    declaration.check(use)
        return make_api_call(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handler, "check", checked)
        patch.setattr(Handler, "__call__", called)
        patch.setattr(BaseClient, "_make_api_call", api_called)
        yield
