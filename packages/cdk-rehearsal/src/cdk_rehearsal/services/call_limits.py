"""Limits of API calls that moto does not know: calls that exceed one are refused as AWS does."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from cdk_rehearsal.limits import LIMITS, TABLE, select

_Call = Callable[[Any, str, dict[str, Any]], Any]
_Measure = Callable[[dict[str, Any]], int]
_SIZES = {"bytes", "characters"}
_COUNTS = {"items", *_SIZES}


class _Rule:
    """What one limit says about one operation."""

    def __init__(self, limit: str, paths: list[str], measure: _Measure | None = None) -> None:
        self.limit = limit
        self._paths = paths
        self._row = TABLE[limit]
        self.measure = measure or self._measured

    def _measured(self, parameters: dict[str, Any]) -> int:
        sizes = [self._amount(value) for path in self._paths for value in select(parameters, path)]
        return sum(sizes) if self._row.total else max(sizes, default=0)

    def _amount(self, value: Any) -> int:
        if self._row.unit == "bytes":
            return size(value)
        return int(value) if isinstance(value, int) else len(value)

    def message(self, measured: int, most: int) -> str:
        """Returns what the service says to a call."""
        name = self._paths[0].rpartition(".")[2].removesuffix("[]").removesuffix("{}")
        if self._row.message is not None:
            return self._row.message.format(amount=measured, limit=most, name=name)
        member = f"{name[0].lower()}{name[1:]}"
        kind = "length" if self._row.unit in _COUNTS and not self._counts_number else "value"
        return (
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
            f"Member must have {kind} less than or equal to {most}"
        )

    @property
    def error(self) -> str:
        """The code of the refusal."""
        return self._row.error

    @property
    def _counts_number(self) -> bool:
        return self._paths[0].endswith("Limit")


_RULES: dict[tuple[str, str], list[_Rule]] = {}


def _declared() -> None:
    """Reads the rules in the table."""
    for limit, row in TABLE.items():
        operations: dict[str, list[str]] = {}
        for call in row.calls:
            operation, path = call.split(" ")
            operations.setdefault(operation, []).append(path)
        for operation, paths in operations.items():
            service = limit.partition(".")[0]
            _RULES.setdefault((service, operation), []).append(_Rule(limit, paths))


def _measures(limit: str, operation: str, name: str) -> Callable[[_Measure], _Measure]:
    """Registers a function that measures parameters of an operation, of which ``name`` is one."""

    def register(measure: _Measure) -> _Measure:
        service = limit.partition(".")[0]
        rule = _Rule(limit, [name], measure)
        _RULES.setdefault((service, operation), []).append(rule)
        return measure

    return register


def within_limits(perform: _Call) -> _Call:
    """Returns a function that performs API calls, except those that exceed a limit."""

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if found := exceeded(client.meta.service_model.service_name, operation, parameters):
            refuse(client, operation, *found)
        return perform(client, operation, parameters)

    return call


def exceeded(service: str, operation: str, parameters: dict[str, Any]) -> tuple[str, str] | None:
    """Returns the code and message of the error of a call that exceeds a limit, else None."""
    for rule in _RULES.get((service, operation), ()):
        try:
            measured = rule.measure(parameters)
        except (AttributeError, LookupError, TypeError):
            continue  # The parameters are of wrong types, and botocore or the service refuses them.
        if measured > LIMITS[rule.limit]:
            return rule.error, rule.message(measured, LIMITS[rule.limit])
    return None


def refuse(client: Any, operation: str, code: str, message: str, status: int = 400) -> NoReturn:
    """Raises the error with which a service answers a request."""
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {},
            "RequestId": "",
            "RetryAttempts": 0,
        },
    }
    raise client.exceptions.from_code(code)(answer, operation) from None


def size(value: Any) -> int:
    """Returns the bytes of a text, of a blob, or of all names and texts in an object or list."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, dict):
        return sum(map(size, value)) + sum(map(size, value.values()))
    return sum(map(size, value)) if isinstance(value, list) else len(value)


# -- measures that need more than paths -------------------------------------------------------


def message_size(body: str, attributes: Mapping[str, Mapping[str, Any]] | None) -> int:
    """Returns the size of a message of SQS or SNS: the body, and names, types and values.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    return size(body) + sum(
        size(name) + sum(size(part) for part in value.values() if isinstance(part, str | bytes))
        for name, value in (attributes or {}).items()
    )


def _messages(parameters: dict[str, Any]) -> Iterator[int]:
    for entry in parameters.get("Entries", ()):
        yield message_size(entry["MessageBody"], entry.get("MessageAttributes"))


@_measures("sqs.message_bytes", "SendMessage", "MessageBody")
def _message(parameters: dict[str, Any]) -> int:
    return message_size(parameters.get("MessageBody", ""), parameters.get("MessageAttributes"))


@_measures("sqs.batch_bytes", "SendMessageBatch", "Entries")
def _batch(parameters: dict[str, Any]) -> int:
    return sum(_messages(parameters))


def _records(parameters: dict[str, Any]) -> Iterable[int]:
    return (
        size(record["Data"]) + size(record["PartitionKey"])
        for record in parameters.get("Records", [parameters])
    )


@_measures("kinesis.record_bytes", "PutRecord", "Data")
@_measures("kinesis.record_bytes", "PutRecords", "Records[].Data")
def _largest_record(parameters: dict[str, Any]) -> int:
    return max(_records(parameters), default=0)


@_measures("kinesis.put_bytes", "PutRecords", "Records")
def _all_records(parameters: dict[str, Any]) -> int:
    return sum(_records(parameters))


def _of_tier(parameters: dict[str, Any], *tiers: str) -> int:
    return size(parameters["Value"]) if parameters.get("Tier", "Standard") in tiers else 0


@_measures("ssm.standard_bytes", "PutParameter", "Value")
def _standard(parameters: dict[str, Any]) -> int:
    return _of_tier(parameters, "Standard")


@_measures("ssm.advanced_bytes", "PutParameter", "Value")
def _advanced(parameters: dict[str, Any]) -> int:
    return _of_tier(parameters, "Advanced", "Intelligent-Tiering")


_declared()
