"""Requests with a text in each place of the API in turn: bodies, paths, queries and headers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from workspace.isolation import PROJECT

Known = Mapping[str, Any]
"""Values that exist in the shop, by the name of the field or parameter."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A request that would be accepted, but for a text in one place."""

    route: str
    place: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    of_staff: bool = False

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]


def attempts(text: str, known: Mapping[str, Known]) -> Iterator[Attempt]:
    """Yields an attempt for each place of each route that people call.

    `known` has values that exist, by the first part of the route's path; `""` is for all others.
    """
    document = json.loads((PROJECT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    for path, operations in document["paths"].items():
        values = {**known[""], **known.get(path.split("/")[1], {})}
        for method, operation in operations.items():
            scopes = operation["security"][0].get("token")
            if scopes is None:
                continue  # Only a partner can sign it.
            route = f"{method.upper()} {path}"
            attempt = partial(Attempt, route=route, of_staff="staff" in scopes)
            content = operation.get("requestBody", {}).get("content", {})
            example = content["application/json"]["example"] if content else None
            body = _with(example, values)
            for place, changed in _replaced(body, text):
                key = {"idempotency-key": place}
                yield attempt(place=place, path=path.format_map(values), headers=key, body=changed)
            for parameter in operation.get("parameters", ()):
                name, kind = parameter["name"], parameter["in"]
                there = path.format_map({**values, name: quote(text)} if kind == "path" else values)
                query = f"?{urlencode({name: text})}" if kind == "query" else ""
                headers = {name.lower(): text} if kind == "header" else {}
                yield attempt(
                    place=f"{kind} {name}", path=there + query, headers=headers, body=body
                )


def _with(example: Any, values: Known) -> Any:
    """Returns an example with values that exist."""
    if isinstance(example, list):
        return [_with(each, values) for each in example]
    if isinstance(example, dict):
        return {
            name: values[name] if name in values else _with(each, values)
            for name, each in example.items()
        }
    return example


def _replaced(value: Any, text: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each place in a value, and the value with the text there."""
    match value:
        case dict():
            for name, inner in value.items():
                for where, changed in _replaced(inner, text, f"{place}.{name}".lstrip(".")):
                    yield where, {**value, name: changed}
        case list():
            for number, inner in enumerate(value):
                for where, changed in _replaced(inner, text, f"{place}[{number}]"):
                    yield where, [*value[:number], changed, *value[number + 1 :]]
        case None:
            return
        case _:
            yield place, text
