"""OpenAPI 3.1 of the HTTP API: the routes of the templates, described by their handlers.

https://spec.openapis.org/oas/v3.1.0
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from http import HTTPStatus
from importlib import import_module
from typing import Any, Literal, get_type_hints

import msgspec

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import HttpRoute, http_routes
from lambdas.eventing import signature, text
from lambdas.eventing.callback import Callback
from lambdas.eventing.http import (
    JSON,
    KEY_PATTERN,
    MAX_KEY_LENGTH,
    PROBLEM_JSON,
    Audience,
    Endpoint,
    Problem,
)
from stacks.schemas.json_schema import Schema, example_of
from tools.contracts.parts import SCHEMAS, Undocumented, referring, skeleton, words

_DEFINITIONS = "#/$defs/"

_TOKEN = "token"
_SIGNATURE = "signature"
_GATEWAY = {"Unauthorized": "401", "TooLarge": "413", "TooMany": "429", "Failed": "5XX"}
"""The status of each answer that API Gateway gives without the handler."""


def openapi(assembly: Assembly, version: str) -> dict[str, Any]:
    """Returns the document of all routes of the templates. Raises Undocumented or NoExample."""
    return _Api([_Operation(route) for route in http_routes(assembly)]).document(version)


class _Operation:
    """One route and its handler."""

    def __init__(self, route: HttpRoute) -> None:
        self.route = route
        module, _, attribute = route.function.properties["Handler"].rpartition(".")
        entry = getattr(import_module(module), attribute)
        if not isinstance(entry, Endpoint):
            raise Undocumented(f"{self}: {module} is no @endpoint and no @callback")
        if (route.authorizer is None) != isinstance(entry, Callback):
            raise Undocumented(f"{self}: a route has an authorizer, or a @callback, and not both")
        self.entry = entry
        self.contract = entry.contract
        self.context = module.split(".")[1]
        verb, *nouns = module.split(".")[2].split("_")
        self.id = verb + "".join(noun.title() for noun in nouns)
        self.summary, self.description = words(entry)

    def __str__(self) -> str:
        """The route, as a template writes it."""
        return f"{self.route.method} {self.route.path}"

    @property
    def variables(self) -> list[str]:
        """The variable parts of the path."""
        return re.findall(r"\{(\w+)\}", self.route.path)

    @property
    def types(self) -> list[Any]:
        """The classes whose schemas the document refers to."""
        return [type_ for type_ in (self.contract.body, self.contract.answers) if type_]

    @property
    def refusals(self) -> dict[HTTPStatus, list[type[Problem]]]:
        """The problems that callers may get, by status."""
        found: dict[HTTPStatus, list[type[Problem]]] = {}
        for problem in self.entry.refusals:
            found.setdefault(problem.status, []).append(problem)
        return dict(sorted(found.items()))


class _Api:
    """All operations, and the schemas that they share."""

    def __init__(self, operations: list[_Operation]) -> None:
        self._operations = operations
        self._problems = _documents(
            problem for operation in operations for problem in operation.entry.refusals
        )

    def document(self, version: str) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for operation in self._operations:
            methods = paths.setdefault(operation.route.path, {})
            methods[operation.route.method.lower()] = self._operation(operation)
        document = skeleton("openapi", version=version, staff=Audience.STAFF)
        document["paths"] = paths
        document["tags"] = [
            {"name": context, "description": words(import_module(f"lambdas.{context}"))[0]}
            for context in sorted({operation.context for operation in self._operations})
        ]
        components = document["components"]
        components["schemas"] = referring({**self._schemas, **components["schemas"]})
        components["securitySchemes"].update(self._signatures)
        return document

    @property
    def _signatures(self) -> dict[str, Schema]:
        schemes = {
            operation.entry.scheme
            for operation in self._operations
            if isinstance(operation.entry, Callback)
        }
        ordered = sorted(schemes, key=lambda scheme: scheme.header)
        return {_signature(scheme): _signed(scheme) for scheme in ordered}

    @cached_property
    def _gateway(self) -> dict[str, Any]:
        """The answers of the gateway, by name."""
        answers: dict[str, Any] = skeleton("openapi")["components"]["responses"]
        return answers

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        types = dict.fromkeys(type_ for operation in self._operations for type_ in operation.types)
        found = components([*types, *self._problems.values()])
        bodies = [operation.contract.body for operation in self._operations]
        sent = components(body for body in bodies if body)
        return {
            name: _readable(schema) if name in sent else schema for name, schema in found.items()
        }

    def _operation(self, operation: _Operation) -> dict[str, Any]:
        contract = operation.contract
        described = [operation.description]
        if contract.audience is Audience.STAFF:
            described.append("For staff only.")
        found: dict[str, Any] = {
            "operationId": operation.id,
            "tags": [operation.context],
            "summary": operation.summary,
            **_described("\n\n".join(filter(None, described))),
            "security": [_security(operation)],
        }
        if parameters := [
            *self._in_path(operation),
            *_in_headers(operation),
            *_in_query(operation),
        ]:
            found["parameters"] = parameters
        if contract.body:
            reference = f"{_DEFINITIONS}{contract.body.__name__}"
            example = example_of(
                {"$ref": reference, "$defs": self._schemas, "title": str(operation)}
            )
            content = {"schema": _ref(contract.body), "example": example}
            found["requestBody"] = {"required": True, "content": {JSON: content}}
        found["responses"] = self._responses(operation)
        return found

    def _in_path(self, operation: _Operation) -> Iterator[dict[str, Any]]:
        """Yields variables of the path. The answer's field of that name describes it."""
        answered = self._schemas[operation.contract.answers.__name__].get("properties", {})
        for name in operation.variables:
            if name not in answered:
                raise Undocumented(
                    f"{operation}: {operation.contract.answers.__name__} has no {name}, so "
                    "nothing says what it is"
                )
            yield _parameter(name, "path", answered[name], required=True)

    def _responses(self, operation: _Operation) -> dict[str, Any]:
        contract = operation.contract
        success: dict[str, Any] = {
            "description": words(contract.answers)[0],
            "content": {JSON: {"schema": _ref(contract.answers)}},
        }
        if contract.location:
            success["headers"] = {"location": {"$ref": "#/components/headers/Location"}}
            success["links"] = dict(self._links(contract.location))
        answers = {
            str(contract.status.value): success,
            **{str(status.value): self._refusal(of) for status, of in operation.refusals.items()},
        }
        possible = {"Unauthorized": operation.route.authorizer, "TooLarge": contract.body}
        for name, status in _GATEWAY.items():
            if possible.get(name, True):
                own = answers.setdefault(status, {"$ref": f"#/components/responses/{name}"})
                if "content" in own:
                    said = self._gateway[name]
                    own["content"] |= said["content"]
                    own["description"] += f"\n\nWithout a code: {said['description']}."
        return dict(sorted(answers.items()))

    def _links(self, location: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the link to the route of the location header."""
        for operation in self._operations:
            if str(operation) == f"GET {location}":
                names = operation.variables
                parameters = {name: f"$response.body#/{name}" for name in names}
                yield operation.id, {"operationId": operation.id, "parameters": parameters}

    def _refusal(self, problems: list[type[Problem]]) -> dict[str, Any]:
        references = {problem.code: _ref(problem) for problem in problems}
        described = [f"`{problem.code}`: {words(problem)[0]}." for problem in problems]
        mapping = {code: reference["$ref"] for code, reference in references.items()}
        schema: Schema = {
            "oneOf": list(references.values()),
            "discriminator": {"propertyName": "code", "mapping": mapping},
        }
        if len(problems) == 1:
            schema = _ref(problems[0])
        answer: dict[str, Any] = {
            "description": "\n\n".join(described),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        if any(problem.retry_after_s is not None for problem in problems):
            answer["headers"] = {"retry-after": {"$ref": "#/components/headers/RetryAfter"}}
        return answer


def components(types: Iterable[Any]) -> dict[str, Schema]:
    """Returns the schemas of classes and of their parts, by name."""
    _, found = msgspec.json.schema_components(types, ref_template=f"{_DEFINITIONS}{{name}}")
    return {name: _clean(schema) for name, schema in sorted(found.items())}


def _documents(problems: Iterable[type[Problem]]) -> dict[str, type[msgspec.Struct]]:
    """Returns a class for the answer of each kind of problem, by code.

    Raises Undocumented if two kinds that differ have the same code.
    """
    made: dict[str, tuple[Any, type[msgspec.Struct]]] = {}
    for problem in problems:
        document = _document(problem)
        schema = msgspec.json.schema(document)
        known, _ = made.setdefault(problem.code, (schema, document))
        if known != schema:
            raise Undocumented(
                f"two problems that differ are called {problem.code}, one of them in "
                f"{problem.__module__}: rename it"
            )
    return {code: document for code, (_, document) in sorted(made.items())}


def _document(problem: type[Problem]) -> type[msgspec.Struct]:
    hints = get_type_hints(problem, include_extras=True)
    literal: Any = Literal
    fixed = {
        "type": f"urn:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status.value,
        "code": problem.code,
    }
    return msgspec.defstruct(
        problem.__name__,
        [
            *((name, literal[value]) for name, value in fixed.items()),
            *((field.name, hints[field.name]) for field in fields(problem)),
        ],
        namespace={"__doc__": problem.__doc__},
    )


def _parameter(name: str, where: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    schema = {**schema}
    described = _described(schema.pop("description", ""))
    return {"name": name, "in": where, "required": required, **described, "schema": schema}


def _described(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


def _in_headers(operation: _Operation) -> Iterator[dict[str, Any]]:
    if operation.contract.idempotent:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Printable ASCII. Use a new key for each request, and the same key when "
            "you repeat one: then the request has its effect once, however often it is sent",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_KEY_LENGTH,
                "pattern": KEY_PATTERN,
            },
            "example": "my-first-order",
        }


def _in_query(operation: _Operation) -> Iterator[dict[str, Any]]:
    if operation.contract.query is None:
        return
    schema = components([operation.contract.query])[operation.contract.query.__name__]
    for name, argument in schema["properties"].items():
        required = name in schema["required"]
        yield _parameter(name, "query", _readable(_given(argument)), required=required)


def _given(argument: Schema) -> Schema:
    """Returns the schema of an argument without null, the value of an absent argument."""
    match argument:
        case {"anyOf": [given, {"type": "null"}], **others}:
            return {**given, **{name: part for name, part in others.items() if name != "default"}}
    return argument


def _security(operation: _Operation) -> dict[str, list[str]]:
    if isinstance(operation.entry, Callback):
        return {_signature(operation.entry.scheme): []}
    audience = operation.contract.audience
    return {_TOKEN: [] if audience is Audience.CUSTOMER else [audience.value]}


def _ref(class_: type[Any]) -> Schema:
    return {"$ref": f"{SCHEMAS}{class_.__name__}"}


def _clean(schema: Any) -> Any:
    """Returns a schema whose descriptions have no indentation."""
    if isinstance(schema, Mapping):
        return {
            name: inspect.cleandoc(part)
            if name == "description" and isinstance(part, str)
            else _clean(part)
            for name, part in schema.items()
        }
    return [_clean(part) for part in schema] if isinstance(schema, list) else schema


def _readable(schema: Any) -> Any:
    """Returns a schema for request data: strings exclude the characters that `text.fault` names."""
    if isinstance(schema, list):
        return [_readable(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: _readable(part) for name, part in schema.items()}
    free = schema.get("type") == "string" and not schema.keys() & {"enum", "format", "pattern"}
    return {**found, "pattern": text.PATTERN} if free else found


def _signature(scheme: signature.Scheme) -> str:
    """The name of the security scheme of a partner's signature."""
    return _SIGNATURE if scheme is signature.OWN else scheme.header


def _signed(scheme: signature.Scheme) -> dict[str, str]:
    return {
        "type": "apiKey",
        "in": "header",
        "name": scheme.header,
        "description": "A signature of the body with the key that the partner shares with the "
        f"shop: {scheme.form}. It is good for {signature.TOLERANCE_S} seconds.",
    }
