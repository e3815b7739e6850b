"""Events of a Custom Event Bus: their parts, the filters of subscribers, and transformations."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import Dialect, EventPattern, PatternError

_DIALECT = Dialect(
    service="a subscriber",
    without=frozenset({"wildcard", "anything-but/wildcard"}),
    instead=": use prefix, suffix or equals-ignore-case",
)
ENVELOPE = "application/eventbridge+json"
OPAQUE = "application/octet-stream"

Evaluate = Callable[[str, dict[str, Any]], Any]
"""Returns the value of a JSONata expression in a scope; ValueError if it has none, or fails."""


@dataclass(frozen=True, eq=False)
class BusEvent:
    """An event that a bus has accepted.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-addressing.html
    """

    number: int
    """Its position on the bus."""
    ingested: float
    data: Any
    """The payload as JSON: the envelope of PutEvents; opaque bytes as Base64 text."""
    text: str
    """The payload as it is delivered to targets that take texts."""
    system: Mapping[str, str]
    """The system metadata, all but ``aws:DeliveryType``."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    passed: frozenset[str] = frozenset()
    """The buses through which it came here."""

    @property
    def id(self) -> str:
        """The id that the bus has given it."""
        return self.system["aws:EventId"]

    @property
    def group(self) -> str:
        """Its event group, empty if it has none."""
        return self.system.get("EventGroupId", "")

    def parts(self, delivery_type: str) -> dict[str, Any]:
        """Returns what expressions see as ``$events``."""
        system = {**self.system, "aws:DeliveryType": delivery_type}
        return {"Data": self.data, "Metadata": dict(self.metadata), "SystemMetadata": system}


class SubscriberFilter:
    """The filters of a subscriber: an event has to match all of them.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-filtering.html
    Raises PatternError on construction if EventBridge would refuse them.
    """

    def __init__(self, configuration: Mapping[str, Any] | None) -> None:
        filters = (configuration or {}).get("Filters")
        if configuration is not None and not filters:
            raise PatternError("FilterConfiguration must contain at least one filter")
        self._patterns: dict[str, EventPattern] = {}
        for each in filters or ():
            scope = each["Scope"]
            if scope in self._patterns:
                raise PatternError(f"two filters have the scope {scope}: at most one may")
            pattern = _read(each["Pattern"], scope)
            if scope == "METADATA":
                _check_exact(pattern)
            self._patterns[scope] = EventPattern(pattern, _DIALECT)
        size = sum(len(each["Pattern"].encode()) for each in filters or ())
        most = LIMITS["eventbridgev2.filter_bytes"]
        if size > most:
            raise PatternError(f"the filters have {size} bytes: at most {most}")

    def matches(self, event: BusEvent, delivery_type: str) -> bool:
        """Whether a subscriber with these filters gets an event."""
        return all(
            _holds(scope, pattern, event, delivery_type)
            for scope, pattern in self._patterns.items()
        )


def _read(text: str, scope: str) -> Mapping[str, Any]:
    try:
        pattern = json.loads(text)
    except ValueError:
        pattern = None
    if not isinstance(pattern, Mapping):
        raise PatternError(f"the {scope} pattern is no JSON object: {text[:200]}")
    return pattern


def _check_exact(pattern: Mapping[str, Any]) -> None:
    for name, values in pattern.items():
        exact = isinstance(values, list) and all(isinstance(value, str) for value in values)
        if name.startswith("$") or not exact:
            raise PatternError(
                f"the METADATA pattern of {name} is no array of exact values: filter on DATA or "
                "SYSTEM_METADATA for operators"
            )


def _holds(scope: str, pattern: EventPattern, event: BusEvent, delivery_type: str) -> bool:
    if scope == "METADATA":
        return bool(event.metadata) and pattern.matches(event.metadata)
    if scope == "SYSTEM_METADATA":
        return pattern.matches({**event.system, "aws:DeliveryType": delivery_type})
    return isinstance(event.data, dict) and pattern.matches(event.data)


class Transformation:
    """The transformer of a subscriber.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-transform.html
    Raises ValueError on construction if EventBridge would refuse it.
    """

    def __init__(self, transformer: Mapping[str, Any] | None, evaluate: Evaluate) -> None:
        self._kind = (transformer or {}).get("Type", "RAW")
        self._evaluate = evaluate
        self._expression = (transformer or {}).get("JsonataConfiguration", {}).get("Expression")
        if self._kind == "JSONATA" and not self._expression:
            raise ValueError("JsonataConfiguration is required when Type is JSONATA")
        if self._kind != "JSONATA" and self._expression:
            raise ValueError(f"JsonataConfiguration is not for the transformer type {self._kind}")
        if self._expression:
            check_expression(self._expression)
            if expression_in(self._expression) is None:
                raise ValueError("Expression must be enclosed in {% and %}")

    def apply(self, event: BusEvent, delivery_type: str) -> str:
        """Returns the text that a target gets of an event; ValueError if that fails."""
        if self._kind == "RAW":
            return event.text
        parts = event.parts(delivery_type)
        if self._kind == "WITH_METADATA":
            return compact(parts)
        value = resolved(self._expression, parts, self._evaluate)
        if value is None:
            raise ValueError(f"the expression {self._expression} returned null")
        return value if isinstance(value, str) else compact(value)


def expression_in(text: Any) -> str | None:
    """Returns the JSONata expression in a parameter, None if it is a literal."""
    if isinstance(text, str) and text.startswith("{%") and text.endswith("%}"):
        return text[2:-2].strip()
    return None


def check_expression(text: Any, limit: str = "eventbridgev2.expression_characters") -> None:
    """Raises ValueError if a parameter is an expression that EventBridge would refuse.

    ``limit`` names the row of the table with the longest expression.
    """
    from cdk_rehearsal.services.step_functions.expressions import parsed

    expression = expression_in(text)
    if expression is not None:
        if len(text) > LIMITS[limit]:
            raise ValueError(f"an expression has at most {LIMITS[limit]} characters")
        parsed(expression)


def resolved(text: Any, events: Any, evaluate: Evaluate) -> Any:
    """Returns the value of a parameter for events: a literal, or what its expression returns."""
    expression = expression_in(text)
    return text if expression is None else evaluate(expression, {"events": events})


def compact(value: Any) -> str:
    """Returns a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def payload_of(content_type: str, data: bytes) -> tuple[Any, str]:
    """Returns the payload of PutRawEvents, as JSON and as text; ValueError if it is malformed.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-open-formats.html
    """
    if content_type == OPAQUE:
        encoded = base64.b64encode(data).decode()
        return encoded, encoded
    text = data.decode()
    return json.loads(text), text
