"""APIs that moto lacks: what a rehearsal's own service answers, checked as the API's model says."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator

from cdk_rehearsal.core import Core
from cdk_rehearsal.errors import RehearsalError

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class ApiError(Exception):
    """The error with which an API answers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> ApiError:
    """Returns the error for a parameter that is not valid."""
    return ApiError("InvalidInputException", message)


def answer(
    core: Core,
    operations: Mapping[str, Operation],
    client: Any,
    operation: str,
    parameters: dict[str, Any],
) -> dict[str, Any]:
    """Performs one of the operations for a client, and returns what the API's answer has of it.

    Raises the client's exceptions, and RehearsalError for an operation that is not known.
    """
    model = client.meta.service_model
    shape = model.operation_model(operation).input_shape
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
    if operation not in operations:
        raise RehearsalError(f"the rehearsal does not know {operation} of {model.service_name}")
    metadata: dict[str, Any] = {
        "RequestId": core.new_id(),
        "HTTPStatusCode": 200,
        "HTTPHeaders": {},
        "RetryAttempts": 0,
    }
    try:
        for violation in _violations(parameters, shape, ""):
            raise invalid(violation)
        answered = operations[operation](parameters)
        output = model.operation_model(operation).output_shape
        return {**(_known(answered, output) if output else {}), "ResponseMetadata": metadata}
    except ApiError as error:
        metadata["HTTPStatusCode"] = _status(model, error.code)
        told = {"Error": {"Code": error.code, "Message": str(error)}, "ResponseMetadata": metadata}
        raise client.exceptions.from_code(error.code)(told, operation) from None


def _status(model: Any, code: str) -> int:
    shape = model.shape_for_error_code(code)
    return int(shape.metadata.get("error", {}).get("httpStatusCode", 400)) if shape else 400


def _known(value: Any, shape: Any) -> Any:
    """Returns what the API's model knows of an answer."""
    if value is None:
        return None
    if shape.type_name == "structure":
        members = ((name, shape.members.get(name), inner) for name, inner in value.items())
        return {name: _known(inner, of) for name, of, inner in members if of is not None}
    if shape.type_name == "list":
        return [_known(each, shape.member) for each in value]
    return value


def _violations(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Yields what a request has that the API's model does not admit, and botocore does not check.

    The members of an operation's model have lengths, ranges, patterns and sets of values.
    """
    kind, rules = shape.type_name, shape.metadata
    if kind == "structure":
        for name, inner in value.items():
            yield from _violations(inner, shape.members[name], f"{where}.{name}".lstrip("."))
        return
    if kind in ("list", "map"):
        size = len(value)
        inner_shape = shape.member if kind == "list" else shape.value
        several = enumerate(value) if kind == "list" else value.items()
        for name, inner in several:
            yield from _violations(inner, inner_shape, f"{where}[{name}]")
    elif kind == "string":
        size = len(value)
        if (choice := getattr(shape, "enum", [])) and value not in choice:
            yield f"{where}: {value!r} must satisfy enum value set: {', '.join(choice)}"
        if (pattern := rules.get("pattern")) and not re.fullmatch(pattern, value):
            yield f"{where}: {value!r} must satisfy regular expression pattern: {pattern}"
    elif kind == "integer":
        size = value
    else:
        return
    if not rules.get("min", size) <= size <= rules.get("max", size):
        low, high = rules.get("min", "-"), rules.get("max", "-")
        yield f"{where}: must be, or have a length, from {low} to {high}"
