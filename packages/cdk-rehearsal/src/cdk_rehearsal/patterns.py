"""Event patterns, Lambda's and SNS's filters, and the input transformation of targets."""

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from numbers import Real
from typing import Any, TypeGuard, cast

from cdk_rehearsal.errors import RehearsalError

Path = tuple[str, ...]
Test = Callable[[Any], bool]
# Which element of which array (by identity) a value was found in.
Membership = Mapping[int, int]

_MISSING = object()
_NOWHERE: Membership = {}

# Words that AWS reserves for operators and so refuses as field names inside "$or":
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
_OPERATORS = frozenset(
    {
        "prefix",
        "suffix",
        "anything-but",
        "equals-ignore-case",
        "wildcard",
        "numeric",
        "exists",
        "cidr",
    }
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, bound: bool(value == bound),
    "<": lambda value, bound: bool(value < bound),
    "<=": lambda value, bound: bool(value <= bound),
    ">": lambda value, bound: bool(value > bound),
    ">=": lambda value, bound: bool(value >= bound),
}
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
_MAX_NUMBER = 5e9
# A filter pattern is at most 4,096 characters, and a mapping has five filters, on request ten:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
_MAX_FILTERS = 10
_MAX_FILTER_LENGTH = 4096
# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
_MAX_KEYS = 5
_MAX_COMBINATIONS = 150


class PatternError(RehearsalError, ValueError):
    """An event pattern, filter or input transformer that AWS would refuse."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What the values at one path must be: one of some constants, or pass one of some tests."""

    path: Path
    strings: frozenset[str]
    numbers: frozenset[Any]
    literals: tuple[bool | None, ...]
    tests: tuple[Test, ...]
    may_be_absent: bool

    def accepts(self, value: Any) -> bool:
        if isinstance(value, str):
            if value in self.strings:
                return True
        elif value is None or isinstance(value, bool):
            if any(value is literal for literal in self.literals):
                return True
        elif value in self.numbers:
            return True
        return any(test(value) for test in self.tests)

    def narrowed(self) -> "_Field":
        tests = tuple(_is_something if test is _is_there else test for test in self.tests)
        return replace(self, tests=tests)


class EventPattern:
    """A compiled event pattern.

    Rules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    Raises PatternError on construction if AWS would refuse the pattern.
    """

    def __init__(self, pattern: Mapping[str, Any], *, empty_exists: bool = True) -> None:
        """``empty_exists`` says whether ``exists`` takes null and the empty text for a value."""
        if not isinstance(pattern, Mapping):
            raise PatternError(f"an event pattern must be a JSON object, not {pattern!r}")
        # Each alternative is one choice among the branches of every "$or".
        self._alternatives = [
            tuple(alternative[path] for path in sorted(alternative))
            for alternative in _alternatives(pattern, (), inside_or=False)
        ]
        if not empty_exists:
            self._alternatives = [
                tuple(field.narrowed() for field in fields) for fields in self._alternatives
            ]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether the event matches. Values are those that json.loads gives."""
        return any(_holds(fields, 0, event, _NOWHERE) for fields in self._alternatives)

    def paths(self) -> list[set[Path]]:
        """The field paths that the pattern looks at, one set for each alternative."""
        return [{field.path for field in fields} for fields in self._alternatives]


def _holds(
    fields: tuple[_Field, ...], index: int, event: Mapping[str, Any], membership: Membership
) -> bool:
    # Fields found in arrays must agree on the element of each array that they share: the rule
    # by which {"items": {"sku": ["A"], "gift": [true]}} wants one item with both. The order is
    # that of the sorted paths, which decides what "exists": false sees of an array.
    if index == len(fields):
        return True
    field = fields[index]
    absent = True
    for value, found_in in _values(event, field.path, 0, _NOWHERE):
        merged = _merge(membership, found_in)
        if merged is None:
            continue
        absent = False
        if field.accepts(value) and _holds(fields, index + 1, event, merged):
            return True
    return absent and field.may_be_absent and _holds(fields, index + 1, event, membership)


def _merge(one: Membership, other: Membership) -> Membership | None:
    if not other or one is other:
        return one
    if any(one.get(array, element) != element for array, element in other.items()):
        return None
    return {**one, **other}


def _values(
    node: Any, path: Path, depth: int, membership: Membership
) -> Iterator[tuple[Any, Membership]]:
    """Leaf values at a path; arrays on the way and at its end stand for each of their elements."""
    if isinstance(node, dict):
        if depth < len(path):
            child = node.get(path[depth], _MISSING)
            if child is not _MISSING:
                yield from _values(child, path, depth + 1, membership)
    elif isinstance(node, list):
        for position, element in enumerate(node):
            if isinstance(element, dict | list):
                inner = {**membership, id(node): position}
                yield from _values(element, path, depth, inner)
            elif depth == len(path):
                yield element, membership
    elif depth == len(path):
        yield node, membership


def _alternatives(
    pattern: Mapping[str, Any], path: Path, *, inside_or: bool
) -> list[dict[Path, _Field]]:
    where = ".".join(path) or "the top level"
    if not pattern:
        raise PatternError(f"empty object in an event pattern at {where}")
    result: list[dict[Path, _Field]] = [{}]
    for name, rule in pattern.items():
        here = (*path, name)
        if name == "$or":
            if not isinstance(rule, list) or len(rule) < 2:
                raise PatternError(f"$or at {where} needs an array of two or more objects")
            branches: list[dict[Path, _Field]] = []
            for branch in rule:
                if not isinstance(branch, Mapping):
                    raise PatternError(f"$or at {where} has {branch!r} where an object must be")
                branches += _alternatives(branch, path, inside_or=True)
        elif inside_or and name in _OPERATORS:
            raise PatternError(f"operator {name!r} stands where a field name must, in $or, {where}")
        elif isinstance(rule, Mapping):
            branches = _alternatives(rule, here, inside_or=inside_or)
        elif isinstance(rule, list):
            branches = [{here: _field(here, rule)}]
        else:
            raise PatternError(
                f"{'.'.join(here)} must be an object or an array of values, not {rule!r}"
            )
        result = [_joined(left, right) for left in result for right in branches]
    return result


def _joined(left: dict[Path, _Field], right: dict[Path, _Field]) -> dict[Path, _Field]:
    twice = left.keys() & right.keys()
    if twice:
        name = ".".join(twice.pop())
        raise PatternError(f"{name} stands both inside and outside of one $or: name it once")
    return left | right


def _field(path: Path, rules: list[Any]) -> _Field:
    where = ".".join(path)
    if not rules:
        raise PatternError(f"{where} has an empty array: it would match nothing")
    strings, numbers, literals = set[str](), set[Any](), list[bool | None]()
    tests = list[Test]()
    may_be_absent = False
    for rule in rules:
        if isinstance(rule, str):
            strings.add(rule)
        elif rule is None or isinstance(rule, bool):
            literals.append(rule)
        elif _is_number(rule):
            numbers.add(rule)
        elif not isinstance(rule, Mapping):
            raise PatternError(f"{where} has {rule!r} where a value or an operator must be")
        elif len(rule) != 1:
            raise PatternError(f"{where} has {rule!r}: an operator object has exactly one key")
        elif rule == {"exists": False}:
            may_be_absent = True
        else:
            tests.append(_operator(where, *next(iter(rule.items()))))
    return _Field(
        path,
        frozenset(strings),
        frozenset(numbers),
        tuple(literals),
        tuple(tests),
        may_be_absent,
    )


def _operator(where: str, name: str, operand: Any) -> Test:
    if name == "anything-but":
        return _anything_but(where, operand)
    if name == "numeric":
        return _numeric(where, operand)
    if name == "exists":
        if operand is not True:
            raise PatternError(f"{where}: exists takes true or false, not {operand!r}")
        return _is_there
    if name == "cidr":
        return _cidr(where, operand)
    if name in {"prefix", "suffix"} and isinstance(operand, Mapping):
        if operand.keys() != {"equals-ignore-case"}:
            raise PatternError(f"{where}: {name} takes a string or equals-ignore-case")
        lowered = _text(where, name, operand["equals-ignore-case"]).lower()
        starts = str.startswith if name == "prefix" else str.endswith
        return lambda value: isinstance(value, str) and starts(value.lower(), lowered)
    if name in {"prefix", "suffix", "equals-ignore-case", "wildcard"}:
        return _string_test(where, name, operand)
    known = ", ".join(sorted(_OPERATORS))
    raise PatternError(f"{where}: unknown operator {name!r}; known are {known}")


def _is_there(value: Any) -> bool:
    return True


def _is_something(value: Any) -> bool:
    return value is not None and value != ""


def _text(where: str, name: str, operand: Any) -> str:
    if not isinstance(operand, str):
        raise PatternError(f"{where}: {name} takes a string, not {operand!r}")
    return operand


def _string_test(where: str, name: str, operand: Any) -> Test:
    text = _text(where, name, operand)
    if name == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(text)
    if name == "suffix":
        return lambda value: isinstance(value, str) and value.endswith(text)
    if name == "equals-ignore-case":
        lowered = text.lower()
        return lambda value: isinstance(value, str) and value.lower() == lowered
    expression = _wildcard(where, text)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _wildcard(where: str, text: str) -> re.Pattern[str]:
    # A backslash escapes the asterisk and itself, nothing else; two asterisks may not touch.
    parts = list[str]()
    for token in re.findall(r"\\.?|\*+|[^\\*]+", text, re.DOTALL):
        if token == "*":
            parts.append(".*")
        elif token in {r"\*", r"\\"}:
            parts.append(re.escape(token[1]))
        elif token[0] in "\\*":
            raise PatternError(f"{where}: wildcard {text!r} has {token!r}, which AWS refuses")
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts), re.DOTALL)


def _anything_but(where: str, operand: Any) -> Test:
    if isinstance(operand, Mapping):
        allowed = {"prefix", "suffix", "equals-ignore-case", "wildcard"}
        if len(operand) != 1 or not operand.keys() <= allowed:
            raise PatternError(
                f"{where}: anything-but takes values or one of {', '.join(sorted(allowed))}"
            )
        name, inner = next(iter(operand.items()))
        texts = inner if isinstance(inner, list) else [inner]
        if not texts or (name in {"prefix", "suffix"} and "" in texts):
            raise PatternError(f"{where}: anything-but {name} must not be empty")
        tests = [_string_test(where, name, text) for text in texts]
        return lambda value: not any(test(value) for test in tests)
    values = operand if isinstance(operand, list) else [operand]
    if values and all(isinstance(value, str) for value in values):
        strings = frozenset(values)
        return lambda value: not (isinstance(value, str) and value in strings)
    if values and all(_is_number(value) for value in values):
        numbers = frozenset(values)
        return lambda value: not (_is_number(value) and value in numbers)
    raise PatternError(f"{where}: anything-but takes only strings or only numbers, not {operand!r}")


def _numeric(where: str, operand: Any) -> Test:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise PatternError(f"{where}: numeric takes one comparison or a range, not {operand!r}")
    names, bounds = operand[::2], operand[1::2]
    if any(name not in _COMPARISONS for name in names) or not all(map(_is_number, bounds)):
        raise PatternError(f"{where}: malformed numeric comparison {operand!r}")
    if any(abs(bound) > _MAX_NUMBER for bound in bounds):
        raise PatternError(f"{where}: numeric compares numbers from -5e9 to 5e9, not {operand!r}")
    if len(names) == 2:
        lower_first = names[0] in {">", ">="} and names[1] in {"<", "<="}
        if not lower_first or bounds[0] >= bounds[1]:
            raise PatternError(f"{where}: numeric range {operand!r} must go from lower to upper")
    compare = [(_COMPARISONS[name], bound) for name, bound in zip(names, bounds, strict=True)]
    return lambda value: _is_number(value) and all(is_(value, bound) for is_, bound in compare)


def _cidr(where: str, operand: Any) -> Test:
    text = _text(where, "cidr", operand)
    try:
        if "/" not in text:
            raise ValueError("no mask")
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PatternError(f"{where}: {text!r} is no CIDR range: {error}") from None

    def inside(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return inside


def _is_number(value: Any) -> TypeGuard[Real]:
    return isinstance(value, Real) and not isinstance(value, bool)


class FilterCriteria:
    """The filters of a Lambda event source mapping, of which one must match.

    Rules: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html and, for
    the format of an SQS body, https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html,
    of Kinesis data, https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
    Raises PatternError on construction if Lambda would refuse the criteria.
    """

    def __init__(self, criteria: Mapping[str, Any] | None) -> None:
        filters = (criteria or {}).get("Filters", [])
        if len(filters) > _MAX_FILTERS:
            raise PatternError(f"{len(filters)} filters on one mapping: at most {_MAX_FILTERS}")
        self._filters = [_Filter(entry["Pattern"]) for entry in filters]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the record (as Lambda would hand it to the function) passes."""
        return not self._filters or any(entry.matches(record) for entry in self._filters)


class _Filter:
    def __init__(self, text: str) -> None:
        if len(text) > _MAX_FILTER_LENGTH:
            raise PatternError(f"a filter pattern of {len(text)} > {_MAX_FILTER_LENGTH} characters")
        try:
            source = json.loads(text)
        except ValueError as error:
            raise PatternError(f"filter pattern is not JSON ({error}): {text}") from None
        self._pattern = EventPattern(source)
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
    # A lone JSON scalar is taken as a plain string: a filter has no way to look into it.
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
        if len(policy) > _MAX_KEYS:
            raise PatternError(f"a filter policy of {len(policy)} keys: at most {_MAX_KEYS}")
        self._of_body = scope == "MessageBody"
        # https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
        self._pattern = EventPattern(policy, empty_exists=False)
        if _combinations(policy, 1) > _MAX_COMBINATIONS:
            raise PatternError(
                f"a filter policy of {_combinations(policy, 1)} combinations of values: "
                f"at most {_MAX_COMBINATIONS}"
            )
        nested = [path for paths in self._pattern.paths() for path in paths if len(path) > 1]
        if nested and not self._of_body:
            raise PatternError(
                f"the filter on {'.'.join(nested[0])} is nested, as only one of scope MessageBody "
                "can be"
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


_PATH_STEP = re.compile(r"\.(?P<name>[\w/-]+|\*)|\[(?P<index>\d+|\*)\]", re.ASCII)
_PLACEHOLDER = re.compile(r"<([^<>]+)>")
_PREDEFINED = frozenset(
    {
        "aws.events.rule-arn",
        "aws.events.rule-name",
        "aws.events.event.ingestion-time",
        "aws.events.event",
        "aws.events.event.json",
    }
)
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
_MAX_VARIABLES = 100
_MAX_TEMPLATE_LENGTH = 8192


class JsonPath:
    """A path in the subset of JSONPath that EventBridge takes: names, indices and wildcards.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """

    def __init__(self, text: str) -> None:
        self._steps = list[str | int]()
        position = 1
        while text.startswith("$") and position < len(text):
            step = _PATH_STEP.match(text, position)
            if step is None:
                break
            index = step["index"]
            self._steps.append(step["name"] or (index if index == "*" else int(index)))
            position = step.end()
        if position != len(text) or not text.startswith("$"):
            raise PatternError(
                f"{text!r} is not a JSON path that EventBridge takes: use $.name, [0] and *"
            )
        self._many = "*" in self._steps

    def select(self, document: Any, default: Any = None) -> Any:
        """The value at the path, a list of values if it has a wildcard, or the default."""
        found = [document]
        for step in self._steps:
            found = [child for node in found for child in _children(node, step)]
        if self._many:
            return found
        return found[0] if found else default


def _children(node: Any, step: str | int) -> Sequence[Any]:
    if step == "*":
        if isinstance(node, dict):
            return list(node.values())
        return node if isinstance(node, list) else []
    if isinstance(step, int):
        return node[step : step + 1] if isinstance(node, list) else []
    return [node[step]] if isinstance(node, dict) and step in node else []


class InputTransformer:
    """The input transformer of a rule's target.

    Rules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    Raises PatternError on construction if EventBridge would refuse it.
    """

    def __init__(self, paths_map: Mapping[str, str] | None, template: str) -> None:
        paths = paths_map or {}
        if len(paths) > _MAX_VARIABLES:
            raise PatternError(f"{len(paths)} input paths: at most {_MAX_VARIABLES}")
        if not 1 <= len(template) <= _MAX_TEMPLATE_LENGTH:
            raise PatternError(f"an input template has 1 to {_MAX_TEMPLATE_LENGTH} characters")
        reserved = [name for name in paths if name.lower().startswith("aws.")]
        if reserved:
            raise PatternError(f"input path {reserved[0]!r}: names that begin with AWS. are taken")
        self._paths = {name: JsonPath(path) for name, path in paths.items()}
        self._pieces = _pieces(template)
        for _, name, _ in self._pieces:
            if name is not None and name not in self._paths and name not in _PREDEFINED:
                raise PatternError(f"input template uses <{name}>, which no input path defines")
        self._is_json = template.lstrip()[:1] in {"{", "["}

    def apply(
        self, event: Mapping[str, Any], *, rule_arn: str, rule_name: str, ingestion_time: float
    ) -> str:
        """The text that the target gets. The ingestion time is in epoch seconds."""
        filled = list[str]()
        for literal, name, quoted in self._pieces:
            filled.append(literal)
            if name is None:
                continue
            if name in self._paths:
                value = self._paths[name].select(event, _MISSING)
            else:
                value = _predefined(name, event, rule_arn, rule_name, ingestion_time)
            filled.append(_in_string(value) if quoted else _as_value(value))
        text = "".join(filled)
        return _minified(text) if self._is_json else text


def _pieces(template: str) -> list[tuple[str, str | None, bool]]:
    """Literal text, the variable after it, and whether that stands inside of a JSON string."""
    pieces = list[tuple[str, str | None, bool]]()
    position, quotes = 0, 0
    for found in _PLACEHOLDER.finditer(template):
        literal = template[position : found.start()]
        quotes += len(re.findall(r'(?<!\\)(?:\\\\)*"', literal))
        pieces.append((literal, found[1], quotes % 2 == 1))
        position = found.end()
    pieces.append((template[position:], None, False))
    return pieces


def _predefined(
    name: str, event: Mapping[str, Any], rule_arn: str, rule_name: str, ingestion_time: float
) -> Any:
    if name == "aws.events.rule-arn":
        return rule_arn
    if name == "aws.events.rule-name":
        return rule_name
    if name == "aws.events.event.ingestion-time":
        moment = datetime.fromtimestamp(ingestion_time, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if name == "aws.events.event":
        return {key: value for key, value in event.items() if key != "detail"}
    return dict(event)


def _in_string(value: Any) -> str:
    # Text goes in as it is: EventBridge does not escape what it takes out of the event. Objects
    # and arrays lose their quotes, which would end the string.
    if value is _MISSING:
        return ""
    if isinstance(value, str):
        return value
    return _compact(value).replace('"', "")


def _as_value(value: Any) -> str:
    return '""' if value is _MISSING else _compact(value)


def _minified(text: str) -> str:
    # Unescaped text from the event can make the document invalid; EventBridge passes that on.
    try:
        return _compact(json.loads(text))
    except ValueError:
        return text


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def target_input(
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    transformer: InputTransformer | None = None,
    rule_arn: str = "",
    rule_name: str = "",
    ingestion_time: float = 0.0,
) -> str:
    """What a rule's target receives: the event, Input, InputPath's part or the transformed text.

    Takes a target as in PutTargets, and its compiled transformer if the caller keeps one:
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html
    Raises PatternError if the target names several inputs, or its path selects nothing.
    """
    kinds = [kind for kind in ("Input", "InputPath", "InputTransformer") if target.get(kind)]
    if len(kinds) > 1:
        raise PatternError(f"target {target.get('Id')}: {' and '.join(kinds)} exclude each other")
    if not kinds:
        return _compact(event)
    if kinds == ["Input"]:
        return cast(str, target["Input"])
    if kinds == ["InputPath"]:
        part = JsonPath(target["InputPath"]).select(event, _MISSING)
        if part is _MISSING:
            raise PatternError(
                f"target {target.get('Id')}: {target['InputPath']} selects nothing in the event"
                f" {event.get('id')}"
            )
        return _compact(part)
    definition = target["InputTransformer"]
    transformer = transformer or InputTransformer(
        definition.get("InputPathsMap"), definition["InputTemplate"]
    )
    return transformer.apply(
        event, rule_arn=rule_arn, rule_name=rule_name, ingestion_time=ingestion_time
    )
