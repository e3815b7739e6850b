"""OpenAPI 3.1 of the HTTP API: routes of the templates, and what their handlers say of themselves.

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

_DEFINITIONS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"

_TOKEN = "token"
_SIGNATURE = "signature"


class Undocumented(ValueError):
    """A route whose handler says too little to document it, or contradicts its template."""


def openapi(assembly: Assembly, version: str) -> dict[str, Any]:
    """The document of all routes of the templates. Raises Undocumented, NoExample."""
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
        self.summary, self.description = _words(entry)

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
        """The problems that callers may meet, by status."""
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
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Orderflow",
                "version": version,
                "summary": "What customers, staff and the shop's partners call",
                "description": _INTRODUCTION,
                "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            },
            "servers": [_SERVER],
            "tags": [
                {"name": context, "description": _words(import_module(f"lambdas.{context}"))[0]}
                for context in sorted({operation.context for operation in self._operations})
            ],
            "paths": paths,
            "components": {
                "schemas": _referring({**self._schemas, "Message": _MESSAGE}),
                "headers": _HEADERS,
                "responses": _GATEWAY,
                "securitySchemes": _SCHEMES,
            },
        }

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
        """Variables of the path: each is the field of its name in what the route answers."""
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
            "description": _words(contract.answers)[0],
            "content": {JSON: {"schema": _ref(contract.answers)}},
        }
        if contract.location:
            success["headers"] = {"location": {"$ref": "#/components/headers/Location"}}
            success["links"] = dict(self._links(contract.location))
        gateway = [
            name for name in _GATEWAY if name != "Unauthorized" or operation.route.authorizer
        ]
        if not contract.body:
            gateway.remove("TooLarge")
        answers = {
            str(contract.status.value): success,
            **{str(status.value): self._refusal(of) for status, of in operation.refusals.items()},
        }
        for name in gateway:
            own = answers.setdefault(
                _GATEWAY_STATUS[name], {"$ref": f"#/components/responses/{name}"}
            )
            if "content" in own:
                own["content"] |= _GATEWAY[name]["content"]
                own["description"] += f"\n\nWithout a code: {_GATEWAY[name]['description']}."
        return dict(sorted(answers.items()))

    def _links(self, location: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The route to look at afterwards."""
        for operation in self._operations:
            if str(operation) == f"GET {location}":
                names = operation.variables
                parameters = {name: f"$response.body#/{name}" for name in names}
                yield operation.id, {"operationId": operation.id, "parameters": parameters}

    def _refusal(self, problems: list[type[Problem]]) -> dict[str, Any]:
        references = {problem.code: _ref(problem) for problem in problems}
        described = [f"`{problem.code}`: {_words(problem)[0]}." for problem in problems]
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
    """The schemas of classes and of all that they are made of, by name."""
    _, found = msgspec.json.schema_components(types, ref_template=f"{_DEFINITIONS}{{name}}")
    return {name: _clean(schema) for name, schema in sorted(found.items())}


def _documents(problems: Iterable[type[Problem]]) -> dict[str, type[msgspec.Struct]]:
    """A class for the answer of each kind of problem, by code.

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
    """The schema of an argument that is given: one that is left out is None."""
    match argument:
        case {"anyOf": [given, {"type": "null"}], **others}:
            return {**given, **{name: part for name, part in others.items() if name != "default"}}
    return argument


def _security(operation: _Operation) -> dict[str, list[str]]:
    if isinstance(operation.entry, Callback):
        return {_SIGNATURE: []}
    audience = operation.contract.audience
    return {_TOKEN: [] if audience is Audience.CUSTOMER else [audience.value]}


def _ref(class_: type[Any]) -> Schema:
    return {"$ref": f"{_COMPONENTS}{class_.__name__}"}


def _words(documented: Any) -> tuple[str, str]:
    """The first line of a docstring, without its full stop, and the rest without line breaks."""
    first, _, rest = (inspect.getdoc(documented) or "").partition("\n")
    if not first:
        raise Undocumented(f"{documented} has no docstring")
    paragraphs = [" ".join(part.split()) for part in rest.split("\n\n")]
    return first.removesuffix("."), "\n\n".join(filter(None, paragraphs))


def _clean(schema: Any) -> Any:
    """A schema whose descriptions have no indentation."""
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


def _referring(schema: Any) -> Any:
    """A schema that refers to the document's components."""
    if isinstance(schema, Mapping):
        return {name: _referring(part) for name, part in schema.items()}
    if isinstance(schema, list):
        return [_referring(part) for part in schema]
    if isinstance(schema, str) and schema.startswith(_DEFINITIONS):
        return _COMPONENTS + schema.removeprefix(_DEFINITIONS)
    return schema


_INTRODUCTION = f"""The API of an online shop. Operations that take time answer immediately with 202
and the address of their status.

Customers authenticate with an access token of the customers' user pool, and staff with an ID token
of the staff's pool, on operations that require the role `{Audience.STAFF}`. Neither token is valid
on the other operations. A partner signs each request instead.

A request that cannot be served gets a problem document
([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `code` identifies the problem for programs;
`detail` explains to people where the problem is and what to do. Answers may gain fields at any
time.

Text may be in any script and is returned as it was sent. Control characters, line separators,
paragraph separators and directional overrides are refused. The length of a text is its number of
Unicode code points."""

_SERVER = {
    "url": "https://{api}.execute-api.{region}.amazonaws.com",
    "description": "The address that a deployment prints",
    "variables": {"api": {"default": "api"}, "region": {"default": "eu-central-1"}},
}

_SCHEMES = {
    _TOKEN: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the customers' user pool or, with the role "
        f"`{Audience.STAFF}`, of the staff's.",
    },
    _SIGNATURE: {
        "type": "apiKey",
        "in": "header",
        "name": signature.HEADER,
        "description": "A signature of the body with the key that the partner shares with the "
        "shop: `t=<seconds since the epoch>,v1=<hexadecimal HMAC-SHA256 of 't.body'>`. It is good "
        f"for {signature.TOLERANCE_S} seconds.",
    },
}

_HEADERS = {
    "Location": {
        "description": "Where to look for what becomes of it",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "RetryAfter": {
        "description": "Seconds to wait before trying again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}

# What API Gateway itself says: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html
_MESSAGE: Schema = {
    "title": "Message",
    "description": "What the gateway says when a request does not reach the shop, or fails there.",
    "type": "object",
    "properties": {"message": {"type": "string", "examples": ["Unauthorized"]}},
    "required": ["message"],
}
_GATEWAY_STATUS = {"Unauthorized": "401", "TooLarge": "413", "TooMany": "429", "Failed": "5XX"}


def _said(description: str, **headers: Any) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": f"{_COMPONENTS}Message"}}}
    answer: dict[str, Any] = {"description": description, "content": content}
    return {**answer, "headers": headers} if headers else answer


_GATEWAY = {
    "Unauthorized": _said(
        "There is no token, or one that does not hold",
        **{"www-authenticate": {"description": "What is wrong", "schema": {"type": "string"}}},
    ),
    "TooLarge": _said("The request has more than ten megabytes"),
    "TooMany": _said("Too many requests at once: try again in a while"),
    "Failed": _said("The shop failed: the same request may be sent again"),
}
"""By name, what any route may answer without its handler."""
