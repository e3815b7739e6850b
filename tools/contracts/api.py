"""Compares two versions of the HTTP API, and finds changes that break clients.

A version is an OpenAPI document as `tools.contracts.openapi` generates it. A change breaks senders
if the new version refuses a request that the old one accepted. It breaks readers if a client of the
old version cannot read an answer of the new one.
`tools.contracts.compatibility` compares the schemas in both directions.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cdk_rehearsal.topology import differences
from lambdas.eventing.http import PROBLEM_JSON
from stacks.schemas.json_schema import Schema
from tools.contracts.compatibility import Breaking, breaking_changes, dereferenced, plain

Document = Mapping[str, Any]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PROSE = frozenset({"description", "bearerFormat"})


class Victim(Enum):
    """The clients that a change breaks, and how to support them for a while."""

    SENDS = (
        "clients that send as before",
        "Accept the old form as well: make a new field, header or argument optional and keep the "
        "old behaviour without it; do not narrow limits; or add a route beside this one.",
    )
    READS = (
        "clients that read as before",
        "Answer in the old form as well: add a new field beside the old one and fill both; return "
        "a new value or status only to clients that ask for it; or add a route beside this one.",
    )
    CALLS = (
        "clients that call it",
        "Keep the route beside its successor, with the same rules, until the access log shows no "
        "more calls of it.",
    )

    def __init__(self, who: str, advice: str) -> None:
        self.who = who
        self.advice = advice


@dataclass(frozen=True)
class Break:
    """One difference that breaks clients."""

    where: str
    """Such as `body $.lines[].quantity`, `header idempotency-key` or `answer 202 $.status`."""
    what: str
    victim: Victim

    def __str__(self) -> str:
        """One sentence: where, what, and which clients break."""
        return f"{self.where} {self.what}: breaks {self.victim.who}".lstrip()


@dataclass(frozen=True, kw_only=True)
class Change:
    """A route that was added, removed or changed."""

    path: str
    """The route, such as `POST /orders`."""
    verb: str
    """`new`, `gone` or `changed`."""
    breaks: tuple[Break, ...] = ()
    places: tuple[str, ...] = ()
    """The parts of the route that differ, breaking or not."""

    def __str__(self) -> str:
        """One line for the comment of `make review`."""
        if self.breaks:
            return f"`{self.path}` {'; '.join(map(str, self.breaks))}"
        if self.places:
            return f"changed: `{self.path}` ({', '.join(self.places)}) breaks nobody"
        return f"{self.verb}: `{self.path}`"

    @property
    def advice(self) -> list[str]:
        """How to support the old and the new form for a while."""
        return [*dict.fromkeys(each.victim.advice for each in self.breaks)]


def changes(old: Document, new: Document) -> list[Change]:
    """Returns all added, removed and changed routes, sorted by path."""
    before, after = _routes(old), _routes(new)
    found = [_gone(route) for key, route in before.items() if key not in after]
    for key, route in after.items():
        was = before.get(key)
        if was is None:
            found.append(Change(path=route.name, verb="new"))
            continue
        breaks, places = tuple(_breaks(was, route)), tuple(_places(was, route))
        if breaks or places:
            found.append(Change(path=route.name, verb="changed", breaks=breaks, places=places))
    return sorted(found, key=lambda change: change.path)


Values = Mapping[str, tuple[bool, Schema]]
"""For each parameter or header, whether it is always present, and its schema."""

Credentials = list[dict[str, tuple[str, frozenset[str]]]]
"""Alternative sets of credentials. Each maps a security scheme, as JSON, to its name and scopes."""


@dataclass(frozen=True)
class _Answer:
    """The answer with one status."""

    contents: Mapping[str, Mapping[str, Schema]]
    """By content type, the alternative schemas by problem code or, without one, by title."""
    headers: Values


@dataclass(frozen=True)
class _Route:
    """A method on a path, with all references resolved."""

    name: str
    servers: list[str]
    credentials: Credentials
    parameters: Values
    """Path parameters are identified by their position, not by their name."""
    body: tuple[bool, Mapping[str, Schema]]
    """Whether a body is required, and its schemas by content type; empty if none is read."""
    answers: Mapping[str, _Answer]

    def comparable(self) -> Any:
        """Returns the whole route as plain data, to list its differences."""
        needed, contents = self.body
        return plain(
            {
                "address": self.servers,
                "credentials": _worded(self.credentials),
                **_listed(self.parameters),
                "body": {"required": needed, **contents},
                "answer": {
                    status: {**answer.contents, "headers": _listed(answer.headers)}
                    for status, answer in self.answers.items()
                },
            }
        )


def _listed(values: Values) -> Schema:
    return {
        name: {"required": required, "schema": schema}
        for name, (required, schema) in values.items()
    }


def _routes(document: Document) -> dict[tuple[str, str], _Route]:
    """Returns the routes by method and path. Clients do not see the names of path variables."""
    document = dereferenced(document)
    return {
        (re.sub(r"\{[^}+]+(\+?)\}", r"{\1}", path), method): _route(document, path, method)
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    }


def _route(document: Document, path: str, method: str) -> _Route:
    item = document["paths"][path]
    operation = item[method]
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    body = operation.get("requestBody", {})
    schemes = document.get("components", {}).get("securitySchemes", {})
    return _Route(
        name=f"{method.upper()} {path}",
        servers=[each["url"] for each in document.get("servers", ())],
        credentials=[
            {_identity(schemes.get(name, name)): (name, frozenset(need[name])) for name in need}
            for need in operation.get("security", document.get("security")) or [{}]
        ],
        parameters=dict(_value(each, _parameter_name(each, path)) for each in parameters),
        body=(body.get("required", False), _contents(body)),
        answers={
            status: _Answer(
                contents={
                    type_: dict(_alternatives(schema, type_))
                    for type_, schema in _contents(answer).items()
                },
                headers=dict(
                    _value(header, name.lower())
                    for name, header in answer.get("headers", {}).items()
                ),
            )
            for status, answer in operation.get("responses", {}).items()
        },
    )


def _identity(scheme: Any) -> str:
    """Returns a security scheme as JSON, without texts for people."""
    if isinstance(scheme, Mapping):
        scheme = {name: value for name, value in scheme.items() if name not in _PROSE}
    return json.dumps(scheme, sort_keys=True)


def _parameter_name(parameter: Schema, path: str) -> str:
    where, name = parameter["in"], parameter["name"]
    if where == "path":
        name = re.findall(r"\{([^}+]+)\+?\}", path).index(name) + 1
    return f"{where} {name if where == 'query' else str(name).lower()}"


def _value(part: Schema, name: str) -> tuple[str, tuple[bool, Schema]]:
    return name, (part.get("required", False), part.get("schema", {}))


def _contents(part: Schema) -> dict[str, Schema]:
    return {type_: each.get("schema", {}) for type_, each in part.get("content", {}).items()}


def _alternatives(schema: Schema, type_: str) -> Iterator[tuple[str, Schema]]:
    for each in schema.get("oneOf", [schema]):
        properties = each.get("properties", {})
        code = properties.get("code", {}).get("enum", [each.get("title", "")])[0]
        if type_ == PROBLEM_JSON and "title" in properties:
            # Titles are for people: https://www.rfc-editor.org/rfc/rfc9457#section-3.1.3
            yield code, {**each, "properties": {**properties, "title": {"type": "string"}}}
        else:
            yield code, each


def _gone(route: _Route) -> Change:
    broken = Break("", "is gone", Victim.CALLS)
    return Change(path=route.name, verb="gone", breaks=(broken,))


def _places(old: _Route, new: _Route) -> Iterator[str]:
    for place, *_ in differences(old.comparable(), new.comparable()):
        yield re.sub(r"\b(properties|application/json)\.", "", place)


def _breaks(old: _Route, new: _Route) -> Iterator[Break]:
    if old.servers != new.servers:
        what = f"is {', '.join(new.servers)} now, was {', '.join(old.servers)}"
        yield Break("address", what, Victim.CALLS)
    yield from _credentials(old, new)
    yield from _parameters(old, new)
    yield from _body(old, new)
    yield from _answers(old.answers, new.answers)


def _credentials(old: _Route, new: _Route) -> Iterator[Break]:
    """Each set of credentials that was sufficient must still be sufficient."""
    for had in old.credentials:
        if not any(
            need.keys() <= had.keys() and all(need[name][1] <= had[name][1] for name in need)
            for need in new.credentials
        ):
            was, now = (" or ".join(_worded(each.credentials)) for each in (old, new))
            changed = f"{now} now, was {was}" if was != now else f"{now}, in another form"
            yield Break("credentials", f"must be {changed}", Victim.SENDS)


def _worded(credentials: Credentials) -> list[str]:
    return [
        " and ".join(
            name + (f" of {', '.join(sorted(scopes))}" if scopes else "")
            for name, scopes in need.values()
        )
        or "none"
        for need in credentials
    ]


def _parameters(old: _Route, new: _Route) -> Iterator[Break]:
    before, after = old.parameters, new.parameters
    for name, (required, schema) in before.items():
        if name not in after:
            yield Break(name, "is no longer read", Victim.SENDS)
            continue
        needs, now = after[name]
        if needs and not required:
            yield Break(name, "may no longer be left out", Victim.SENDS)
        yield from _refused(breaking_changes(schema, now), name)
    for name, (required, _) in after.items():
        if required and name not in before:
            yield Break(name, "is new and required", Victim.SENDS)


def _body(old: _Route, new: _Route) -> Iterator[Break]:
    (required, before), (needs, after) = old.body, new.body
    if before and not after:
        yield Break("body", "is no longer read", Victim.SENDS)
        return
    if needs and not required:
        what = "may no longer be left out" if before else "is new and required"
        yield Break("body", what, Victim.SENDS)
    for type_, schema in before.items():
        if type_ not in after:
            what = f"can no longer be {type_}, but {' or '.join(after)}"
            yield Break("body", what, Victim.SENDS)
        else:
            yield from _refused(breaking_changes(schema, after[type_]), "body")


def _answers(before: Mapping[str, _Answer], after: Mapping[str, _Answer]) -> Iterator[Break]:
    for status, was in before.items():
        now = after.get(status) or after.get(f"{status[0]}XX") or after.get("default")
        where = f"answer {status}"
        if now is None:
            instead = ", ".join(each for each in after if each[0] == status[0]) or "none"
            what = f"is no longer returned; others of its class: {instead}"
            yield Break(where, what, Victim.READS)
            continue
        for type_, schemas in was.contents.items():
            if type_ not in now.contents:
                what = f"is no longer {type_}, but {' or '.join(now.contents) or 'empty'}"
                yield Break(where, what, Victim.READS)
            else:
                yield from _documents(schemas, now.contents[type_], where)
        yield from _headers(was.headers, now.headers, where)


def _documents(
    before: Mapping[str, Schema], after: Mapping[str, Schema], where: str
) -> Iterator[Break]:
    """Compares alternative answers with one status.

    New kinds of problems break nobody: a client treats an unknown code by its status.
    """
    if len(before) == len(after) == 1:
        [old], [new] = before.values(), after.values()
        yield from _unreadable(breaking_changes(old, new), where)
        return
    for code, schema in before.items():
        if code in after:
            yield from _unreadable(breaking_changes(schema, after[code]), f"{where} {code}")
        else:
            yield Break(where, f"is no longer {code}", Victim.READS)


def _headers(before: Values, after: Values, where: str) -> Iterator[Break]:
    for name, (always, schema) in before.items():
        place = f"{where} header {name}"
        if name not in after:
            yield Break(place, "is gone", Victim.READS)
            continue
        still, now = after[name]
        if always and not still:
            yield Break(place, "may be left out now", Victim.READS)
        yield from _unreadable(breaking_changes(schema, now), place)


def _refused(found: list[Breaking], where: str) -> Iterator[Break]:
    """The differences that make the new version refuse an old request."""
    for each in found:
        if each.history:
            yield Break(f"{where} {each.path}", each.what, Victim.SENDS)


def _unreadable(found: list[Breaking], where: str) -> Iterator[Break]:
    """The differences that make a new answer unreadable or incomplete for an old client."""
    for each in found:
        if each.consumers:
            yield Break(f"{where} {each.path}", each.what, Victim.READS)
