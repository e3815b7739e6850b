"""Reads JSON Schemas by paths in a message, and makes messages that match patterns."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

Schema = Mapping[str, Any]
Path = tuple[str, ...]

_MOST_VARIANTS = 500
_ABSENT = object()
_UNCHANGED = object()


def sub_schemas(schema: Schema, path: Path) -> list[Schema]:
    """Returns the schemas at a path of names; arrays on the path stand for their elements."""
    return list(_sub_schemas(schema, schema, path))


def _sub_schemas(root: Schema, schema: Schema, path: Path) -> Iterator[Schema]:
    for each in _resolved(root, schema):
        if "items" in each:
            yield from _sub_schemas(root, each["items"], path)
        elif not path:
            yield each
        else:
            properties = each.get("properties", {})
            others = each.get("additionalProperties")
            # A name with dots counts as nested, as for patterns.
            found = [(name, end) for name, end in _beginnings(path) if name in properties]
            for name, end in found:
                yield from _sub_schemas(root, properties[name], path[end:])
            if not found and isinstance(others, Mapping):
                yield from _sub_schemas(root, others, path[1:])


def _beginnings(path: Path) -> Iterator[tuple[str, int]]:
    return ((".".join(path[:end]), end) for end in range(1, len(path) + 1))


def declared_paths(schema: Schema) -> list[Path]:
    """Returns the paths of all values that are not objects."""
    return list(_declared(schema, schema, ()))


def _declared(root: Schema, schema: Schema, path: Path) -> Iterator[Path]:
    for each in _resolved(root, schema):
        if "items" in each:
            yield from _declared(root, each["items"], path)
        elif "properties" in each:
            for name, inner in each["properties"].items():
                yield from _declared(root, inner, (*path, name))
        else:
            yield path


def _resolved(root: Schema, schema: Schema) -> Iterator[Schema]:
    """The alternatives of a schema, without references at their top."""
    if "$ref" in schema:
        node: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        yield from _resolved(root, node)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _resolved(root, each)
    else:
        yield schema


def variants(
    schema: Schema, samples: Iterable[Any], wanted: Mapping[Path, Sequence[Any]]
) -> Iterator[Any]:
    """Yields samples, also with values that match rules of event patterns.

    `wanted` are the rules by path. A value is used only if the schema allows it at its path.
    """
    choices = {path: _choices(schema, path, rules) for path, rules in wanted.items()}
    combinations = list(islice(product(*choices.values()), _MOST_VARIANTS))
    for sample in samples:
        text = json.dumps(sample)
        for values in combinations:
            changes = [
                (path, value)
                for path, value in zip(choices, values, strict=True)
                if value is not _UNCHANGED
            ]
            made = json.loads(text) if changes else sample
            for path, value in changes:
                _put(made, path, value)
            yield made


def _choices(schema: Schema, path: Path, rules: Sequence[Any]) -> list[Any]:
    from jsonschema import Draft202012Validator  # Only proofs need it.

    here = [each for each in sub_schemas(schema, path) if "const" not in each]
    definitions = {"$defs": schema.get("$defs", {})}
    validators = [Draft202012Validator({**each, **definitions}) for each in here]
    found: list[Any] = [_UNCHANGED]
    for rule in rules:
        for value in _matching(rule):
            if value is _ABSENT:
                if not _is_required(schema, path):
                    found.append(value)
            elif any(validator.is_valid(value) for validator in validators):
                found.append(value)
    return found


def _is_required(schema: Schema, path: Path) -> bool:
    return any(
        ".".join(path[start:]) in each.get("required", ())
        for start in range(len(path))
        for each in sub_schemas(schema, path[:start])
    )


def _matching(rule: Any) -> list[Any]:
    """Values that match a rule of an event pattern.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
    """
    if not isinstance(rule, Mapping):
        return [rule]
    operator, operand = next(iter(rule.items()))
    return _EXAMPLES.get(operator, lambda _: [])(operand)


def _numbers(operand: Sequence[Any]) -> list[Any]:
    bounds = operand[1::2]
    return [number for bound in bounds for number in (bound - 1, bound, bound + 1)]


def _texts(operand: Any) -> list[Any]:
    text = operand["equals-ignore-case"] if isinstance(operand, Mapping) else operand
    return [text, text.lower(), text.upper(), f"{text}a", f"a{text}"]


def _others(operand: Any) -> list[Any]:
    listed = operand if isinstance(operand, list) else [operand]
    numbers = [each for each in listed if isinstance(each, int | float)]
    return (
        [max(numbers) + 1, min(numbers) - 1]
        if numbers
        else ["another", *(f"{each}x" for each in listed)]
    )


_EXAMPLES: Mapping[str, Callable[[Any], list[Any]]] = {
    "prefix": _texts,
    "suffix": _texts,
    "equals-ignore-case": _texts,
    "wildcard": lambda operand: [operand.replace("*", ""), operand.replace("*", "a")],
    "numeric": _numbers,
    "cidr": lambda operand: [operand.partition("/")[0]],
    "anything-but": _others,
    "exists": lambda operand: [] if operand else [_ABSENT],
}


def _put(node: Any, path: Path, value: Any) -> None:
    """Sets a value, in the first element of arrays; does nothing if there is no such path."""
    node = node[0] if isinstance(node, list) and node else node
    if not isinstance(node, dict):
        return
    name, end = next(((name, end) for name, end in _beginnings(path) if name in node), (path[0], 1))
    if end < len(path):
        _put(node.get(name), path[end:], value)
    elif value is _ABSENT:
        node.pop(name, None)
    elif isinstance(node.get(name), list):
        node[name] = [value]
    else:
        node[name] = value
