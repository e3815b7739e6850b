"""Mapping templates of API Gateway, in Apache's Velocity Template Language.

Known are references with members, methods and indexes, and the directives ``#set``, ``#if``,
``#elseif``, ``#else``, ``#foreach`` and ``#end``. Anything else is refused when a template is read.
https://velocity.apache.org/engine/2.4/vtl-reference.html
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from cdk_rehearsal.errors import UnsupportedTemplateError

Scope = dict[str, Any]
_Node = Callable[[Scope], Any]

_DIRECTIVE = re.compile(r"#\{?(set|if|elseif|else|foreach|end)\}?(?![\w])")
_OTHER_DIRECTIVE = re.compile(r"#\{?(break|define|evaluate|include|macro|parse|stop)\b|#\[\[")
_REFERENCE = re.compile(r"\$!?\{?(?=[A-Za-z_])")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?)|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'"""
    r"""|(?P<operator>==|!=|<=|>=|&&|\|\||[-+*/%<>!\[\](),])|(?P<word>true|false|null|in)\b)"""
)
_BINARY: tuple[Mapping[str, Callable[[Any, Any], Any]], ...] = (
    {"||": lambda left, right: bool(left) or bool(right)},
    {"&&": lambda left, right: bool(left) and bool(right)},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {
        "+": lambda left, right: left + right if _alike(left, right) else text(left) + text(right),
        "-": operator.sub,
    },
    {"*": operator.mul, "/": operator.floordiv, "%": operator.mod},
)


class Velocity:
    """A template that can be rendered many times."""

    def __init__(self, source: str) -> None:
        """Raises UnsupportedTemplateError for a directive that is not known."""
        if other := _OTHER_DIRECTIVE.search(source):
            raise UnsupportedTemplateError(
                f"the rehearsal does not know {other[0]} in mapping templates"
            )
        self._source = source
        self._at = 0
        self._body = self._block(())
        if self._at < len(source):
            raise self._error("#end without a beginning")

    def render(self, scope: Mapping[str, Any]) -> str:
        """Returns the text for some variables."""
        return str(self._body(dict(scope)))

    def _error(self, what: str) -> UnsupportedTemplateError:
        near = self._source[self._at : self._at + 30]
        return UnsupportedTemplateError(f"a mapping template has {what} at {near!r}")

    # -- blocks ---------------------------------------------------------------------------

    def _block(self, ends: tuple[str, ...]) -> _Node:
        """Reads up to one of these directives, which stays to be read."""
        parts: list[_Node] = []
        while self._at < len(self._source):
            rest = self._source[self._at :]
            if directive := _DIRECTIVE.match(rest):
                if directive[1] in ends:
                    break
                if directive[1] in ("end", "else", "elseif"):
                    break
                self._at += directive.end()
                parts.append(
                    {"set": self._set, "if": self._if, "foreach": self._foreach}[directive[1]]()
                )
            elif rest.startswith("##"):
                self._at += len(rest.partition("\n")[0])
            elif _REFERENCE.match(rest):
                parts.append(self._printed())
            else:
                until = re.search(r"[$#]", rest[1:])
                length = until.start() + 1 if until else len(rest)
                parts.append(_constant(rest[:length]))
                self._at += length
        if ends and self._at >= len(self._source):
            raise self._error("no #end")
        return lambda scope: "".join(text(part(scope)) for part in parts)

    def _printed(self) -> _Node:
        start = self._at
        value = self._reference()
        written = self._source[start : self._at]
        quiet = written.startswith("$!")

        def printed(scope: Scope) -> str:
            found = value(scope)
            return ("" if quiet else written) if found is None else text(found)

        return printed

    def _set(self) -> _Node:
        self._expect("(")
        self._skip()
        name, path = self._target()
        self._expect("=")
        value = self._expression()
        self._expect(")")

        def assign(scope: Scope) -> str:
            node = scope
            for part in [name, *path][:-1]:
                node = node.setdefault(part, {})
            node[[name, *path][-1]] = value(scope)
            return ""

        self._at += len(re.match(r"[ \t]*\n?", self._source[self._at :])[0])  # type: ignore[index]
        return assign

    def _target(self) -> tuple[str, list[str]]:
        opening = _REFERENCE.match(self._source, self._at)
        if opening is None:
            raise self._error("no variable")
        self._at = opening.end()
        names = [self._name()]
        while self._source.startswith(".", self._at):
            self._at += 1
            names.append(self._name())
        if self._source.startswith("}", self._at):
            self._at += 1
        return names[0], names[1:]

    def _if(self) -> _Node:
        branches: list[tuple[_Node, _Node]] = []
        otherwise: _Node = _constant("")
        self._expect("(")
        condition = self._expression()
        self._expect(")")
        while True:
            branches.append((condition, self._block(("elseif", "else", "end"))))
            word = self._directive()
            if word != "elseif":
                break
            self._expect("(")
            condition = self._expression()
            self._expect(")")
        if word == "else":
            otherwise = self._block(("end",))
            self._directive()

        def chosen(scope: Scope) -> Any:
            for holds, block in branches:
                if holds(scope) not in (None, False):
                    return block(scope)
            return otherwise(scope)

        return chosen

    def _foreach(self) -> _Node:
        self._expect("(")
        self._skip()
        name, _ = self._target()
        self._expect("in")
        items = self._expression()
        self._expect(")")
        block = self._block(("end",))
        self._directive()

        def repeated(scope: Scope) -> str:
            found = items(scope) or []
            values = list(found.values()) if isinstance(found, Mapping) else list(found)
            parts = []
            for index, value in enumerate(values):
                state = {
                    "count": index + 1,
                    "index": index,
                    "first": index == 0,
                    "last": index + 1 == len(values),
                    "hasNext": index + 1 < len(values),
                }
                inner = {**scope, name: value, "foreach": state, "velocityCount": index + 1}
                parts.append(text(block(inner)))
                scope.update((key, inner[key]) for key in scope if key != name)
            return "".join(parts)

        return repeated

    def _directive(self) -> str:
        found = _DIRECTIVE.match(self._source, self._at)
        if found is None:
            raise self._error("no #end")
        self._at = found.end()
        return found[1]

    # -- expressions ----------------------------------------------------------------------

    def _skip(self) -> None:
        while self._at < len(self._source) and self._source[self._at].isspace():
            self._at += 1

    def _expect(self, token: str) -> None:
        self._skip()
        if not self._source.startswith(token, self._at):
            raise self._error(f"no {token!r}")
        self._at += len(token)

    def _name(self) -> str:
        found = _NAME.match(self._source, self._at)
        if found is None:
            raise self._error("no name")
        self._at = found.end()
        return found[0]

    def _expression(self, level: int = 0) -> _Node:
        if level == len(_BINARY):
            return self._operand()
        left = self._expression(level + 1)
        while (token := _TOKEN.match(self._source, self._at)) and (
            token["operator"] in _BINARY[level]
        ):
            self._at = token.end()
            left = _applied(_BINARY[level][token["operator"]], left, self._expression(level + 1))
        return left

    def _operand(self) -> _Node:
        self._skip()
        if _REFERENCE.match(self._source, self._at):
            return self._reference()
        token = _TOKEN.match(self._source, self._at)
        if token is None:
            raise self._error("an unknown expression")
        self._at = token.end()
        if token["number"]:
            return _constant(json.loads(token["number"]))
        if token["double"] is not None:
            inner = Velocity(token["double"].replace('\\"', '"'))
            return inner._body
        if token["single"] is not None:
            return _constant(token["single"])
        if token["word"]:
            return _constant({"true": True, "false": False}.get(token["word"]))
        if token["operator"] == "!":
            negated = self._operand()
            return lambda scope: negated(scope) in (None, False)
        if token["operator"] == "(":
            inside = self._expression()
            self._expect(")")
            return inside
        if token["operator"] == "[":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        raise self._error("an unknown expression")

    def _arguments(self, closing: str) -> list[_Node]:
        found: list[_Node] = []
        self._skip()
        while not self._source.startswith(closing, self._at):
            found.append(self._expression())
            self._skip()
            if self._source.startswith(",", self._at):
                self._at += 1
            self._skip()
        self._at += len(closing)
        return found

    def _reference(self) -> _Node:
        opening = _REFERENCE.match(self._source, self._at)
        if opening is None:
            raise self._error("no reference")
        self._at = opening.end()
        name = self._name()
        value: _Node = lambda scope: scope.get(name)  # noqa: E731
        while self._at < len(self._source):
            if self._source[self._at] == "." and _NAME.match(self._source, self._at + 1):
                self._at += 1
                member = self._name()
                if self._source.startswith("(", self._at):
                    self._at += 1
                    value = _called(value, member, self._arguments(")"))
                else:
                    value = _member(value, _constant(member))
            elif self._source[self._at] == "[":
                self._at += 1
                index = self._expression()
                self._expect("]")
                value = _member(value, index)
            else:
                break
        if opening[0].endswith("{"):
            self._expect("}")
        return value


def text(value: Any) -> str:
    """Returns a value as a template prints it: as Java does, or JSON for what JSON gave."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "" if value is None else str(value)


def _alike(left: Any, right: Any) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float)


def _constant(value: Any) -> _Node:
    return lambda scope: value


def _applied(function: Callable[[Any, Any], Any], left: _Node, right: _Node) -> _Node:
    return lambda scope: function(left(scope), right(scope))


def _member(owner: _Node, name: _Node) -> _Node:
    def member(scope: Scope) -> Any:
        value, key = owner(scope), name(scope)
        if isinstance(value, Mapping):
            return value.get(key)
        if isinstance(value, list) and isinstance(key, int):
            return value[key] if -len(value) <= key < len(value) else None
        return None

    return member


def _called(owner: _Node, method: str, arguments: list[_Node]) -> _Node:
    def called(scope: Scope) -> Any:
        value = owner(scope)
        values = [argument(scope) for argument in arguments]
        if isinstance(value, Mapping) and callable(value.get(method)):
            return value[method](*values)
        for type_, methods in _METHODS.items():
            if isinstance(value, type_) and method in methods:
                return methods[method](value, *values)
        return None

    return called


_METHODS: Mapping[type, Mapping[str, Callable[..., Any]]] = {
    str: {
        "contains": lambda value, part: part in value,
        "endsWith": str.endswith,
        "equals": operator.eq,
        "indexOf": str.find,
        "isEmpty": operator.not_,
        "length": len,
        "replace": str.replace,
        "replaceAll": lambda value, pattern, by: re.sub(pattern, by, value),
        "split": lambda value, pattern: re.split(pattern, value),
        "startsWith": str.startswith,
        "substring": lambda value, *bounds: value[slice(*(*bounds, None)[:2])],
        "toLowerCase": str.lower,
        "toString": str,
        "toUpperCase": str.upper,
        "trim": str.strip,
    },
    dict: {
        "containsKey": lambda value, key: key in value,
        "entrySet": lambda value: [{"key": key, "value": item} for key, item in value.items()],
        "get": dict.get,
        "isEmpty": operator.not_,
        "keySet": list,
        "put": lambda value, key, item: value.update({key: item}),
        "size": len,
        "values": lambda value: list(value.values()),
    },
    list: {
        "add": lambda value, item: value.append(item) or True,
        "contains": lambda value, item: item in value,
        "get": lambda value, index: value[index],
        "isEmpty": operator.not_,
        "size": len,
    },
}
