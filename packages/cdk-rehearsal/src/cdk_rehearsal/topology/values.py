"""Reads properties whose values may be known only when a stack is deployed."""

from collections.abc import Iterator, Mapping
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource, listed


def number(value: Any, default: int | None = None) -> int | None:
    """Returns a whole number, ``default`` for None, or None if the value is not known."""
    try:
        return default if value is None else int(value)
    except (TypeError, ValueError):
        return None


def text(value: Any, default: str = "") -> str:
    """Returns a text, or ``default`` if it is not known."""
    return value if isinstance(value, str) else default


def table(value: Any) -> Mapping[str, Any]:
    """Returns an object, empty if it is not known."""
    return value if isinstance(value, Mapping) and not is_function(value) else {}


def tables(value: Any) -> list[Mapping[str, Any]]:
    """Returns the objects of a list, with those of both branches of a condition."""
    match value:
        case {"Fn::If": [_, yes, no]}:
            return [*tables(yes), *tables(no)]
        case list():
            return [each for item in value for each in tables(item)]
    return [value] if table(value) else []


def words(value: Any) -> list[str]:
    """Returns the texts of a list, or the one without brackets; leaves out unknown ones."""
    return [each for each in listed(value) if isinstance(each, str)]


def statements_in(document: Any) -> list[Mapping[str, Any]]:
    """Returns the statements of a policy."""
    return tables(table(document).get("Statement"))


def is_function(value: Any) -> bool:
    """Whether a value is a function of CloudFormation, which is not resolved."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    (name,) = value
    return name == "Ref" or str(name).startswith("Fn::")


def unknown(assembly: Assembly, resource: Resource) -> Iterator[tuple[str, str]]:
    """Yields the places in a resource whose values depend on the deployment, each with on what."""
    template = assembly.templates[resource.stack]
    nested = assembly.stack_of(resource).parent is not None
    parameters = () if nested else template.get("Parameters", {})
    yield from _unknown(resource.properties, "", parameters)


def _unknown(value: Any, place: str, parameters: Any) -> Iterator[tuple[str, str]]:
    match value:
        case {"Fn::If": [str(name), *_]}:
            yield place, f"the condition {name}"
        case {"Ref": str(name)} if name in parameters:
            yield place, f"the parameter {name}"
        case Mapping():
            for key, item in value.items():
                if not is_function(value):
                    yield from _unknown(item, f"{place}.{key}" if place else str(key), parameters)
        case list():
            for index, item in enumerate(value):
                yield from _unknown(item, f"{place}[{index}]", parameters)
