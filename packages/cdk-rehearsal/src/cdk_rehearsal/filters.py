"""Filters by event patterns: of Lambda's event source mappings, and of SNS subscriptions."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.patterns import Dialect, EventPattern, Path, PatternError

_INSIDE_ANYTHING_BUT = {
    f"anything-but/{name}" for name in ("suffix", "equals-ignore-case", "wildcard")
}
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
_MAPPING = Dialect(
    service="an event source mapping",
    without=frozenset({"cidr", "wildcard", "anything-but/prefix", *_INSIDE_ANYTHING_BUT}),
)
# https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html, and on values that exist:
# https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
_SUBSCRIPTION = Dialect(
    service="SNS",
    without=frozenset(
        {
            "wildcard",
            "prefix/equals-ignore-case",
            "suffix/equals-ignore-case",
            *_INSIDE_ANYTHING_BUT,
        }
    ),
    empty_exists=False,
)


class FilterCriteria:
    """The filters of a Lambda event source mapping, of which one must match.

    Rules: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html and, for
    the format of an SQS body, https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html,
    of Kinesis data, https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
    Raises PatternError on construction if Lambda would refuse the criteria.
    """

    def __init__(self, criteria: Mapping[str, Any] | None) -> None:
        filters = (criteria or {}).get("Filters", [])
        if len(filters) > LIMITS["lambda.filters"]:
            raise PatternError(
                f"{len(filters)} filters on one mapping: at most {LIMITS['lambda.filters']}"
            )
        self._filters = [_Filter(entry["Pattern"]) for entry in filters]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the record (as Lambda would hand it to the function) passes."""
        return not self._filters or any(entry.matches(record) for entry in self._filters)


class _Filter:
    def __init__(self, text: str) -> None:
        if len(text) > LIMITS["lambda.filter_characters"]:
            raise PatternError(
                f"a filter pattern of {len(text)} > {LIMITS['lambda.filter_characters']} characters"
            )
        try:
            source = json.loads(text)
        except ValueError as error:
            raise PatternError(f"filter pattern is not JSON ({error}): {text}") from None
        self._pattern = EventPattern(source, _MAPPING)
        paths = set[Path]().union(*self._pattern.paths())
        for name in ("dynamodb", "data"):
            if (name,) in paths:
                raise PatternError(f"the filter for {name} must be a JSON object: {text}")
        self._plain_body = ("body",) in paths
        self._json_body = any(path[0] == "body" and len(path) > 1 for path in paths)
        self._json_data = any(path[0] == "data" for path in paths)

    def matches(self, record: Mapping[str, Any]) -> bool:
        if "kinesis" in record:
            return self._matches_data(record["kinesis"])
        if not (self._plain_body or self._json_body) or not isinstance(record.get("body"), str):
            return self._pattern.matches(record)
        body = _json_document(record["body"])
        if body is None:
            return self._plain_body and self._pattern.matches(record)
        return self._json_body and self._pattern.matches({**record, "body": body})

    def _matches_data(self, record: Mapping[str, Any]) -> bool:
        if not self._json_data:
            return self._pattern.matches(record)
        data = _json_document(base64.b64decode(record["data"]))
        return data is not None and self._pattern.matches({**record, "data": data})


def _json_document(text: str | bytes) -> dict[str, Any] | list[Any] | None:
    # A JSON scalar counts as a plain string: no filter can match inside it.
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict | list) else None


class SubscriptionFilter:
    """The filter policy of an SNS subscription, on a message's attributes or on its body.

    Operators, arrays and ``$or`` are those of event patterns; the limits are SNS's own:
    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
    Raises PatternError on construction if SNS would refuse the policy.
    """

    def __init__(self, policy: Mapping[str, Any], scope: str = "MessageAttributes") -> None:
        if scope not in {"MessageAttributes", "MessageBody"}:
            raise PatternError(f"a filter policy's scope cannot be {scope!r}")
        if len(policy) > LIMITS["sns.filter_keys"]:
            raise PatternError(
                f"a filter policy of {len(policy)} keys: at most {LIMITS['sns.filter_keys']}"
            )
        self._of_body = scope == "MessageBody"
        self._pattern = EventPattern(policy, _SUBSCRIPTION)
        if _combinations(policy, 1) > LIMITS["sns.filter_combinations"]:
            raise PatternError(
                f"a filter policy of {_combinations(policy, 1)} combinations of values: "
                f"at most {LIMITS['sns.filter_combinations']}"
            )
        if not self._of_body and (nested := _nested(policy)):
            raise PatternError(
                f"the filter on {nested} is nested, as only one of scope MessageBody can be"
            )

    def matches(self, message: str, attributes: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the subscription wants a message.

        ``attributes`` have ``Type`` and ``Value`` as in a notification. A message without any
        attribute passes no filter on attributes, one whose body is no JSON object none on bodies:
        https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
        """
        if not self._of_body:
            values = {
                name: _attribute_value(attribute["Type"], attribute["Value"])
                for name, attribute in attributes.items()
                if not attribute["Type"].startswith("Binary")
            }
            return bool(values) and self._pattern.matches(values)
        document = _json_document(message)
        return isinstance(document, dict) and self._pattern.matches(document)


def _attribute_value(kind: str, value: str) -> Any:
    if kind.startswith("Number"):
        return float(value)
    elements = _json_document(value) if kind == "String.Array" else None
    return value if elements is None else elements


def _nested(policy: Mapping[str, Any]) -> str | None:
    # An attribute may have dots in its name.
    for name, rule in policy.items():
        branches = rule if name == "$or" else []
        if isinstance(rule, Mapping):
            return f"{name}.{next(iter(rule))}"
        if found := next(filter(None, map(_nested, branches)), None):
            return found
    return None


def _combinations(policy: Mapping[str, Any], depth: int) -> int:
    # The number of values of each key, times its depth:
    # https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
    total = 1
    for name, rule in policy.items():
        if name == "$or":
            total *= sum(_combinations(branch, depth) for branch in rule)
        elif isinstance(rule, Mapping):
            total *= _combinations(rule, depth + 1)
        else:
            total *= len(rule) * depth
    return total
