"""EventBridge's event patterns."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, TypeGuard

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
        "exactly",
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
# The largest number in a pattern of EventBridge.
_MAX_NUMBER = 5e9
# How many states one event may keep AWS's matcher in; it recommends this limit for a rule:
# https://github.com/aws/event-ruler#matching-with-a-machine
_MAX_COMPLEXITY = 10


class PatternError(RehearsalError, ValueError):
    """An event pattern, filter or input transformer that AWS would refuse."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a service accepts in patterns."""

    service: str
    without: frozenset[str] = frozenset()
    """Operators that it refuses; with a slash, one inside of another."""
    empty_exists: bool = True
    """Whether ``exists`` takes null and the empty text for a value."""
    instead: str = ""
    """What to use instead of an operator that it does not support, after a colon."""


EVENTBRIDGE = Dialect(service="EventBridge")


@dataclass(frozen=True, slots=True)
class _Field:
    """What the values at one path must be: one of some constants, or pass one of some tests."""

    path: Path
    # For each position in the path, the names that continue it, and where they lead to: a field
    # of an event may have dots in its name, which stand for nesting.
    steps: tuple[tuple[tuple[str, int], ...], ...]
    strings: frozenset[str]
    numbers: frozenset[Any]
    literals: tuple[bool | None, ...]
    tests: tuple[Test, ...]
    # The texts between the asterisks of its wildcards.
    wildcards: tuple[list[str], ...]
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
    Dots in names stand for nesting, in patterns and in events: {"a.b": ...} is {"a": {"b": ...}},
    as https://github.com/aws/event-ruler does it, the matcher of AWS.
    Raises PatternError on construction if AWS would refuse the pattern.
    """

    def __init__(self, pattern: Mapping[str, Any], dialect: Dialect = EVENTBRIDGE) -> None:
        if not isinstance(pattern, Mapping):
            raise PatternError(f"an event pattern must be a JSON object, not {pattern!r}")
        # Each alternative is one choice among the branches of every "$or".
        self._alternatives = [
            tuple(alternative[path] for path in sorted(alternative, key=".".join))
            for alternative in _alternatives(dialect, pattern, (), inside_or=False)
        ]
        _check_complexity(self._alternatives)
        if not dialect.empty_exists:
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
    for value, found_in in _values(event, field.steps, 0, _NOWHERE):
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
    node: Any, steps: Sequence[Sequence[tuple[str, int]]], depth: int, membership: Membership
) -> Iterator[tuple[Any, Membership]]:
    """Leaf values at a path; arrays on the way and at its end stand for each of their elements."""
    if isinstance(node, dict):
        for name, there in steps[depth]:
            child = node.get(name, _MISSING)
            if child is not _MISSING:
                yield from _values(child, steps, there, membership)
    elif isinstance(node, list):
        for position, element in enumerate(node):
            if isinstance(element, dict | list):
                inner = {**membership, id(node): position}
                yield from _values(element, steps, depth, inner)
            elif not steps[depth]:
                yield element, membership
    elif not steps[depth]:
        yield node, membership


def _steps(path: Path) -> tuple[tuple[tuple[str, int], ...], ...]:
    ends = range(len(path) + 1)
    return tuple(
        tuple((".".join(path[start:end]), end) for end in ends[start + 1 :]) for start in ends
    )


def _alternatives(
    dialect: Dialect, pattern: Mapping[str, Any], path: Path, *, inside_or: bool
) -> list[dict[Path, _Field]]:
    where = ".".join(path) or "the top level"
    if not pattern:
        raise PatternError(f"empty object in an event pattern at {where}")
    result: list[dict[Path, _Field]] = [{}]
    for name, rule in pattern.items():
        here = (*path, *name.split("."))
        if name == "$or":
            if not isinstance(rule, list) or len(rule) < 2:
                raise PatternError(f"$or at {where} needs an array of two or more objects")
            branches: list[dict[Path, _Field]] = []
            for branch in rule:
                if not isinstance(branch, Mapping):
                    raise PatternError(f"$or at {where} has {branch!r} where an object must be")
                branches += _alternatives(dialect, branch, path, inside_or=True)
        elif inside_or and name in _OPERATORS:
            raise PatternError(f"operator {name!r} stands where a field name must, in $or, {where}")
        elif isinstance(rule, Mapping):
            branches = _alternatives(dialect, rule, here, inside_or=inside_or)
        elif isinstance(rule, list):
            branches = [{here: _field(dialect, here, rule)}]
        else:
            raise PatternError(
                f"{'.'.join(here)} must be an object or an array of values, not {rule!r}"
            )
        # Of a field that stands twice, AWS takes what stands last.
        result = [left | right for left in result for right in branches]
    return result


def _check_complexity(alternatives: Iterable[tuple[_Field, ...]]) -> None:
    """Raises PatternError for wildcards that need too many states of a matcher at once."""
    # A matcher takes the fields in their order: those behind the same fields share one machine.
    machines: dict[tuple[Path, tuple[int, ...]], list[list[str]]] = {}
    for fields in alternatives:
        for position, field in enumerate(fields):
            if field.wildcards:
                machine = machines.setdefault((field.path, tuple(map(id, fields[:position]))), [])
                machine += [each for each in field.wildcards if each not in machine]
    for (path, _), wildcards in machines.items():
        if _complexity(wildcards) > _MAX_COMPLEXITY:
            raise PatternError(
                f"{'.'.join(path)}: the rule is too complex for AWS: use fewer wildcard characters "
                "or fewer repeating character sequences after a wildcard character"
            )


def _complexity(wildcards: Sequence[list[str]]) -> int:
    """The most states in which one text can keep a matcher that tries all wildcards at once.

    It stays at each asterisk, and is at each beginning of a text behind one that the text which it
    has read so far ends with.
    """
    most = 0
    for start in {parts[0] for parts in wildcards if len(parts) > 1}:
        # A quotation mark ends the text for AWS's matcher, too.
        after = [
            [*parts[1:-1], parts[-1] + '"']
            for parts in wildcards
            if len(parts) > 1 and start.startswith(parts[0])
        ]
        begun = [part[:end] for parts in after for part in parts for end in range(1, len(part) + 1)]
        asterisks = sum(map(len, after))
        most = max(most, *(asterisks + sum(map(read.endswith, begun)) for read in set(begun)))
    return most


def _field(dialect: Dialect, path: Path, rules: list[Any]) -> _Field:
    where = ".".join(path)
    if not rules:
        raise PatternError(f"{where} has an empty array: it would match nothing")
    strings, numbers, literals = set[str](), set[Any](), list[bool | None]()
    tests = list[Test]()
    wildcards = list[list[str]]()
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
        elif rule.get("exists") is False:
            may_be_absent = True
        else:
            _check_operators(dialect, where, rule)
            tests.append(_operator(where, *next(iter(rule.items()))))
            wildcards += _wildcards(where, rule)
    return _Field(
        path,
        _steps(path),
        frozenset(strings),
        frozenset(numbers),
        tuple(literals),
        tuple(tests),
        tuple(wildcards),
        may_be_absent,
    )


def _check_operators(dialect: Dialect, where: str, rule: Mapping[str, Any]) -> None:
    for name, operand in rule.items():
        nested = [f"{name}/{inner}" for inner in operand] if isinstance(operand, Mapping) else []
        if refused := dialect.without.intersection([name, *nested]):
            operator = min(refused).replace("/", " with ")
            raise PatternError(
                f"{where}: {dialect.service} does not support {operator}{dialect.instead}"
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
    if name in {"prefix", "suffix", "equals-ignore-case", "exactly", "wildcard"}:
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
    if name == "exactly":
        return lambda value: value == text
    expression = re.compile(".*".join(map(re.escape, _parts(where, text))), re.DOTALL)
    return lambda value: isinstance(value, str) and expression.fullmatch(value) is not None


def _wildcards(where: str, rule: Mapping[str, Any]) -> list[list[str]]:
    found = rule.get("anything-but", rule)
    texts = found.get("wildcard", []) if isinstance(found, Mapping) else []
    return [_parts(where, text) for text in ([texts] if isinstance(texts, str) else texts)]


def _parts(where: str, text: str) -> list[str]:
    """The texts between the asterisks of a wildcard."""
    # A backslash escapes the asterisk and itself, nothing else; two asterisks may not touch.
    parts = [""]
    for token in re.findall(r"\\.?|\*+|[^\\*]+", text, re.DOTALL):
        if token == "*":
            parts.append("")
        elif token in {r"\*", r"\\"}:
            parts[-1] += token[1]
        elif token[0] in "\\*":
            raise PatternError(f"{where}: wildcard {text!r} has {token!r}, which AWS refuses")
        else:
            parts[-1] += token
    return parts


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
