"""Compares two versions of the HTTP API, and finds changes that break clients.

A version is an OpenAPI document as `tools.contracts.openapi` generates it. A change breaks clients
that send if the new version refuses a request that the old one accepted. It breaks clients that
read if a client of the old version cannot read an answer of the new one.
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
from tools.contracts.compatibility import Breaking, breaking_changes, plain

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


@dataclass(frozen=True, kw_only=True)
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
    before, after = _Version(old), _Version(new)
    found = [_gone(route) for key, route in before.routes.items() if key not in after.routes]
    for key, route in after.routes.items():
        was = before.routes.get(key)
        if was is None:
            found.append(Change(path=route.name, verb="new"))
            continue
        breaks, places = tuple(_breaks(was, route)), tuple(_places(was, route))
        if breaks or places:
            found.append(Change(path=route.name, verb="changed", breaks=breaks, places=places))
    return sorted(found, key=lambda change: change.path)


class _Version:
    """A document whose references can be resolved."""

    def __init__(self, document: Document) -> None:
        text = json.dumps(document).replace("#/components/schemas/", "#/$defs/")
        self.document: dict[str, Any] = json.loads(text)
        self.components: dict[str, Any] = self.document.get("components", {})
        self.document["$defs"] = self.components.get("schemas", {})
        self.routes: dict[tuple[str, str], _Route] = {}
        for path, item in self.document["paths"].items():
            # Clients do not see the names of path variables.
            shape = re.sub(r"\{[^}+]+(\+?)\}", r"{\1}", path)
            for method in _METHODS:
                if method in item:
                    self.routes[shape, method] = _Route(self, path, method, item)

    def resolved(self, part: Any) -> Any:
        """Returns the component that `part` refers to, or `part` itself if it is no reference."""
        if "$ref" not in part:
            return part
        found: Any = self.document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return self.resolved(found)

    def schema(self, schema: Schema) -> Schema:
        """Returns the schema together with the definitions that it refers to."""
        return {**schema, "$defs": self.document["$defs"]}


class _Route:
    """A method on a path, without descriptions."""

    def __init__(self, version: _Version, path: str, method: str, item: Mapping[str, Any]) -> None:
        self._version = version
        self._operation = item[method]
        self._shared = item.get("parameters", ())
        self.name = f"{method.upper()} {path}"
        self.servers = [each["url"] for each in version.document.get("servers", ())]

    @property
    def parameters(self) -> dict[str, tuple[bool, Schema]]:
        """For each parameter, whether it is required, and its schema.

        Path parameters are identified by their position, not by their name.
        """
        given = map(self._version.resolved, (*self._shared, *self._operation.get("parameters", ())))
        by_place = {(each["in"], each["name"]): each for each in given}
        variables = re.findall(r"\{([^}+]+)\+?\}", self.name)
        found = {}
        for (where, name), each in by_place.items():
            known = variables.index(name) + 1 if where == "path" else name.lower()
            if where == "query":
                known = name
            schema = self._version.schema(each.get("schema", {}))
            found[f"{where} {known}"] = (each.get("required", False), schema)
        return found

    @property
    def body(self) -> tuple[bool, dict[str, Schema]]:
        """Whether a body is required, and its schemas by content type; empty if none is read."""
        body = self._version.resolved(self._operation.get("requestBody", {}))
        return body.get("required", False), self._contents(body)

    @property
    def answers(self) -> dict[str, "_Answer"]:
        """The answers by status."""
        return {
            status: _Answer(self._version, self._version.resolved(answer))
            for status, answer in self._operation.get("responses", {}).items()
        }

    @property
    def credentials(self) -> list[dict[str, tuple[str, frozenset[str]]]]:
        """The alternative sets of credentials, any of which is sufficient.

        Each maps a security scheme, as JSON, to its name and its scopes.
        """
        schemes = self._version.components.get("securitySchemes", {})
        needs = self._operation.get("security", self._version.document.get("security")) or [{}]
        return [
            {
                json.dumps(_without_prose(schemes.get(name, name)), sort_keys=True): (
                    name,
                    frozenset(scopes),
                )
                for name, scopes in need.items()
            }
            for need in needs
        ]

    def _contents(self, part: Mapping[str, Any]) -> dict[str, Schema]:
        return {
            type_: self._version.schema(content.get("schema", {}))
            for type_, content in part.get("content", {}).items()
        }

    @property
    def comparable(self) -> dict[str, Any]:
        """The whole route as plain data, to list its differences."""
        needed, contents = self.body
        return {
            "address": self.servers,
            "credentials": _told(self.credentials),
            **{
                name: {"required": required, "schema": plain(schema)}
                for name, (required, schema) in self.parameters.items()
            },
            "body": {"required": needed, **{name: plain(each) for name, each in contents.items()}},
            "answer": {status: answer.comparable for status, answer in self.answers.items()},
        }


class _Answer:
    """The answer with one status."""

    def __init__(self, version: _Version, answer: Mapping[str, Any]) -> None:
        self._version = version
        self._answer = answer

    @property
    def contents(self) -> dict[str, dict[str, Schema]]:
        """By content type, the alternative schemas by problem code or, without one, by title."""
        return {
            type_: dict(self._alternatives(content.get("schema", {}), type_))
            for type_, content in self._answer.get("content", {}).items()
        }

    def _alternatives(self, schema: Schema, type_: str) -> Iterator[tuple[str, Schema]]:
        for each in schema.get("oneOf", [schema]):
            found = self._version.resolved(each)
            properties = found.get("properties", {})
            if type_ == PROBLEM_JSON and "title" in properties:
                # Titles are for people: https://www.rfc-editor.org/rfc/rfc9457#section-3.1.3
                found = {**found, "properties": {**properties, "title": {"type": "string"}}}
            code = properties.get("code", {}).get("enum", [found.get("title", "")])[0]
            yield str(code), self._version.schema(found)

    @property
    def headers(self) -> dict[str, tuple[bool, Schema]]:
        """For each header, whether it is always present, and its schema."""
        found = {
            name.lower(): self._version.resolved(header)
            for name, header in self._answer.get("headers", {}).items()
        }
        return {
            name: (header.get("required", False), self._version.schema(header.get("schema", {})))
            for name, header in found.items()
        }

    @property
    def comparable(self) -> dict[str, Any]:
        return {
            **{
                type_: {name: plain(schema) for name, schema in alternatives.items()}
                for type_, alternatives in self.contents.items()
            },
            "headers": {
                name: {"required": always, "schema": plain(schema)}
                for name, (always, schema) in self.headers.items()
            },
        }


def _gone(route: _Route) -> Change:
    broken = Break(where="", what="is gone", victim=Victim.CALLS)
    return Change(path=route.name, verb="gone", breaks=(broken,))


def _places(old: _Route, new: _Route) -> Iterator[str]:
    for place, *_ in differences(old.comparable, new.comparable):
        yield re.sub(r"\b(properties|application/json)\.", "", place)


def _breaks(old: _Route, new: _Route) -> Iterator[Break]:
    if old.servers != new.servers:
        what = f"is {', '.join(new.servers)} now, was {', '.join(old.servers)}"
        yield Break(where="address", what=what, victim=Victim.CALLS)
    yield from _credentials(old, new)
    yield from _parameters(old, new)
    yield from _body(old, new)
    yield from _answers(old.answers, new.answers)


def _credentials(old: _Route, new: _Route) -> Iterator[Break]:
    """Every set of credentials that was sufficient has to be sufficient still."""
    for had in old.credentials:
        if not any(
            need.keys() <= had.keys() and all(need[name][1] <= had[name][1] for name in need)
            for need in new.credentials
        ):
            was, now = (" or ".join(_told(each.credentials)) for each in (old, new))
            changed = f"{now} now, was {was}" if was != now else f"{now}, in another form"
            yield Break(where="credentials", what=f"must be {changed}", victim=Victim.SENDS)


def _told(credentials: list[dict[str, tuple[str, frozenset[str]]]]) -> list[str]:
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
            yield Break(where=name, what="is no longer read", victim=Victim.SENDS)
            continue
        needs, now = after[name]
        if needs and not required:
            yield Break(where=name, what="may no longer be left out", victim=Victim.SENDS)
        yield from _refused(breaking_changes(schema, now), name)
    for name, (required, _) in after.items():
        if required and name not in before:
            yield Break(where=name, what="is new and required", victim=Victim.SENDS)


def _body(old: _Route, new: _Route) -> Iterator[Break]:
    (required, before), (needs, after) = old.body, new.body
    if before and not after:
        yield Break(where="body", what="is no longer read", victim=Victim.SENDS)
        return
    if needs and not required:
        what = "may no longer be left out" if before else "is new and required"
        yield Break(where="body", what=what, victim=Victim.SENDS)
    for type_, schema in before.items():
        if type_ not in after:
            what = f"can no longer be {type_}, but {' or '.join(after)}"
            yield Break(where="body", what=what, victim=Victim.SENDS)
        else:
            yield from _refused(breaking_changes(schema, after[type_]), "body")


def _answers(before: Mapping[str, _Answer], after: Mapping[str, _Answer]) -> Iterator[Break]:
    for status, was in before.items():
        now = after.get(status) or after.get(f"{status[0]}XX") or after.get("default")
        where = f"answer {status}"
        if now is None:
            instead = ", ".join(each for each in after if each[0] == status[0]) or "none"
            what = f"is no longer returned; others of its class: {instead}"
            yield Break(where=where, what=what, victim=Victim.READS)
            continue
        for type_, schemas in was.contents.items():
            if type_ not in now.contents:
                what = f"is no longer {type_}, but {' or '.join(now.contents) or 'empty'}"
                yield Break(where=where, what=what, victim=Victim.READS)
            else:
                yield from _alternatives(schemas, now.contents[type_], where)
        yield from _headers(was.headers, now.headers, where)


def _alternatives(
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
            yield Break(where=where, what=f"is no longer {code}", victim=Victim.READS)


def _headers(
    before: Mapping[str, tuple[bool, Schema]], after: Mapping[str, tuple[bool, Schema]], where: str
) -> Iterator[Break]:
    for name, (always, schema) in before.items():
        place = f"{where} header {name}"
        if name not in after:
            yield Break(where=place, what="is gone", victim=Victim.READS)
            continue
        still, now = after[name]
        if always and not still:
            yield Break(where=place, what="may be left out now", victim=Victim.READS)
        yield from _unreadable(breaking_changes(schema, now), place)


def _refused(found: list[Breaking], where: str) -> Iterator[Break]:
    """The differences that make the new version refuse an old request."""
    for each in found:
        if each.history:
            yield Break(where=f"{where} {each.path}", what=each.what, victim=Victim.SENDS)


def _unreadable(found: list[Breaking], where: str) -> Iterator[Break]:
    """The differences that make a new answer unreadable or incomplete for an old client."""
    for each in found:
        if each.consumers:
            yield Break(where=f"{where} {each.path}", what=each.what, victim=Victim.READS)


def _without_prose(scheme: Any) -> Any:
    if not isinstance(scheme, Mapping):
        return scheme
    return {name: value for name, value in scheme.items() if name not in _PROSE}
